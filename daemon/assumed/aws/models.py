"""botocore's own data, and no more of it than our clients ask for.

botocore walks the directories of its 400 services to learn that there is one called sts (a third of the time that a
client takes), and parses what endpoints.json says of all of them (another third, and 7 MB).
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from botocore.loaders import JSONFileLoader, Loader

SERVICES = ("sts", "sso", "sso-oidc", "signin")
"""What its credential providers and we make clients of."""
ENDPOINTS = frozenset({*SERVICES, "portal.sso", "oidc"})
"""Their names in endpoints.json."""
HEAD = re.compile(rb'\n      "(?:%s)" : \{(\n|)' % b"|".join(re.escape(name.encode()) for name in ENDPOINTS))
"""The line that the block of one of them begins with."""


class _Files(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:
        if Path(file_path).name != "endpoints":
            return super().load_file(file_path)
        data = _cut_endpoints(Path(f"{file_path}.json")) or super().load_file(file_path)
        if data is None:
            return None
        for partition in data["partitions"]:
            partition["services"] = {n: s for n, s in partition["services"].items() if n in ENDPOINTS}
        return data


def _cut_endpoints(path: Path) -> Any:
    """endpoints.json without the text of services that nobody here asks for, which is then never parsed.

    By the indentation that botocore has always published it with: no string of JSON holds a line feed, so what looks
    like the first or the last line of a block is one. None where the file looks otherwise: then it is parsed whole.
    """
    try:
        text = path.read_bytes()
    except OSError:
        return None
    kept, at = [], 0
    try:
        while (begin := text.find(b'\n    "services" : {\n', at)) >= 0:
            end = text.index(b"\n    }", begin)
            kept += [text[at : text.index(b"{", begin) + 1], b",".join(_blocks(text, begin, end))]
            at = end
        return json.loads(b"".join([*kept, text[at:]])) if kept else None
    except ValueError:
        return None


def _blocks(text: bytes, begin: int, end: int) -> list[bytes]:
    """The text of those services between `begin` and `end` that are asked for. Raises ValueError for another form."""
    tail = b"\n      }"
    found = []
    for match in HEAD.finditer(text, begin, end):
        if match[1] != b"\n":
            raise ValueError("a service on one line")
        found.append(text[match.start() : text.index(tail, match.end() - 1, end) + len(tail)])
    return found


class _OurServices(Loader):
    FILE_LOADER_CLASS = _Files

    def list_available_services(self, type_name: str) -> list[str]:
        places = [Path(place, name) for place in self.search_paths for name in SERVICES]
        return sorted({place.name for place in places if any(place.glob(f"*/{type_name}.json*"))})


def loader(data_path: str | None) -> Loader:
    """A loader as `botocore.loaders.create_loader` makes one. `data_path`: the variable AWS_DATA_PATH, as it is."""
    named = map(os.path.expandvars, data_path.split(os.pathsep) if data_path else ())
    return _OurServices(extra_search_paths=[os.path.expanduser(place) for place in named])  # noqa: PTH111 (raises less)
