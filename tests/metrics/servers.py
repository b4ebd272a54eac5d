"""A real node_exporter and a real Prometheus, as processes on loopback ports of their own."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from metrics.kit import MONITORING, tool
from world.waiting import eventually


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> str:
    """The body. Raises OSError."""
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310 - http, by its callers
        return str(answer.read().decode())


def answers(url: str) -> bool:
    """Whether there is one to be had."""
    try:
        return bool(get(url)) or True
    except OSError:
        return False


@contextlib.contextmanager
def started(log: Path, url: str, *command: str) -> Iterator[None]:
    """The program, once it answers at `url`, until the end."""
    with log.open("wb") as stream:
        process = subprocess.Popen([*command], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
        try:
            eventually(lambda: answers(url) or process.poll() is not None, 30, every=0.1, saying=f"{command[0]}")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(60)


@contextlib.contextmanager
def node_exporter(directory: Path, log: Path) -> Iterator[str]:
    """Its address, serving the text files of `directory` beside its own metrics."""
    address = f"127.0.0.1:{free_port()}"
    flags = (f"--web.listen-address={address}", f"--collector.textfile.directory={directory}")
    few = ("--collector.disable-defaults", "--collector.textfile")
    with started(log, f"http://{address}/metrics", tool("prometheus-node-exporter"), *flags, *few):
        yield address


class Prometheus:
    """A running server, asked by its HTTP API."""

    def __init__(self, address: str) -> None:
        self._address = address

    def _ask(self, path: str, **parameters: str) -> dict[str, Any]:
        try:
            answer = json.loads(get(f"http://{self._address}/api/v1/{path}?{urlencode(parameters)}"))
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from None
        assert answer["status"] == "success", answer
        data: dict[str, Any] = answer["data"]
        return data

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples of an instant query; refused ones are an AssertionError with Prometheus' words."""
        data = self._ask("query", query=expression)
        return [{"metric": {}, "value": data["result"]}] if data["resultType"] == "scalar" else list(data["result"])

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, with the last error of each."""
        return list(self._ask("targets")["activeTargets"])

    def rules(self) -> list[dict[str, Any]]:
        """Each rule with its health."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]


@contextlib.contextmanager
def prometheus(directory: Path, target: str) -> Iterator[Prometheus]:
    """One that scrapes `target` every second and evaluates our rules as often."""
    directory.mkdir()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(MONITORING / "alerts.yml")],
        "scrape_configs": [{"job_name": "node", "static_configs": [{"targets": [target]}]}],
    }
    (directory / "prometheus.yml").write_text(json.dumps(config))
    address = f"127.0.0.1:{free_port()}"
    flags = (f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data")
    listen = f"--web.listen-address={address}"
    with started(directory / "log", f"http://{address}/-/ready", tool("prometheus"), *flags, listen):
        yield Prometheus(address)
