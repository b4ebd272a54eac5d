"""`python -m bench`: what the daemon costs, beside the floors measured in the same run and the tools people use."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))  # the tests' own STS and daemon
