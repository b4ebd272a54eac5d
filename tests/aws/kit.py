"""Sources as the keeper uses them: two real AWS files, real helpers, a real STS over HTTP."""

from __future__ import annotations

import json
import queue
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assumed.aws.files import AwsFiles
from assumed.aws.sources import Resolved, Sources
from assumed.aws.sts import Answer, Order, assume
from assumed.clock import SystemClock
from assumed.errors import RenewalFailed
from assumed.model import Role, Session

REGION = "us-west-2"
KEY_OF_NOBODY = "AKIAFAKENOBODY00"


def arn(name: str) -> str:
    return f"arn:aws:iam::123456789012:role/{name}"


def role(profile: str = "my-role", **facts: Any) -> Role:
    """A role that is signed for by the profile `source`, unless it says otherwise."""
    if not {"credential_source", "web_identity_token_file"} & facts.keys():
        facts.setdefault("source_profile", "source")
    return Role(profile, facts.pop("role_arn", arn(profile)), **{"region": REGION, **facts})


def keys_of(profile: str, access_key_id: str, secret: str) -> str:
    """A section of keys."""
    return f"[{profile}]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {secret}\n"


def order(of: Role) -> Order:
    return Order(of, "identity", "request", SystemClock().now())


@dataclass
class Home:
    """The person's two AWS files, and what resolves sources from them."""

    path: Path
    inherited: dict[str, str] = field(default_factory=dict)
    learned: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.credentials = self.path / ".aws" / "credentials"
        self.config = self.path / ".aws" / "config"
        self.config.parent.mkdir()
        self.answers: queue.SimpleQueue[Resolved] = queue.SimpleQueue()
        self.files = AwsFiles(self.credentials, self.config, {}, self.inherited)
        self.sources = Sources(
            self.credentials,
            self.inherited,
            SystemClock().now,
            self.answers.put,
            learned=lambda source, keys: self.learned.append((source, keys.secret_access_key)),
        )

    def helper(self, name: str, program: str) -> str:
        """A `credential_process` in Python; returns its command line."""
        path = self.path / f"{name}.py"
        path.write_text(program)
        return shlex.join([sys.executable, "-S", str(path)])

    def prints(self, document: object, name: str = "helper") -> str:
        """A helper that prints this as JSON."""
        return self.helper(name, f"print({json.dumps(document)!r})")

    def resolve(self, of: Role, within: float = 60.0) -> RenewalFailed | None:
        """Resolve the source of a role; None when it can sign, else why not."""
        self.files.look([of])
        assert self.sources.resolve(of, self.files.sources.get(of.source()))
        return self.answers.get(timeout=within).failure

    def refusal(self, of: Role) -> RenewalFailed:
        """Why the source of a role cannot sign."""
        failure = self.resolve(of)
        assert failure is not None, "it could sign"
        return failure

    def client(self, of: Role, parent: Session | None = None, root: Role | None = None) -> Any:
        return self.sources.client(root or of, of, parent)

    def assume(self, of: Role) -> Answer:
        """Resolve, then ask STS."""
        assert self.resolve(of) is None
        return assume(self.client(of), order(of), SystemClock().now)
