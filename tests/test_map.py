"""The documents name files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
DOCUMENTS = [ROOT / "CONTRIBUTING.md", ROOT / "docs" / "architecture.md", *DECISIONS]
NAMED = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|md|toml|json|sh|service|plist))`|\]\(([^)#:]+\.md)\)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    """From the top, from the package, or beside the document."""
    names = {one or other for one, other in NAMED.findall(document.read_text())}
    places = (ROOT, ROOT / "daemon" / "assumed", document.parent, ROOT / "tests")
    assert {n for n in names if "/" in n and not any((place / n).exists() for place in places)} == set()
