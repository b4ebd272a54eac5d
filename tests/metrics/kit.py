"""Helpers of the metrics' tests: an exposition read by a real parser, and the tools that check one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from assumed.metrics.counters import Facts
from assumed.metrics.exposition import text
from world.daemon import DEFAULTS, Daemon

MONITORING = Path(__file__).parents[2] / "docs" / "monitoring"
Labels = Mapping[str, str]


class Exposition:
    """What a text says, by prometheus_client's own parser."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in self.families for sample in family.samples]

    def names(self) -> set[str]:
        """As in the lines, with `_total` and `_bucket`."""
        return {sample.name for sample in self.samples}

    def labels(self, name: str) -> list[Labels]:
        """The labels of each sample of that name."""
        return [sample.labels for sample in self.samples if sample.name == name]

    def value(self, name: str, **labels: str) -> float:
        """Of the one sample with these labels, among others. Raises AssertionError."""
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        assert len(found) == 1, f"{name}{labels}: {found}"
        return found[0]

    def count(self, name: str, **labels: str) -> int:
        """How many samples have that name and these labels."""
        return sum(1 for s in self.samples if s.name == name and labels.items() <= s.labels.items())


def role(profile: str = "a", **more: Any) -> dict[str, Any]:
    """A role of the status document, fresh."""
    return {
        "profile": profile,
        "role_arn": "arn:aws:iam::123456789012:role/a",
        "source": "profile:default",
        "deliver": "keys",
        "enabled": True,
        "state": "fresh",
        "delivered": True,
        "issued_at": "2026-11-24T10:00:00Z",
        "expiration": "2026-11-24T11:00:00Z",
        "left_seconds": 1800.0,
        "life_seconds": 3600.0,
        "next_renewal": "2026-11-24T10:31:00Z",
        "waits": None,
        "failures": 0,
        "last_error": None,
        **more,
    }


def facts(*roles: dict[str, Any], running: bool = True, **more: Any) -> Facts:
    """What a daemon of these roles answers, with every fact."""
    known = {
        "counts": {},
        "durations": {result: {"counts": [0] * 11, "sum": 0.0} for result in ("success", "failure")},
        "down": [],
        "not_stored": 0,
        "started_at": 1.0,
        "heartbeat_at": 30.0,
        "build": {"version": "0.1.0", "python": "3.11.7", "boto3": "1.40.0"},
        "cpu_seconds": 0.5,
        "resident_bytes": 5e7,
        "open_fds": 17,
        "max_fds": 1024,
        **more,
    }
    daemon = {"config_error": None, "clock_offset_seconds": 0.1} if running else None
    file = {"path": "/home/alice/.aws/credentials", "written_at": "2026-11-24T10:00:01Z", "error": None}
    status = {"daemon": daemon, "roles": list(roles or [role()]), "credentials_file": file}
    return {"status": status, "running": known if running else None}


def tool(name: str) -> str:
    """A program that a test needs; the test is skipped without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt install prometheus prometheus-node-exporter)")
    return found


def promtool(*words: str, given: str = "") -> str:
    """What promtool prints; an error of its own is a failure."""
    done = subprocess.run(
        [tool("promtool"), *words], input=given, capture_output=True, text=True, timeout=200, check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    return output


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana reads it."""
    document: dict[str, Any] = json.loads((MONITORING / "dashboard.json").read_text("utf-8"))
    return document


def dashboard_queries() -> list[tuple[str, str]]:
    """(panel's title, PromQL) of each query, Grafana's variables filled in."""
    return [
        (panel["title"], filled_in(target["expr"])) for panel in dashboard()["panels"] for target in panel["targets"]
    ]


def filled_in(expression: str) -> str:
    """As Grafana sends it when everything is chosen."""
    filled = re.sub(r"\$(instance|profile)\b", ".*", expression.replace("$__rate_interval", "2m"))
    assert "$" not in filled, filled
    return filled


def rule_queries() -> list[tuple[str, str]]:
    """(alert, PromQL) of each rule."""
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with moto")
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"]
    return [(rule["alert"], rule["expr"]) for group in groups for rule in group["rules"]]


def metrics_in(expression: str) -> set[str]:
    """The metrics that a query reads."""
    return set(re.findall(r"\bassumed_\w+", expression))


def scrape(daemon: Daemon) -> Exposition:
    """What the running daemon exposes."""
    return Exposition(text(daemon.ask("metrics")).decode())


def into(textfile: Path) -> str:
    """The head of a configuration whose daemon writes that file."""
    return f'metrics_textfile = "{textfile}"\n{DEFAULTS}'
