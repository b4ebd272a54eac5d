"""Programs that a `credential_process` line can start; they record each start in a file."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

SLEEPS = "time.sleep(600)\n"
WAITS_FOR_INPUT = "fifo = here + '.fifo'\nos.path.exists(fifo) or os.mkfifo(fifo)\nopen(fifo).read()\n"
"""Its stdin is closed, so it waits for something else, like a browser that calls back."""
LEAVES_A_CHILD = "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\nos._exit(0)\n"
WAITS_FOR_A_CHILD = "subprocess.run([sys.executable, '-S', '-c', 'import time; time.sleep(600)'])\n"
FAILS = "sys.exit(1)\n"


@dataclass(frozen=True, slots=True)
class HelperProgram:
    """A helper in `directory`; `body` runs after it has recorded its start."""

    directory: Path
    name: str
    body: str

    @property
    def command(self) -> str:
        return shlex.join([sys.executable, "-S", str(self.directory / f"{self.name}.py")])

    @property
    def starts(self) -> int:
        """The number of starts."""
        return len(self._starts.read_text().splitlines()) if self._starts.exists() else 0

    @property
    def _starts(self) -> Path:
        return self.directory / f"{self.name}.starts"

    def write(self, body: str | None = None) -> HelperProgram:
        """Write the program (again, with another body)."""
        program = (
            "import json, os, subprocess, sys, time\n"
            f"here = {str(self.directory / self.name)!r}\n"
            "with open(here + '.starts', 'a') as file:\n"
            "    file.write(f'{os.getpid()}\\n')\n"
        )
        (self.directory / f"{self.name}.py").write_text(program + (self.body if body is None else body))
        return self


def answers(access_key_id: str, secret: str, **more: str) -> str:
    """The body of a helper that returns these keys (and a SessionToken or Expiration)."""
    return f"print({json.dumps({'Version': 1, 'AccessKeyId': access_key_id, 'SecretAccessKey': secret, **more})!r})\n"
