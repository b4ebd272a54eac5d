"""An STS that answers anything but what it should: half a session, in the wrong place, in the wrong form."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

from canary.kit import aws_token, odd_secret

Keys = tuple[str, str, str]
"""Access key id, secret, token. A refusal quotes the token but no undetectable secret."""
Reply = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

SOON = datetime.fromtimestamp(4e9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def session(keys: Keys, expiration: str = f"<Expiration>{SOON}</Expiration>", **instead: str) -> str:
    """STS's answer; `instead` replaces elements (Secret, Token, Arn)."""
    key, secret, token = keys
    parts = {
        "Key": f"<AccessKeyId>{key}</AccessKeyId>",
        "Secret": f"<SecretAccessKey>{secret}</SecretAccessKey>",
        "Token": f"<SessionToken>{token}</SessionToken>",
        "Arn": "arn:aws:sts::123456789012:assumed-role/x/s",
        **instead,
    }
    return (
        '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
        f"{parts['Key']}{parts['Secret']}{parts['Token']}{expiration}</Credentials>"
        f"<AssumedRoleUser><Arn>{parts['Arn']}</Arn></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
    )


def refusal(keys: Keys) -> str:
    """A refusal that quotes a secret."""
    return f"<ErrorResponse><Error><Code>Odd</Code><Message>no {keys[2]}: {keys[2]}</Message></Error></ErrorResponse>"


def ok(body: str) -> Reply:
    return 200, {}, body.encode()


ANSWERS: dict[str, Callable[[Keys], Reply]] = {
    "no-expiration": lambda keys: ok(session(keys, "")),
    "expires-soon": lambda keys: ok(session(keys, "<Expiration>soon</Expiration>")),
    "expires-secret": lambda keys: ok(session(keys, f"<Expiration>{keys[1]}</Expiration>")),
    "expired": lambda keys: ok(session(keys, "<Expiration>1999-01-01T00:00:00Z</Expiration>")),
    "no-secret": lambda keys: ok(session(keys, Secret="")),
    "no-token": lambda keys: ok(session(keys, Token="")),
    "twice": lambda keys: ok(session(keys, Secret=f"<SecretAccessKey>{keys[1]}</SecretAccessKey>" * 2)),
    "nested": lambda keys: ok(session(keys, Token=f"<SessionToken><x>{keys[2]}</x></SessionToken>")),
    "cut": lambda keys: ok(session(keys)[:-60]),
    "entity": lambda keys: ok(session(keys, Secret=f"<SecretAccessKey>&{keys[1]};</SecretAccessKey>")),
    "control": lambda keys: ok(session(keys, Secret=f"<SecretAccessKey>\x00{keys[1]}</SecretAccessKey>")),
    "not-utf8": lambda keys: (200, {}, b"\xff\xfe" + session(keys).encode()),
    "json": lambda keys: ok(json.dumps({"Credentials": {"SecretAccessKey": keys[1], "SessionToken": keys[2]}})),
    "html": lambda keys: (500, {"Content-Type": "text/html"}, f"<html>{keys[1]} {keys[2]}</html>".encode()),
    "refused": lambda keys: (403, {}, refusal(keys).encode()),
    "refused-with-200": lambda keys: ok(refusal(keys)),
    "refused-by-code": lambda keys: (400, {}, refusal(keys).replace("Odd", keys[2]).encode()),
    "moved": lambda keys: (302, {"Location": f"http://127.0.0.1:1/?t={keys[2]}"}, b""),
    "header": lambda keys: (500, {"X-Amz-Security-Token": keys[2]}, b""),
    "date": lambda keys: (200, {"Date": keys[1]}, session(keys).encode()),
}


@dataclass
class OddSts:
    """Answers a call for a role with the answer of that name."""

    secrets: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        odd = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                name = parse_qs(body).get("RoleArn", [""])[0].rpartition("/")[2]
                status, headers, text = ANSWERS[name](odd.keys())
                self.send_response_only(status)
                for header, value in headers.items():
                    self.send_header(header, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                odd.answered.add(name)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def keys(self) -> Keys:
        """New ones each time: a secret of no known form, and a token that looks like AWS's."""
        secret, token = odd_secret(), aws_token()
        self.secrets |= {secret, token}
        return "ASIACANARY000000", secret, token

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
