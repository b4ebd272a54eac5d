"""The table of every option. The loader, the schema and the tests of the example all work from it.

Limits are STS's own (botocore's model `sts/2011-06-15/service-2.json`); botocore checks only the lower ones.
STS writes `\\w` and means ASCII.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["string", "integer", "boolean", "strings", "table", "policy", "command"]

PLAIN = r"[A-Za-z0-9_+=,.@-]"
PLAIN_WORDS = "letters A-Z a-z, digits and _+=,.@-"


@dataclass(frozen=True, slots=True)
class Key:
    """One option. `least` and `most` limit a number, a text's length in characters, or the count of items."""

    name: str
    kind: Kind
    example: str
    """A right value, as TOML."""
    default: str
    """In words; "required" when there is none."""
    doc: str
    """What it is for and why one would set it."""
    unit: str = ""
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    allowed: str = ""
    """Regular expression for one allowed character, and the same in words."""
    allowed_words: str = ""
    shape: str = ""
    """Regular expression for the whole text, where characters alone do not tell."""
    refused: tuple[tuple[str, str], ...] = ()
    """Regular expressions for the beginning of wrong texts, each with what is wrong and what would be right."""
    is_path: bool = False


_PROFILE = (
    (r"DEFAULT$", 'would leak into every profile in Python; the default profile is "default"'),
    (r"__proto__$", "breaks the JavaScript SDK; choose another name"),
    (r"profile ", 'starts with "profile ", which belongs to headers of ~/.aws/config; write the name alone'),
    (r"-", 'starts with "-", which every command takes for an option; start it with a letter'),
)
_ROLE_ARN = tuple(
    (pattern, f"{what}; expected e.g. arn:aws:iam::123456789012:role/NAME")
    for pattern, what in (
        (r"(?!arn(:[^:]*){5})", "is not an ARN"),
        (r"arn:[^:]*:sts:[^:]*:[^:]*:assumed-role/", "is the ARN of a session, not of a role"),
        (r"arn:(?!aws[a-z-]*:)", "has an unknown partition (aws, aws-cn, aws-us-gov and other aws-… exist)"),
        (r"arn:[^:]*:(?!iam::)", "is not an ARN of IAM"),
        (r"arn:[^:]*:iam::(?![0-9]{12}:)", "has no account of 12 digits"),
        (r"arn:[^:]*:iam::[0-9]{12}:(?!role/)", "is not the ARN of a role"),
        (
            r"(?!arn:[^:]*:iam::[0-9]{12}:role/([!-~]+/)?[A-Za-z0-9_+=,.@-]{1,64}$)",
            "has no valid role name (1 to 64 letters, digits and _+=,.@- after the last /)",
        ),
    )
)

TOP_KEYS: tuple[Key, ...] = (
    Key(
        "credentials_file",
        "string",
        '"~/.aws/credentials"',
        "$AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials",
        "The file whose profiles are kept. A relative path starts at this file's directory.",
        least=1,
        is_path=True,
    ),
    Key(
        "log_level",
        "string",
        '"info"',
        "info",
        "How much is logged. $ASSUMED_LOG_LEVEL overrides it.",
        choices=("debug", "info", "warning", "error"),
    ),
    Key(
        "log_format",
        "string",
        '"auto"',
        "auto",
        "console for people, json for machines; auto is console on a terminal. $ASSUMED_LOG_FORMAT overrides it.",
        choices=("auto", "console", "json"),
    ),
    Key(
        "metrics_textfile",
        "string",
        '"/var/lib/node_exporter/textfile_collector/assumed.prom"',
        "none",
        "A file for node_exporter's textfile collector, which reads *.prom of its directory: every metric, for "
        "everybody on the machine to read, written anew at each heartbeat and renewal.",
        least=1,
        shape=r".*\.prom",
        is_path=True,
    ),
)

