"""botocore's own data, and no more of it than our clients ask for.

botocore walks the directories of its 400 services to learn that there is one called sts (a third of the time that a
client takes), and keeps what endpoints.json says of all of them (7 MB).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader

SERVICES = ("sts", "sso", "sso-oidc", "signin")
"""What its credential providers and we make clients of."""
ENDPOINTS = frozenset({*SERVICES, "portal.sso", "oidc"})
"""Their names in endpoints.json."""


class _Files(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:
        data = super().load_file(file_path)
        if data is None or Path(file_path).name != "endpoints":
            return data
        for partition in data["partitions"]:
            partition["services"] = {n: s for n, s in partition["services"].items() if n in ENDPOINTS}
        return data


class _OurServices(Loader):
    FILE_LOADER_CLASS = _Files

    def list_available_services(self, type_name: str) -> list[str]:
        places = [Path(place, name) for place in self.search_paths for name in SERVICES]
        return sorted({place.name for place in places if any(place.glob(f"*/{type_name}.json*"))})


def loader(data_path: str | None) -> Loader:
    """A loader as `botocore.loaders.create_loader` makes one. `data_path`: the variable AWS_DATA_PATH, as it is."""
    named = map(os.path.expandvars, data_path.split(os.pathsep) if data_path else ())
    return _OurServices(extra_search_paths=[os.path.expanduser(place) for place in named])  # noqa: PTH111 (raises less)
