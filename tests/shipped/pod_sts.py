"""The STS of a pod's network: prints a line when it listens, and one for each call that it has answered.

python pod_sts.py PORT SESSION_SECONDS
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from world.fake_sts import FakeSts  # noqa: E402 - not on the path before


def main(port: int, session_seconds: float) -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    told = 0
    with FakeSts(port) as sts:
        sts.rule("*", session_seconds=session_seconds)
        print(json.dumps("listening"), flush=True)
        while not stop.wait(0.05):
            answered = [call for call in sts.calls if call.outcome]
            for call in answered[told:]:
                facts = {"action": call.action, "outcome": call.outcome, "role": call.role_arn}
                print(json.dumps({**facts, "token": call.params.get("WebIdentityToken")}), flush=True)
            told = len(answered)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
