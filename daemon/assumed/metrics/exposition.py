"""Every metric, and the text that Prometheus reads. Importing this imports prometheus_client.

Names follow Prometheus' naming guide (prometheus.io/docs/practices/naming): one prefix, base units, `_total`, `_info`.
A help text is part of the interface: where two daemons of one machine have different ones for a metric, as in the midst
of an upgrade, node_exporter drops the series of one of them (tried with 1.5).

Every series that can exist exists from the start, at 0 (practices/instrumentation, "avoid missing metrics"):
`increase()` does not see the first failure of a series that begins with it. The values of labels are bounded: profiles
and sources are the configuration's, kinds and states are closed sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, product
from typing import Any, Literal

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from assumed.model import FailureKind

from .counters import BUCKETS, RESULTS, Facts

STATES = ("fresh", "pending", "failing", "expired", "needs_login")
OWNER = "credentials_file"
"""A label of every series. Two daemons of one machine (two users, two files) would otherwise write the same series, of
which node_exporter passes on the first one (tried with 1.5: it drops the other, and logs an error at each scrape)."""

Document = dict[str, Any]
Samples = Iterable[tuple[Any, ...]]
"""(label values, value); of a histogram (label values, [(bound, count), …], sum)."""
Read = Callable[[Facts], Samples]
FAMILIES = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily, "histogram": HistogramMetricFamily}


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its samples are what `read` returns, or else what the daemon counted under its name."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    read: Read | None = None
    labels: tuple[str, ...] = ()

    def samples(self, facts: Facts) -> Samples:
        """Of a counter one for every combination of its labels' values."""
        if self.read is not None:
            return self.read(facts)
        if facts["running"] is None:
            return []
        counts = {tuple(values): n for values, n in facts["running"]["counts"].get(self.name, [])}
        domains = {
            "profile": [role["profile"] for role in facts["status"]["roles"]],
            "source": _sources(facts),
            "result": RESULTS,
            "kind": list(FailureKind),
        }
        return [(values, counts.get(values, 0)) for values in product(*(domains[label] for label in self.labels))]


class _Exposition(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Family]:
        """The families that have samples now."""
        # A path may hold bytes that are no text; the format is UTF-8 throughout.
        owner = self._facts["status"]["credentials_file"]["path"].encode("utf-8", "backslashreplace").decode()
        for metric in METRICS:
            family = FAMILIES[metric.kind](metric.name, metric.help, labels=[OWNER, *metric.labels])
            for values, *value in metric.samples(self._facts):
                family.add_metric([owner, *values], *value)
            if family.samples:
                yield family


