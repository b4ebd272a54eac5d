"""The world the daemon is tested in: an STS that fails on demand, a real daemon in a home of its own."""
