"""AWS: the sources that sign, and STS itself."""