ROLE_KEYS: tuple[Key, ...] = (
    Key(
        "profile",
        "string",
        '"my-role"',
        "required",
        "The profile to keep fresh in the credentials file.",
        least=1,
        most=128,
        allowed=r"[A-Za-z0-9_.@/%:+-]",
        allowed_words="letters A-Z a-z, digits and _.@/%:+-",
        refused=_PROFILE,
    ),
    Key(
        "role_arn",
        "string",
        '"arn:aws:iam::123456789012:role/MyApp/MyS3Access"',
        "required",
        "The role to assume.",
        least=20,
        most=2048,
        shape=r"arn:aws[a-z-]*:iam::[0-9]{12}:role/([!-~]+/)?[A-Za-z0-9_+=,.@-]{1,64}",
        refused=_ROLE_ARN,
    ),
    Key(
        "source_profile",
        "string",
        '"default"',
        "none: set one of source_profile, credential_source, web_identity_token_file",
        "The profile whose credentials sign the request; naming another kept profile makes a chain.",
        least=1,
        most=256,
        refused=((r".*[][\x00-\x1f\x7f]", "contains a bracket or a control character; write the name of a profile"),),
    ),
    Key(
        "credential_source",
        "string",
        '"Ec2InstanceMetadata"',
        "none",
        "Signs with the credentials of the place the daemon runs in, instead of a profile.",
        choices=("Environment", "Ec2InstanceMetadata", "EcsContainer"),
    ),
    Key(
        "web_identity_token_file",
        "string",
        '"/var/run/secrets/eks.amazonaws.com/serviceaccount/token"',
        "none",
        "A file with an OIDC token (Kubernetes, CI), exchanged for the role; read anew for each request.",
        least=1,
        is_path=True,
    ),
    Key(
        "external_id",
        "string",
        '"my-external-id"',
        "none",
        "The id that the role's trust policy demands, if its owner gave you one.",
        unit="characters",
        least=2,
        most=1224,
        allowed=r"[A-Za-z0-9_+=,.@:/-]",
        allowed_words="letters A-Z a-z, digits and _+=,.@:/-",
    ),
    Key(
        "role_session_name",
        "string",
        '"assumed-alice-laptop"',
        "assumed-<user>-<host>",
        "The name of the session in CloudTrail and in its ARN: it should tell who uses the role, and where.",
        unit="characters",
        least=2,
        most=64,
        allowed=PLAIN,
        allowed_words=PLAIN_WORDS,
    ),
    Key(
        "duration_seconds",
        "integer",
        "3600",
        "3600",
        "How long a session lasts; at most the role's MaxSessionDuration, and 3600 in a chain (STS's own limit).",
        unit="seconds",
        least=900,
        most=43200,
    ),
    Key(
        "mfa_serial",
        "string",
        '"arn:aws:iam::123456789012:mfa/alice"',
        "none",
        "The MFA device of the source's user, if the role demands one. assumed cannot prompt for a code: with "
        "long-term keys such a role does not work. Save the session of `aws sts get-session-token` as another profile "
        "(never over the keys) and make that the source_profile.",
        unit="characters",
        least=9,
        most=256,
        allowed=r"[A-Za-z0-9_+=/:,.@-]",
        allowed_words="letters A-Z a-z, digits and _+=/:,.@-",
    ),
    Key(
        "helper_timeout_seconds",
        "integer",
        "30",
        "30",
        "How long the source's credential_process may take. One that is stopped at this limit probably waits for a "
        "person and is not started again until its profile changes, the machine resumes, or `assumed refresh`.",
        unit="seconds",
        least=1,
        most=120,
    ),
    Key(
        "region",
        "string",
        '"us-west-2"',
        "where botocore would look: AWS_DEFAULT_REGION, the source profile's region",
        "Picks STS's regional endpoint, and is written to the kept profile unless ~/.aws/config sets one for it.",
        shape=r"[a-z]+(-[a-z]+)+-[0-9]+|aws-global",
    ),
    Key(
        "policy",
        "policy",
        '{ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "s3:Get*", Resource = "*" }] }',
        "none",
        "A session policy that narrows what the session may do: JSON text, or the same as a table.",
        unit="characters, together with policy_arns",
        least=1,
        most=2048,
    ),
    Key(
        "policy_arns",
        "strings",
        '["arn:aws:iam::aws:policy/ReadOnlyAccess"]',
        "none",
        "Managed policies that narrow what the session may do.",
        most=10,
        shape=r"arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[!-~]+",
    ),
    Key(
        "tags",
        "table",
        '{ project = "billing" }',
        "none",
        "Session tags, for policies that decide by them. The role's trust policy must allow sts:TagSession.",
        most=50,
    ),
    Key(
        "transitive_tag_keys",
        "strings",
        '["project"]',
        "none",
        "Tags that also hold for the sessions of roles further down a chain.",
        most=50,
    ),
    Key(
        "source_identity",
        "string",
        '"alice"',
        "none",
        "Who is behind the session, once and for all further down a chain; needs sts:SetSourceIdentity.",
        unit="characters",
        least=2,
        most=64,
        allowed=PLAIN,
        allowed_words=PLAIN_WORDS,
        refused=((r"aws:", 'starts with "aws:", which AWS reserves; name the user'),),
    ),
    Key(
        "deliver",
        "string",
        '"keys"',
        "keys",
        "keys writes the session into the profile; process writes a credential_process line into both AWS "
        "files, through which SDKs renew inside jobs that run longer than a session.",
        choices=("keys", "process"),
    ),
    Key(
        "enabled",
        "boolean",
        "true",
        "true",
        "false keeps the entry and stops keeping the profile.",
    ),
)

HOOK_KEYS: tuple[Key, ...] = (
    Key(
        "after_renewal",
        "command",
        '["systemctl", "--user", "reload", "my-job"]',
        "none",
        "Run when a profile has a new session and readers find it: for a program that has to reload it.",
    ),
    Key(
        "after_failure",
        "command",
        '"logger -t assumed renewal failed"',
        "none",
        "Run when a role begins to fail, and when it fails for another reason; not at each retry.",
    ),
    Key(
        "when_needed",
        "command",
        '["sh", "-c", \'notify-send -u critical assumed "$ASSUMED_MESSAGE. $ASSUMED_ADVICE"\']',
        "none",
        "Run when nothing goes on without a person (a login, a mistake in the configuration), and when that is over.",
    ),
    Key(
        "timeout_seconds",
        "integer",
        "10",
        "10",
        "How long a command may take; then it is killed, with its process group.",
        unit="seconds",
        least=1,
        most=600,
    ),
)

SOURCE_KEYS = ("source_profile", "credential_source", "web_identity_token_file")
NOT_WITH_WEB_IDENTITY = ("external_id", "tags", "transitive_tag_keys", "source_identity", "mfa_serial")
"""AssumeRoleWithWebIdentity has no such parameters."""

TABLES = ("defaults", "hooks", "roles")
TOP = {key.name: key for key in TOP_KEYS}
ROLE = {key.name: key for key in ROLE_KEYS}
DEFAULTS = {name: key for name, key in ROLE.items() if name != "profile"}
HOOKS = {key.name: key for key in HOOK_KEYS}
COMMANDS = tuple(key.name for key in HOOK_KEYS if key.kind == "command")
