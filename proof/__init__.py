"""Every promise as a figure: `make proof`."""
