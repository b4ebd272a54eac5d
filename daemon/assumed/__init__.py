"""assumed: the daemon that keeps AWS roles assumed."""

__version__ = "0.1.0"
