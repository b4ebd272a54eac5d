"""One adapter for each thing outside the process. None imports another."""
