"""The table of every metric: name, kind, meaning, labels, and how it is read from the facts. Pure.

Names follow Prometheus' naming guide (prometheus.io/docs/practices/naming): one prefix, base units, `_total`, `_info`.
A help text is part of the interface: where two daemons of one machine have different ones for a metric, as in the midst
of an upgrade, node_exporter drops the series of one of them (tried with 1.5).

All series there can be are there from the start, at 0 (practices/instrumentation, "avoid missing metrics"):
`increase()` does not see the first failure of a series that begins with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assumed.model import FailureKind

from . import samples as of
from .samples import Facts, Read


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A histogram's `read` gives (…, bound) for each bucket, cumulated, and (…, "sum")."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    read: Read
    labels: tuple[str, ...] = ()


Family = tuple[Metric, list[tuple[tuple[str, ...], float]]]
"""A metric and its samples: label values and value of each."""


def families(facts: Facts) -> list[Family]:
    """Every metric with its samples; one that has none now is left out."""
    read = [(metric, list(metric.read(metric.name, facts))) for metric in METRICS]
    return [(metric, samples) for metric, samples in read if samples]


_PROFILE = ("profile",)

METRICS: tuple[Metric, ...] = (
    Metric("assumed_up", "gauge", "Whether a daemon keeps this credentials file (1) or not (0).", of.one(of.is_up)),
    Metric(
        "assumed_build_info",
        "gauge",
        "Versions of the running daemon; always 1.",
        of.build,
        ("version", "python", "boto3"),
    ),
    Metric(
        "assumed_start_timestamp_seconds", "gauge", "When the daemon started, POSIX time.", of.running("started_at")
    ),
    Metric(
        "assumed_heartbeat_timestamp_seconds",
        "gauge",
        "When the daemon last finished its heartbeat (every 29 s, or oftener for a watchdog), POSIX time.",
        of.running("heartbeat_at"),
    ),
    Metric(
        "assumed_config_loads_total",
        "counter",
        "Generation of the configuration: how many took effect in this process, that of its start included.",
        of.counted(),
    ),
    Metric(
        "assumed_config_rejections_total", "counter", "Edits of the configuration that could not be used.", of.counted()
    ),
    Metric(
        "assumed_config_rejected",
        "gauge",
        "Whether the configuration on the disk cannot be used (1), so that the last good one goes on.",
        of.one(of.is_rejected),
    ),
    Metric(
        "assumed_clock_offset_seconds",
        "gauge",
        "AWS's clock minus this machine's, by STS's last answer.",
        of.one(of.clock_offset),
    ),
    Metric("assumed_suspends_total", "counter", "Times the machine was seen to have slept.", of.counted()),
    Metric("assumed_clock_steps_total", "counter", "Times the wall clock was seen to have been stepped.", of.counted()),
    Metric(
        "assumed_scheduler_revivals_total", "counter", "Times the scheduler's dead thread was replaced.", of.counted()
    ),
    Metric(
        "assumed_state_restores_total",
        "counter",
        "Times the state directory was gone and has been made again.",
        of.counted(),
    ),
    Metric(
        "assumed_sessions_not_stored",
        "gauge",
        "Sessions that the disk did not take; they are in memory, and tried again at each heartbeat.",
        of.running("not_stored"),
    ),
    Metric("assumed_file_writes_total", "counter", "Rewrites of the credentials file.", of.counted()),
    Metric(
        "assumed_file_write_failures_total",
        "counter",
        "Times the credentials file began to refuse rewrites, once for each reason; retries are not counted.",
        of.counted(),
    ),
    Metric(
        "assumed_file_refused",
        "gauge",
        "Whether the credentials file cannot be read or rewritten now.",
        of.file(lambda file: float(file["error"] is not None)),
    ),
    Metric(
        "assumed_file_last_write_timestamp_seconds",
        "gauge",
        "When the running daemon last rewrote the credentials file, POSIX time.",
        of.file(lambda file: of.when(file["written_at"])),
    ),
    Metric(
        "assumed_file_edits_set_aside_total",
        "counter",
        "Edits of other programs that could not be merged and lie beside the credentials file.",
        of.counted(),
    ),
    Metric(
        "assumed_process_cpu_seconds_total",
        "counter",
        "User and system CPU time that the daemon has used.",
        of.running("cpu_seconds"),
    ),
    Metric(
        "assumed_process_resident_memory_bytes",
        "gauge",
        "Memory of the daemon, resident.",
        of.running("resident_bytes"),
    ),
    Metric("assumed_process_open_fds", "gauge", "File descriptors that the daemon has open.", of.running("open_fds")),
    Metric(
        "assumed_process_max_fds", "gauge", "File descriptors that the daemon may have open.", of.running("max_fds")
    ),
    Metric(
        "assumed_role_info",
        "gauge",
        "What each profile is kept for; always 1. To be joined by profile.",
        of.information,
        ("profile", "role_arn", "source", "deliver"),
    ),
    Metric(
        "assumed_role_enabled",
        "gauge",
        "Whether the role is kept; a disabled one has no other values.",
        of.enabled,
        _PROFILE,
    ),
    Metric(
        "assumed_role_state",
        "gauge",
        "1 for the state that readers of the profile are in, 0 for the others.",
        of.states,
        ("profile", "state"),
    ),
    Metric(
        "assumed_role_delivered",
        "gauge",
        "Whether readers of the profile get the newest session.",
        of.role(lambda role: float(role["delivered"])),
        _PROFILE,
    ),
    Metric(
        "assumed_role_contested",
        "gauge",
        "Whether another program keeps overwriting the profile.",
        of.role(of.is_contested),
        _PROFILE,
    ),
    Metric(
        "assumed_role_session_left_seconds",
        "gauge",
        "Life left in the profile's session when this was written, right also where the clock is wrong.",
        of.role(lambda role: role["left_seconds"]),
        _PROFILE,
    ),
    Metric(
        "assumed_role_session_life_seconds",
        "gauge",
        "Whole life of the profile's session.",
        of.role(lambda role: role["life_seconds"]),
        _PROFILE,
    ),
    Metric(
        "assumed_role_session_expiration_timestamp_seconds",
        "gauge",
        "When the profile's session ends by AWS's clock, POSIX time.",
        of.role(lambda role: of.when(role["expiration"])),
        _PROFILE,
    ),
    Metric(
        "assumed_role_last_renewal_timestamp_seconds",
        "gauge",
        "When the profile's session was asked for, POSIX time.",
        of.role(lambda role: of.when(role["issued_at"])),
        _PROFILE,
    ),
    Metric(
        "assumed_role_next_renewal_timestamp_seconds",
        "gauge",
        "When the role is next renewed or tried again, POSIX time; absent while nothing is planned.",
        of.role(lambda role: of.when(role["next_renewal"])),
        _PROFILE,
    ),
    Metric(
        "assumed_role_overwrites_total",
        "counter",
        "Times another program overwrote the profile's session.",
        of.counted(of.profiles),
        _PROFILE,
    ),
    Metric(
        "assumed_role_contests_total",
        "counter",
        "Times another program overwrote the profile again, within 10 minutes of the last time.",
        of.counted(of.profiles),
        _PROFILE,
    ),
    Metric(
        "assumed_renewals_total",
        "counter",
        "Renewals that were tried, by their result.",
        of.counted(of.profiles, lambda _: of.RESULTS),
        ("profile", "result"),
    ),
    Metric(
        "assumed_renewal_failures_total",
        "counter",
        "Renewals that failed, by the kind of failure.",
        of.counted(of.profiles, lambda _: list(FailureKind)),
        ("profile", "kind"),
    ),
    Metric(
        "assumed_renewal_duration_seconds",
        "histogram",
        "From the begin of a renewal to its result, by that result, over all roles.",
        of.durations,
        ("result",),
    ),
    Metric(
        "assumed_source_down",
        "gauge",
        "Whether the source is held to be down, so that one role probes it for all.",
        of.down,
        ("source",),
    ),
    Metric(
        "assumed_source_outages_total",
        "counter",
        "Times the source was found to be down.",
        of.counted(of.sources),
        ("source",),
    ),
    Metric(
        "assumed_source_resolution_failures_total",
        "counter",
        "Times the source's own credentials could not be resolved.",
        of.counted(of.sources),
        ("source",),
    ),
)
