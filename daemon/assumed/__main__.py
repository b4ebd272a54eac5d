"""`python -m assumed` is `assumed`."""

from __future__ import annotations

import sys

from assumed.cli import main

if __name__ == "__main__":
    sys.exit(main())
