"""Metrics as Prometheus reads them, and as a file for node_exporter. Importing this imports prometheus_client."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from stat import S_ISREG

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from assumed.errors import FileRefused
from assumed.files import Temp, directory, explained

from .definitions import Family, families
from .samples import Facts

BEGINNING = b"# HELP assumed_"
"""Of every text of ours."""
OWNER = "credentials_file"
"""A label of every series: two daemons of one machine (two users, two files) would else tell the same series, of which
node_exporter passes on the first one (tried with 1.5: the other is dropped, and an error logged at each scrape)."""


class _Given(Collector):
    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def collect(self) -> Iterable[Metric]:
        """In the library's words."""
        # A path may hold bytes that are no text; the format is UTF-8 throughout.
        owner = self._facts["status"]["credentials_file"]["path"].encode("utf-8", "backslashreplace").decode()
        return [_translated(family, owner) for family in families(self._facts)]


def text(facts: Facts) -> bytes:
    """The metrics of these facts (see metrics.samples) in the text format, version 0.0.4, UTF-8."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(facts))
    return generate_latest(registry)


def _translated(family: Family, owner: str) -> Metric:
    metric, samples = family
    labels = [OWNER, *metric.labels]
    if metric.kind == "histogram":
        return _histogram(family, owner)
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    translated = kind(metric.name, metric.help, labels=labels)
    for values, number in samples:
        translated.add_metric([owner, *values], number)
    return translated


def _histogram(family: Family, owner: str) -> Metric:
    metric, samples = family
    translated = HistogramMetricFamily(metric.name, metric.help, labels=[OWNER, *metric.labels])
    buckets: dict[tuple[str, ...], list[tuple[str, float]]] = {}
    for (*values, bound), number in samples:
        if bound == "sum":
            translated.add_metric([owner, *values], buckets.pop(tuple(values)), number)
        else:
            buckets.setdefault(tuple(values), []).append((bound, number))
    return translated


def is_ours(path: Path) -> bool:
    """Whether `path` may be replaced or removed: a file of ours, an empty one, or none. Raises FileRefused."""
    with explained("read", path):
        try:
            # Not waiting: it may be a FIFO.
            with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
                return S_ISREG(os.fstat(file.fileno()).st_mode) and file.read(len(BEGINNING)) in (BEGINNING, b"")
        except FileNotFoundError:
            return True


def write_textfile(path: Path, data: bytes) -> None:
    """Replace `path` by `data` at once, so that node_exporter never reads half of it. Raises FileRefused.

    The one file of ours that is wider than 0600: node_exporter runs as another user. Names and times are in it, and
    no secret. Not flushed: after a crash of the machine it would be out of date anyway.
    """
    if not is_ours(path):
        raise FileRefused(f"{path} is another program's file", "Name another one, or remove it")
    with explained("write", path), directory(path.parent) as dir_fd, Temp(dir_fd, path.name) as temp:
        temp.write(data, mode=0o644, durable=False)
        temp.publish(durable=False)
