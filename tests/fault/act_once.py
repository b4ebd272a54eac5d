"""One act of a scene in a directory, as a process of its own, for those that live under other mounts or with fewer
rights: prints what it said."""

from __future__ import annotations

import sys
from pathlib import Path

from fault.scenes import ALL, said

if __name__ == "__main__":
    sys.stdout.write(said(ALL[sys.argv[1]].act, Path(sys.argv[2])) + "\n")
