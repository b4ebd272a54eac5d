"""The test environment: an STS that fails on demand, and a real daemon in its own home."""
