"""The world of the process tests: a fake STS and a home."""

from process.conftest import aws_home, sts

__all__ = ["aws_home", "sts"]
