"""Inputs of one kind: a few every day, all of them in `make proof`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pytest


def params(inputs: Mapping[str, Any], everyday: Collection[str]) -> list[Any]:
    """The inputs as parameters named after them; those not in `everyday` are slow tests."""
    assert set(everyday) <= set(inputs), "an everyday input has another name"
    return [
        pytest.param(value, id=name, marks=() if name in everyday else pytest.mark.slow)
        for name, value in inputs.items()
    ]
