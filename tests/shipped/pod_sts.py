"""The STS of a pod's network, and on demand the agent of EKS Pod Identity: prints a line when it listens, and one for
each call that STS has answered.

python pod_sts.py PORT SESSION_SECONDS [TOKEN_OF_THE_AGENT]
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3

sys.path[0] = str(Path(__file__).resolve().parents[1])

from world.fake_sts import FakeSts  # noqa: E402 - not on the path before

AGENT = ("169.254.170.23", 80)
"""Where the agent of EKS Pod Identity listens on every node."""


@contextmanager
def agent(sts: FakeSts, token: str) -> Iterator[None]:
    """Hands out sessions of the source's, to whoever shows the pod's own token."""
    client = boto3.client(
        "sts",
        region_name="us-west-2",
        endpoint_url=sts.url,
        aws_access_key_id=sts.source.access_key_id,
        aws_secret_access_key=sts.source.secret_access_key,
    )

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if (self.path, self.headers["Authorization"]) != ("/v1/credentials", token):
                self.send_error(403)
                return
            found = client.get_session_token(DurationSeconds=900)["Credentials"]
            self.send_response(200)
            self.end_headers()
            document = {
                "AccessKeyId": found["AccessKeyId"],
                "SecretAccessKey": found["SecretAccessKey"],
                "Token": found["SessionToken"],
                "Expiration": found["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(AGENT, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def main(port: int, session_seconds: float, token: str = "") -> None:
    """Serve until SIGTERM."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    told = 0
    with FakeSts(port) as sts, agent(sts, token) if token else nullcontext():
        sts.rule("*", session_seconds=session_seconds)
        print(json.dumps("listening"), flush=True)
        stopping = False
        while not stopping:
            stopping = stop.wait(0.05)
            answered = [call for call in sts.calls if call.outcome]
            for call in answered[told:]:
                facts = {"action": call.action, "outcome": call.outcome, "role": call.role_arn}
                print(json.dumps({**facts, "token": call.params.get("WebIdentityToken")}), flush=True)
            told = len(answered)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), *sys.argv[3:])
