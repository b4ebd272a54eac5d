"""Services on a machine of their own, as the tests of a real systemd use them, and the story that they tell."""

from __future__ import annotations

import time
from dataclasses import dataclass

from process.kit import arn
from units.machine import Service
from world.daemon import role
from world.fake_sts import FakeSts

KINDS = {
    "user unit": ("assumed.service", False),
    "user unit in its sandbox": ("assumed.service", True),
    "system template": ("assumed@.service", False),
}
DEADLY = "SystemCallErrorNumber=kill"
"""A system call that the unit forbids kills the process, instead of being an error that might go unnoticed."""


@dataclass(frozen=True)
class Told:
    """The story of a test, for who runs it with `-s`."""

    title: str

    def __call__(self, step: str, seconds: float | None = None, saw: object = "") -> None:
        took = f"{seconds:7.3f} s" if seconds is not None else " " * 9
        print(f"{self.title:26} {took}  {step}{f': {saw}' if saw != '' else ''}", flush=True)


class Timer:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    def __call__(self) -> float:
        return time.monotonic() - self._since


def installed(service: Service, sts: FakeSts, *settings: str) -> Service:
    home = service.machine.home
    home.add_source(sts.source.access_key_id, sts.source.secret_access_key)
    home.configure(role("first", arn("first")))
    service.install(f"Environment=AWS_ENDPOINT_URL_STS={sts.url}", DEADLY, *settings)
    return service


def configure(service: Service, *roles: str) -> None:
    service.machine.home.configure(*roles)
    service.machine.hand_over()
