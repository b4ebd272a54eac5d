"""What the installed parts know and can do, told without importing them: botocore alone takes a tenth of a second."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path


def known_regions() -> frozenset[str]:
    """The regions that the installed botocore knows, of every partition; none where its list is not found."""
    try:
        spec = find_spec("botocore")  # does not import it
        place = next(iter(spec.submodule_search_locations or [])) if spec else ""
        partitions = json.loads(Path(place, "data", "partitions.json").read_bytes())["partitions"]
        return frozenset(region for partition in partitions for region in partition["regions"])
    except (OSError, ValueError, LookupError, TypeError, StopIteration):
        return frozenset()


def has_awscrt() -> bool:
    """Whether AWS's Common Runtime is installed, without which botocore does not use `aws login`."""
    return find_spec("awscrt") is not None
