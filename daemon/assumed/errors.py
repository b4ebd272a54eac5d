"""One root, one class per decision that it forces on the caller."""

from __future__ import annotations

from assumed.model import FailureKind
from assumed.redact import clean, printable

LONGEST_CODE = 100
"""Characters. AWS's longest has some 50."""


class AssumedError(Exception):
    """Root of every error that this package raises on purpose. `str()` is a sentence for a person."""


class ConfigError(AssumedError):
    """The configuration cannot be used. Holds every problem found, each with file, line and key, on one line.

    `example` is what would do: lines to copy.
    """

    def __init__(self, problems: list[str], example: str = "") -> None:
        self.problems = [printable(problem) for problem in problems]
        self.example = example
        super().__init__("\n".join([*self.problems, *([example] if example else [])]))


class AlreadyRunning(AssumedError):
    """Another instance keeps this credentials file (exit status 4)."""


class OtherConfiguration(AlreadyRunning):
    """The daemon of another configuration keeps this credentials file."""

    def __init__(self, running: str, ours: object) -> None:
        super().__init__(
            f"the daemon of {running} keeps this credentials file, not that of {ours}; "
            "give each configuration a credentials_file of its own, or merge them"
        )


class NotKept(AssumedError):
    """The configuration keeps no profile of that name, or its role is disabled; `kept` are those that it keeps."""

    def __init__(self, profile: str, kept: list[str], is_disabled: bool = False) -> None:
        self.profile = profile
        self.kept = kept
        self.is_disabled = is_disabled
        super().__init__(f"{profile} is not a managed profile; `assumed status` shows those that are")


class NotRunning(AssumedError):
    """No daemon listens on the control socket (exit status 3)."""


class NotAnswering(AssumedError):
    """A daemon listens on the control socket and did not answer in time (exit status 1). It may be busy, stopped or
    stuck; it holds its lock."""


class RenewalFailed(AssumedError):
    """STS or the source refused or did not answer. `kind` decides when to try again.

    What it holds has passed the gate: STS, proxies and helpers may say anything, also the keys that they were given.

    `offset` is STS's clock minus ours in seconds, by the `Date` of a refusal; None where there was no answer.
    """

    def __init__(self, kind: FailureKind, code: str, message: str, advice: str, *, offset: float | None = None) -> None:
        self.kind = kind
        self.code = clean(code, LONGEST_CODE)
        self.message = clean(message)
        self.advice = clean(advice)
        self.offset = offset
        super().__init__(f"{self.code}: {self.message}" if code else self.message)


class FileRefused(AssumedError):
    """The credentials file cannot be rewritten safely now; it stays as it is. `advice` says what to do."""

    def __init__(self, message: str, advice: str = "") -> None:
        self.message = printable(message)
        self.advice = printable(advice)
        super().__init__(f"{self.message}. {self.advice}" if advice else self.message)


class FileUnsettled(FileRefused):
    """Another program is in the middle of writing: try again in `retry_in` seconds."""

    def __init__(self, message: str, retry_in: float) -> None:
        self.retry_in = retry_in
        super().__init__(message, "it is read again in a moment")