def text(facts: Facts) -> bytes:
    """The metrics of these facts in the text format, version 0.0.4, UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Exposition(facts))
    return generate_latest(registry)


def _one(value: Callable[[Facts], float | None]) -> Read:
    """One sample without labels, where there is a value."""
    return lambda facts: [] if (found := value(facts)) is None else [((), float(found))]


def _running(key: str) -> Read:
    """A number that only a running daemon knows; an older one may not."""
    return _one(lambda facts: (facts["running"] or {}).get(key))


def _role(value: Callable[[Document], float | None]) -> Read:
    """One sample for each enabled role, where there is a value."""
    return lambda facts: [
        ((role["profile"],), float(found)) for role in _enabled_roles(facts) if (found := value(role)) is not None
    ]


def _enabled_roles(facts: Facts) -> list[Document]:
    """A disabled role has no state that an alert should fire for."""
    return [role for role in facts["status"]["roles"] if role["enabled"]]


def _sources(facts: Facts) -> list[str]:
    return list(dict.fromkeys(role["source"] for role in _enabled_roles(facts)))


def _durations(facts: Facts) -> Samples:
    bounds = [*map(str, BUCKETS), "+Inf"]
    for result, duration in ((facts["running"] or {}).get("durations") or {}).items():
        yield (result,), list(zip(bounds, accumulate(duration["counts"]), strict=True)), duration["sum"]


def _posix(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


METRICS: tuple[Metric, ...] = (
    Metric(
        "assumed_up",
        "gauge",
        "Whether a daemon keeps this credentials file (1) or not (0).",
        _one(lambda facts: facts["running"] is not None),
    ),
    Metric(
        "assumed_build_info",
        "gauge",
        "Versions of the running daemon; always 1.",
        lambda facts: [
            ((b["version"], b["python"], b["boto3"]), 1) for b in [(facts["running"] or {}).get("build")] if b
        ],
        ("version", "python", "boto3"),
    ),
    Metric("assumed_start_timestamp_seconds", "gauge", "When the daemon started, POSIX time.", _running("started_at")),
    Metric(
        "assumed_heartbeat_timestamp_seconds",
        "gauge",
        "When the daemon last finished its heartbeat (every 29 s, or oftener for a watchdog), POSIX time.",
        _running("heartbeat_at"),
    ),
    Metric(
        "assumed_config_loads_total",
        "counter",
        "Generation of the configuration: how many took effect in this process, that of its start included.",
    ),
    Metric("assumed_config_rejections_total", "counter", "Edits of the configuration that could not be used."),
    Metric(
        "assumed_config_rejected",
        "gauge",
        "Whether the configuration on the disk cannot be used (1), so that the last good one goes on.",
        _one(lambda facts: (daemon := facts["status"]["daemon"]) and daemon["config_error"] is not None),
    ),
    Metric(
        "assumed_clock_offset_seconds",
        "gauge",
        "AWS's clock minus this machine's, by STS's last answer.",
        _one(lambda facts: (facts["status"]["daemon"] or {}).get("clock_offset_seconds")),
    ),
    Metric("assumed_suspends_total", "counter", "Times the machine was seen to have slept."),
    Metric("assumed_clock_steps_total", "counter", "Times the wall clock was seen to have been stepped."),
    Metric("assumed_scheduler_revivals_total", "counter", "Times the scheduler's dead thread was replaced."),
    Metric("assumed_state_restores_total", "counter", "Times the state directory was gone and has been made again."),
    Metric(
        "assumed_sessions_not_stored",
        "gauge",
        "Sessions that the disk did not take; they are in memory, and tried again at each heartbeat.",
        _running("not_stored"),
    ),
    Metric("assumed_file_writes_total", "counter", "Rewrites of the credentials file."),
    Metric(
        "assumed_file_write_failures_total",
        "counter",
        "Times the credentials file began to refuse rewrites, once for each reason; retries are not counted.",
    ),
    Metric(
        "assumed_file_refused",
        "gauge",
        "Whether the credentials file cannot be read or rewritten now.",
        _one(lambda facts: facts["status"]["credentials_file"]["error"] is not None),
    ),
    Metric(
        "assumed_file_last_write_timestamp_seconds",
        "gauge",
        "When the running daemon last rewrote the credentials file, POSIX time.",
        _one(lambda facts: _posix(facts["status"]["credentials_file"]["written_at"])),
    ),
    Metric(
        "assumed_file_edits_set_aside_total",
        "counter",
        "Edits of other programs that could not be merged and lie beside the credentials file.",
    ),
    Metric(
        "assumed_process_cpu_seconds_total",
        "counter",
        "User and system CPU time that the daemon has used.",
        _running("cpu_seconds"),
    ),
    Metric(
        "assumed_process_resident_memory_bytes", "gauge", "Memory of the daemon, resident.", _running("resident_bytes")
    ),
    Metric("assumed_process_open_fds", "gauge", "File descriptors that the daemon has open.", _running("open_fds")),
    Metric("assumed_process_max_fds", "gauge", "File descriptors that the daemon may have open.", _running("max_fds")),
    Metric(
        "assumed_role_info",
        "gauge",
        "What each profile is kept for; always 1. To be joined by profile.",
        lambda facts: [((r["profile"], r["role_arn"], r["source"], r["deliver"]), 1) for r in facts["status"]["roles"]],
        ("profile", "role_arn", "source", "deliver"),
    ),
    Metric(
        "assumed_role_enabled",
        "gauge",
        "Whether the role is kept; a disabled one has no other values.",
        lambda facts: [((role["profile"],), float(role["enabled"])) for role in facts["status"]["roles"]],
        ("profile",),
    ),
    Metric(
        "assumed_role_state",
        "gauge",
        "1 for the state that readers of the profile are in, 0 for the others.",
        lambda facts: [
            ((role["profile"], state), float(role["state"] == state))
            for role in _enabled_roles(facts)
            for state in STATES
        ],
        ("profile", "state"),
    ),
    Metric(
        "assumed_role_delivered",
        "gauge",
        "Whether readers of the profile get the newest session.",
        _role(lambda role: role["delivered"]),
        ("profile",),
    ),
    Metric(
        "assumed_role_contested",
        "gauge",
        "Whether another program keeps overwriting the profile.",
        _role(lambda role: (role["last_error"] or {}).get("code") == "ProfileContested"),
        ("profile",),
    ),
    Metric(
        "assumed_role_session_left_seconds",
        "gauge",
        "Life left in the profile's session when this was written, right also where the clock is wrong.",
        _role(lambda role: role["left_seconds"]),
        ("profile",),
    ),
    Metric(
        "assumed_role_session_life_seconds",
        "gauge",
        "Whole life of the profile's session.",
        _role(lambda role: role["life_seconds"]),
        ("profile",),
    ),
    Metric(
        "assumed_role_session_expiration_timestamp_seconds",
        "gauge",
        "When the profile's session ends by AWS's clock, POSIX time.",
        _role(lambda role: _posix(role["expiration"])),
        ("profile",),
    ),
    Metric(
        "assumed_role_last_renewal_timestamp_seconds",
        "gauge",
        "When the profile's session was asked for, POSIX time.",
        _role(lambda role: _posix(role["issued_at"])),
        ("profile",),
    ),
    Metric(
        "assumed_role_next_renewal_timestamp_seconds",
        "gauge",
        "When the role is next renewed or tried again, POSIX time; absent while nothing is planned.",
        _role(lambda role: _posix(role["next_renewal"])),
        ("profile",),
    ),
    Metric(
        "assumed_role_overwrites_total",
        "counter",
        "Times another program overwrote the profile's session.",
        labels=("profile",),
    ),
    Metric(
        "assumed_role_contests_total",
        "counter",
        "Times another program overwrote the profile again, within 10 minutes of the last time.",
        labels=("profile",),
    ),
    Metric(
        "assumed_renewals_total", "counter", "Renewals that were tried, by their result.", labels=("profile", "result")
    ),
    Metric(
        "assumed_renewal_failures_total",
        "counter",
        "Renewals that failed, by the kind of failure.",
        labels=("profile", "kind"),
    ),
    Metric(
        "assumed_renewal_duration_seconds",
        "histogram",
        "From the begin of a renewal to its result, by that result, over all roles.",
        _durations,
        ("result",),
    ),
    Metric(
        "assumed_source_down",
        "gauge",
        "Whether the source is held to be down, so that one role probes it for all.",
        lambda facts: (
            [((name,), float(name in running["down"])) for name in _sources(facts)]
            if (running := facts["running"])
            else []
        ),
        ("source",),
    ),
    Metric("assumed_source_outages_total", "counter", "Times the source was found to be down.", labels=("source",)),
    Metric(
        "assumed_source_resolution_failures_total",
        "counter",
        "Times the source's own credentials could not be resolved.",
        labels=("source",),
    ),
)
