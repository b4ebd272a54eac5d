"""The servers of a login: IAM Identity Center's portal and its OIDC service, over real HTTP, with faults on demand.

with FakeLogin() as login:
    login.sign_in(home)                      # what `aws sso login` leaves behind
    login.portal = refusal(403, "ForbiddenException", "No access")
    with Daemon(home, **login.environment): ...
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

SESSION, START_URL, REGION = "corp", "https://corp.example/start", "us-west-2"
ACCOUNT, ROLE = "123456789012", "Developer"
CACHE = f"{hashlib.sha1(SESSION.encode(), usedforsecurity=False).hexdigest()}.json"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of one of the two services."""

    status: int
    body: str
    content_type: str = "application/json"
    error_type: str = ""


def refusal(status: int, error_type: str = "", message: str = "", **more: str) -> Reply:
    """A refusal in AWS's form."""
    return Reply(status, json.dumps({"message": message, **more}) if error_type or more else "", error_type=error_type)


PAGE = Reply(200, "<html><body>Please sign in to the hotel's network</body></html>", "text/html")


class FakeLogin:
    """Both services on one port. Set `portal` and `oidc` to their answers; None: as AWS does."""

    def __init__(self, access_key_id: str, secret: str, session_token: str) -> None:
        """The keys are what the portal returns: those of a session that the STS in question knows."""
        self._keys = {"accessKeyId": access_key_id, "secretAccessKey": secret, "sessionToken": session_token}
        self.portal: Reply | None = None
        self.oidc: Reply | None = None
        self.calls: list[str] = []
        """`portal` or `oidc`, for each request."""
        self._server: ThreadingHTTPServer | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead to both, without botocore's retries."""
        assert self._server is not None, "not started"
        url = f"http://127.0.0.1:{self._server.server_port}"
        return {"AWS_ENDPOINT_URL_SSO": url, "AWS_ENDPOINT_URL_SSO_OIDC": url, "AWS_MAX_ATTEMPTS": "1"}

    def configure(self, aws_config: Path, profile: str = "sso") -> None:
        """The profile and its sso-session."""
        aws_config.write_text(
            f"[profile {profile}]\nsso_session = {SESSION}\nsso_account_id = {ACCOUNT}\nsso_role_name = {ROLE}\n"
            f"[sso-session {SESSION}]\nsso_start_url = {START_URL}\nsso_region = {REGION}\n"
        )

    def sign_in(self, home: Path, seconds: float = 3600, **changed: Any) -> Path:
        """Writes what `aws sso login` leaves behind, valid for this long; returns the file."""
        token = {
            "startUrl": START_URL,
            "region": REGION,
            "accessToken": "access-token",
            "expiresAt": _iso(seconds),
            "clientId": "client",
            "clientSecret": "client-secret",
            "refreshToken": "refresh-token",
            "registrationExpiresAt": _iso(86_400),
            **changed,
        }
        return self.write_cache(home, json.dumps(token))

    @staticmethod
    def write_cache(home: Path, text: str) -> Path:
        """Writes any content into the login's cache file."""
        path = home / ".aws" / "sso" / "cache" / CACHE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o600)
        return path

    def _credentials(self) -> Reply:
        expiration = int((time.time() + 3600) * 1000)
        return Reply(200, json.dumps({"roleCredentials": {**self._keys, "expiration": expiration}}))

    def _token(self) -> Reply:
        token = {"accessToken": "a-new-one", "tokenType": "Bearer", "expiresIn": 3600, "refreshToken": "next"}
        return Reply(200, json.dumps(token))

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer("portal", outer.portal or outer._credentials())

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                self._answer("oidc", outer.oidc or outer._token())

            def _answer(self, who: str, reply: Reply) -> None:
                outer.calls.append(who)
                body = reply.body.encode()
                self.send_response(reply.status)
                self.send_header("content-type", reply.content_type)
                self.send_header("content-length", str(len(body)))
                if reply.error_type:
                    self.send_header("x-amzn-errortype", reply.error_type)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="fake-login", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._server is not None, "not started"
        self._server.shutdown()
        self._server.server_close()


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
