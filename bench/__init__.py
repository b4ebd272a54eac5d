"""`python -m bench`: what the daemon costs, beside the floors measured in the same run and the tools people use."""
