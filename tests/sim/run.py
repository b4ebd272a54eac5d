"""The simulator's figures, or one seed: `python tests/sim/run.py --seeds 1000 [--json FILE]`, `… --seed 1234`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
# One import path for all: `sim` is the package, however this file was started.
from sim import figures
from sim.campaign import Campaign, how_to_reproduce, run_seeds
from sim.month import DAY


def rows_of(campaign: Campaign) -> list[dict[str, Any]]:
    """The scoreboard's rows of the seeds."""
    return [
        row("simulated months (seeds)", campaign.seeds, "≥ 1000", campaign.seeds >= 1000),
        row("simulated role-years", round(campaign.role_years), "printed"),
        row("renewals in them", campaign.renewals, "printed"),
        row("violations", len(campaign.violations), "0", not campaign.violations),
        row("distinct pairs of faults reached", len(campaign.pairs), "printed"),
        row("seconds", round(campaign.seconds), "≤ 180 for 1000", campaign.seconds <= 0.18 * campaign.seeds),
        row("seconds to reproduce a failure, at worst", round(campaign.slowest, 2), "printed"),
        row(
            "least life left at 1 h sessions, minutes",
            minutes(campaign.least_left),
            "≥ 20",
            campaign.least_left >= 1200,
        ),
        row("lateness awake p100, seconds", round(campaign.late, 1), "≤ 5", campaign.late <= 5),
        row(
            "lateness after a resume or a step p100, seconds",
            round(campaign.late_after_jump, 1),
            "≤ 30",
            campaign.late_after_jump <= 30,
        ),
    ]


def experiment_rows() -> list[dict[str, Any]]:
    """The scoreboard's rows of the experiments."""
    survived = figures.longest_outage()
    rows = [row("longest outage survived by every role, minutes", survived, "≥ 20", survived >= 20)]
    for trouble in ("unreachable", "broken", "throttled"):
        each = round(figures.calls_in_outage(50, trouble) / 50, 2)
        rows.append(row(f"calls per role in a 10 min outage ({trouble}, 50 roles)", each, "≤ 15", each <= 15))
    for roles in (1, 50, 200):
        peak = figures.peaks(roles)
        for phase, most in (("start", 100), ("steady", 5), ("resume", 100)):
            name = f"peak calls/s at {phase} with {roles} role{'s' if roles > 1 else ''}"
            rows.append(row(name, peak[phase], f"≤ {most}", peak[phase] <= most))
    return rows


def row(name: str, value: Any, target: str, met: bool | None = None) -> dict[str, Any]:
    """One line of the scoreboard."""
    return {"name": name, "value": value, "target": target, "met": met}


def minutes(seconds: float) -> float | None:
    """None if nothing was measured."""
    return None if seconds == float("inf") else round(seconds / 60, 1)


def main() -> int:
    """Run with these arguments. Returns 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--until-broken", action="store_true")
    parser.add_argument("--no-experiments", action="store_true")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds) if options.seed is None else [options.seed]
    campaign = run_seeds(seeds, lambda broken: bool(broken) and options.until_broken, options.days * DAY)
    for seed, broken in campaign.violations:
        print(f"seed {seed}: {broken}\n  reproduce: {how_to_reproduce(seed)}")
    if options.seed is not None or options.until_broken:
        return 1 if campaign.violations else 0
    rows = rows_of(campaign) + ([] if options.no_experiments else experiment_rows())
    for one in rows:
        mark = {True: "met", False: "MISSED", None: ""}[one["met"]]
        print(f"{one['name']}: {one['value']} ({one['target']}) {mark}".rstrip())
    if options.json:
        options.json.write_text(json.dumps({"rows": rows}, indent=1, ensure_ascii=False) + "\n")
    return 1 if any(one["met"] is False and one["name"] != "seconds" for one in rows) else 0


if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    sys.exit(main())
