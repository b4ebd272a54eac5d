"""The scoreboard: each promise, the figure that says how it is kept, and its target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from .figures import Figures, NotMeasured

MILLION = 1_000_000
SANDBOXED = "assumed.service with assumed.service.d/10-sandbox.conf"


@dataclass(frozen=True, slots=True)
class Score:
    """One line of the scoreboard. `met` is None where nothing was measured, or nothing was promised."""

    promise: str
    figure: str
    target: str
    met: bool | None


def _torn(f: Figures) -> tuple[str, bool]:
    reads, bad = f.total("soak.reads") + f.total("rivals.reads"), f.total("soak.bad") + f.total("rivals.torn_reads")
    return f"{bad} of {reads:,} reads", bad == 0 and reads >= MILLION


def _faults(f: Figures) -> tuple[str, bool]:
    torn, left = f.total("fault.torn"), f.total("fault.leftovers")
    return f"{torn} torn, {left} left, of {f.total('fault.fired'):,} faults", torn + left == 0


def _kills(f: Figures) -> tuple[str, bool]:
    torn, left = f.total("crash.torn"), f.total("crash.leftovers")
    return f"{torn} torn, {left} left, of {f.total('crash.points'):,} kills", torn + left == 0


def _power(f: Figures) -> tuple[str, bool]:
    torn, undone = f.total("power.torn"), f.total("power.undone")
    return f"{torn} torn, {undone} undone, of {f.total('power.states'):,} states", torn + undone == 0


def _edited(f: Figures) -> tuple[str, bool]:
    lost = f.total("crash.edits_lost")
    return f"{lost} of {f.total('crash.edits'):,} (edit, kill)", lost == 0


def _destroyed(f: Figures) -> tuple[str, bool]:
    destroyed = f.total("rivals.destroyed")
    edits = f.total("rivals.edits_stress") + f.total("rivals.edits_human")
    return f"{destroyed} beside {edits:,} edits of others", destroyed == 0


def _lost_at_human_speed(f: Figures) -> tuple[str, bool]:
    lost = f.total("rivals.lost_human")
    return f"{lost} of {f.total('rivals.edits_human'):,} edits", lost == 0


def _lost_under_stress(f: Figures) -> tuple[str, bool]:
    lost, slipped = f.total("rivals.lost_stress"), f.total("rivals.slipped_in_stress")
    figure = f"{lost} of {f.total('rivals.edits_stress'):,} edits, {slipped} during our own write"
    return figure, lost == 0 and slipped > 0


def _preserved(f: Figures) -> tuple[str, bool]:
    examples = f.total("preservation.examples")
    return f"{examples:,} of {examples:,} files", examples >= MILLION // 10


def _life(f: Figures) -> tuple[str, bool]:
    left = f.least("sim.least_left") / 60
    return f"{left:.1f} min of 60 at the least", left >= 0.35 * 60


def _jobs(f: Figures) -> tuple[str, bool]:
    failures = f.total("jobs.failures")
    return f"{failures} of {f.total('jobs.requests'):,} requests (boto3)", failures == 0


def _outage(f: Figures) -> tuple[str, bool]:
    minutes = f.least("sim.outage_minutes")
    return f"{minutes:.0f} min", minutes >= 20


def _seconds(name: str, at_most: float) -> Callable[[Figures], tuple[str, bool]]:
    def seconds(f: Figures) -> tuple[str, bool]:
        figure = f.most(name)
        return f"{figure:.1f} s", figure <= at_most

    return seconds


def _expired(f: Figures) -> tuple[str, bool]:
    served = f.total("time.expired_served")
    return f"{served} in {f.most('time.cases'):.0f} real daemons disturbed", served == 0


def _revived(f: Figures) -> tuple[str, bool]:
    renewals = f.total("time.scheduler_killed_renewals")
    return f"{renewals} renewals after it", renewals >= 4


def _peak(f: Figures) -> tuple[str, bool]:
    peak = f.most("sim.peak_steady")
    return f"{peak:.0f} calls/s", peak <= 5


def _per_outage(f: Figures) -> tuple[str, bool]:
    calls = f.most("sim.calls_per_outage")
    return f"{calls:.1f} calls", calls <= 15


def _secrets(f: Figures) -> tuple[str, bool]:
    hits = f.total("secrets.hits")
    return f"{hits} in {f.total('secrets.bytes'):,} bytes of {f.total('secrets.paths')} paths", hits == 0


def _endpoint(f: Figures) -> tuple[str, bool]:
    leaked = f.total("endpoint.leaked")
    return (
        f"{leaked} to {f.total('endpoint.connections'):,} connections, {f.total('endpoint.pages')} rebound page",
        leaked == 0,
    )


def _modes(f: Figures) -> tuple[str, bool]:
    wide = f.total("modes.too_wide")
    return f"{wide} of {f.total('modes.files'):,} created", wide == 0


def _reload(f: Figures) -> tuple[str, bool]:
    worst = f.within("reload.seconds", 0.99)
    return f"{worst:.2f} s, p99 of {len(f.all('reload.seconds'))} saves", worst < 1.5


def _exposure(unit: str, at_most: float) -> Callable[[Figures], tuple[str, bool]]:
    def exposure(f: Figures) -> tuple[str, bool]:
        score = f.most(f"exposure {unit}")
        return f"{score:.1f}", score <= at_most

    return exposure


def _restart(f: Figures) -> tuple[str, bool]:
    hung, killed = f.most("systemd.watchdog_restart_seconds"), f.most("systemd.kill_restart_seconds")
    calls = f.total("systemd.calls_after_restart")
    return f"{hung:.1f} s, {killed:.1f} s, {calls} calls", max(hung, killed) <= 10 and calls == 0


def _violations(f: Figures) -> tuple[str, bool]:
    violations, seeds = f.total("sim.violations"), f.total("sim.seeds")
    return (
        f"{violations} in {seeds:,} months of {len(f.named('sim.pair ')):,} fault pairs",
        violations == 0 and seeds >= 1000,
    )


def _years(f: Figures) -> tuple[str, bool]:
    years = f.total("sim.role_years")
    return f"{years:,} ({f.total('sim.renewals'):,} renewals)", years >= 4000


def _planted(f: Figures) -> tuple[str, bool]:
    bugs = f.named("bug.")
    found = sum(seed >= 0 for seed in bugs.values())
    return f"{found} of {len(bugs)}", found == len(bugs) >= 10


def _reproduced(f: Figures) -> tuple[str, None]:
    return f"{f.most('sim.slowest'):.1f} s", None


ROWS: list[tuple[str, str, Callable[[Figures], tuple[str, bool | None]]]] = [
    ("no reader sees a torn or mixed file", "0 of 10⁶", _torn),
    ("each system call of a write may fail", "0, 0", _faults),
    ("killed at any system call of a write", "0, 0", _kills),
    ("power lost at any moment of a write", "0, 0", _power),
    ("others' edits lost at any call, then killed", "0", _edited),
    ("a full disk that has room again, to delivery", "≤ 30 s", _seconds("fault.full_disk_delivered_seconds", 30.0)),
    ("other profiles destroyed, ever", "0", _destroyed),
    ("others' edits lost, at human speed", "0", _lost_at_human_speed),
    ("others' edits lost, in loops of milliseconds", "0", _lost_under_stress),
    ("every other byte survives any merge", "10⁵ of 10⁵", _preserved),
    ("life left of the session that a reader has, 1 h", "≥ 35 %", _life),
    ("requests of running jobs refused", "0", _jobs),
    ("STS outage that no reader notices", "≥ 20 min", _outage),
    ("lateness after sleep or a clock step", "≤ 30 s", _seconds("sim.late_after_jump", 30.0)),
    ("the same, in a real process", "≤ 30 s", _seconds("time.lateness", 30.0)),
    ("expired sessions served when clocks go wrong", "0", _expired),
    ("the scheduler's thread dies", "renewals go on", _revived),
    ("longest gap between heartbeats", "≤ 30 s", _seconds("sim.longest_gap", 30.0)),
    ("calls to STS, steady, 200 roles", "≤ 5/s", _peak),
    ("calls of a role in a 10 min outage", "≤ 15", _per_outage),
    ("secrets where none belong", "0", _secrets),
    ("answers of the endpoint to strangers", "0", _endpoint),
    ("files wider than 0600, directories than 0700", "0", _modes),
    ("edit of the configuration to profile", "< 1.5 s", _reload),
    ("hardening of the system unit", "≤ 1.5", _exposure("assumed@.service", 1.5)),
    ("hardening of the user unit in its sandbox", "≤ 2.0", _exposure(SANDBOXED, 2.0)),
    ("`service install`, empty home, to a fresh profile", "≤ 10 s", _seconds("service.first_profile_seconds", 10.0)),
    ("`systemctl start` to READY, profile written", "≤ 10 s", _seconds("systemd.start_seconds", 10.0)),
    ("`systemctl reload` to a new role's profile", "≤ 1 s", _seconds("systemd.reload_seconds", 1.0)),
    ("hung past the watchdog, killed: to READY again", "≤ 10 s, no call", _restart),
    ("broken promises in simulated months", "0 in ≥ 1,000", _violations),
    ("role-years simulated", "≥ 4,000", _years),
    ("bugs planted and found", "10 of 10", _planted),
    ("slowest reproduction of a failure from its seed", "", _reproduced),
]


def scores(figures: Figures) -> list[Score]:
    """Every line."""
    return [_score(promise, target, measure, figures) for promise, target, measure in ROWS]


def _score(promise: str, target: str, measure: Callable[[Figures], tuple[str, bool | None]], figures: Figures) -> Score:
    try:
        figure, met = measure(figures)
    except NotMeasured:
        return Score(promise, "not measured here", target, None)
    return Score(promise, figure, target, met)


def table(board: list[Score]) -> str:
    """The scoreboard as Markdown."""
    marks = {True: "met", False: "missed", None: "–"}
    cells = [("promise", "figure", "target", "verdict")]
    cells += [(score.promise, score.figure, score.target, marks[score.met]) for score in board]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|-" + "-|-".join("-" * width for width in widths) + "-|")
    return "\n".join(lines)


def planted(figures: Figures) -> str:
    """Which seed found which planted bug."""
    try:
        bugs = figures.named("bug.")
    except NotMeasured:
        return ""
    found = (f"{name} by seed {seed:.0f}" if seed >= 0 else f"{name} NOT FOUND" for name, seed in bugs.items())
    return "planted bugs: " + ", ".join(found)


def document(board: list[Score]) -> list[dict[str, object]]:
    """The scoreboard as JSON takes it."""
    return [asdict(score) for score in board]
