"""Configurations by example: good ones, and bad ones with the very sentences that they get.

Every sentence is meant to be read: it says where, what is wrong, and what would be right.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from assumed.config import Config, HostFacts, load

FILE = Path("/home/alice/.config/assumed/config.toml")
ENVIRON = {"HOME": "/home/alice"}
HOST = HostFacts("alice", "laptop")
ARN = 'role_arn = "arn:aws:iam::123456789012:role/R"\n'
ROLE = f'[[roles]]\nprofile = "r"\n{ARN}'
SOURCED = ROLE + 'source_profile = "default"\n'


def loaded(text: str, **environ: str) -> Config:
    """`text` as alice's configuration."""
    return load(text, FILE, {**ENVIRON, **environ}, host=HOST)


@dataclass(frozen=True)
class Bad:
    """`said` are the sentences without the file before them; `seen` is whether a JSON Schema can tell."""

    name: str
    text: str
    said: tuple[str, ...]
    seen: bool = True


def bad(name: str, text: str, *said: str, seen: bool = True) -> Bad:
    return Bad(name, text, said, seen)


BAD = [
    bad(
        "no roles at all",
        'log_level = "info"\n',
        '1: key roles: there are no roles; add [[roles]] with profile = "my-role" and '
        'role_arn = "arn:aws:iam::123456789012:role/NAME"',
    ),
    bad(
        "an empty list of roles",
        "roles = []\n",
        '1: key roles: there are no roles; add [[roles]] with profile = "my-role" and '
        'role_arn = "arn:aws:iam::123456789012:role/NAME"',
    ),
    bad(
        "single brackets",
        '[roles]\nprofile = "r"\n',
        "1: key roles: is a table; write [[roles]], with two brackets, for each role",
    ),
    bad("a role that is none", "roles = [1]\n", "1: roles[0]: is 1; write [[roles]] for each role"),
    bad("defaults that are no table", f"defaults = 3\n{SOURCED}", "1: [defaults]: is 3; write [defaults]"),
    bad(
        "an unknown table",
        f"{SOURCED}[default]\n",
        "5: key default: is unknown; did you mean defaults?",
    ),
    bad(
        "an unknown key of a role",
        f'{SOURCED}extrenal_id = "x1"\n',
        '5: roles[0] "r" key extrenal_id: is unknown; did you mean external_id?',
    ),
    bad(
        "an unknown key of the defaults",
        f"[defaults]\nduration = 900\n{SOURCED}",
        "2: [defaults] key duration: is unknown; did you mean duration_seconds?",
    ),
    bad(
        "an unknown key that resembles nothing",
        f"zzz = 1\n{SOURCED}",
        "1: key zzz: is unknown; known are credentials_file, log_level, log_format, metrics_textfile, "
        "defaults, hooks and roles",
    ),
    bad("hooks that are no table", f'hooks = "x"\n{SOURCED}', "1: [hooks]: is a string; write [hooks]"),
    bad(
        "a misspelt hook",
        f'[hooks]\nafter_renewl = "x"\n{SOURCED}',
        "2: [hooks] key after_renewl: is unknown; did you mean after_renewal?",
    ),
    bad(
        "a hook inside a role",
        f'{SOURCED}after_failure = "x"\n',
        '5: roles[0] "r" key after_failure: belongs to the hooks; move it under [hooks]',
    ),
    bad(
        "a hook that is no command",
        f"[hooks]\nafter_failure = true\n{SOURCED}",
        (
            '2: [hooks] key after_failure: is true; expected a list of words, e.g. after_failure = "logger -t '
            'assumed renewal failed"'
        ),
    ),
    bad(
        "a hook without a program",
        f"[hooks]\nafter_failure = []\n{SOURCED}",
        (
            '2: [hooks] key after_failure: names no program; expected e.g. after_failure = "logger -t assumed '
            'renewal failed", or leave the line out'
        ),
    ),
    bad(
        "a word of a hook that is none",
        f'[hooks]\nafter_failure = ["sleep", 5]\n{SOURCED}',
        (
            '2: [hooks] key after_failure: item 2 is 5; put each word in quotes, e.g. after_failure = "logger -t '
            'assumed renewal failed"'
        ),
    ),
    bad(
        "a hook with a quote that does not end",
        f"""[hooks]\nafter_failure = "echo 'x"\n{SOURCED}""",
        (
            "2: [hooks] key after_failure: cannot be split into words (no closing quotation); expected e.g. "
            'after_failure = "logger -t assumed renewal failed"'
        ),
        seen=False,
    ),
    bad(
        "a hook that takes itself for a shell's line",
        f'[hooks]\nwhen_needed = "mail -s $ASSUMED_MESSAGE me"\nafter_failure = "date >> ~/log"\n{SOURCED}',
        (
            '2: [hooks] key when_needed: contains "$ASSUMED_MESSAGE", but is not run by a shell; to use one, '
            'write ["sh", "-c", "…"]'
        ),
        ('3: [hooks] key after_failure: contains ">>", but is not run by a shell; to use one, write ["sh", "-c", "…"]'),
        (
            '3: [hooks] key after_failure: contains "~/log", but is not run by a shell; to use one, write ["sh", '
            '"-c", "…"]'
        ),
        seen=False,
    ),
    bad(
        "another user's hook",
        f'[hooks]\nafter_failure = "~bob/x y"\n{SOURCED}',
        "2: [hooks] key after_failure: starts with ~bob, another user's home; write the whole path",
        seen=False,
    ),
    bad(
        "a hook that may take for ever",
        f"[hooks]\ntimeout_seconds = 0\n{SOURCED}",
        "2: [hooks] key timeout_seconds: is 0; 1 to 600 seconds are allowed",
    ),
    bad(
        "a role's key at the top",
        f'region = "us-west-2"\n{SOURCED}',
        "1: key region: belongs to roles; move it under [defaults] or [[roles]]",
    ),
    bad(
        "a key of the top inside a role",
        f'{SOURCED}log_level = "info"\n',
        '5: roles[0] "r" key log_level: belongs to the top of the file, before the first [table]',
    ),
    bad(
        "a profile in the defaults",
        f'[defaults]\nprofile = "x"\n{SOURCED}',
        "2: [defaults] key profile: each role has its own; set it in [[roles]]",
    ),
    bad(
        "a secret in the file",
        f'{SOURCED}aws_secret_access_key = "not-to-be-shown"\n',
        '5: roles[0] "r" key aws_secret_access_key: does not belong here: no secrets in this file; '
        "put the keys into the profile that signs",
    ),
    bad(
        "log_level",
        f'log_level = "warn"\n{SOURCED}',
        '1: key log_level: "warn" is not "debug", "info", "warning" or "error"; did you mean "warning"?',
    ),
    bad(
        "log_format",
        f"log_format = 1\n{SOURCED}",
        '1: key log_format: is 1; expected a string in quotes, e.g. log_format = "auto"',
    ),
    bad(
        "a metrics_textfile that node_exporter would not read",
        f'metrics_textfile = "/tmp/assumed.txt"\n{SOURCED}',
        (
            '1: key metrics_textfile: "/tmp/assumed.txt" is not a valid metrics_textfile; expected e.g. '
            'metrics_textfile = "/var/lib/node_exporter/textfile_collector/assumed.prom"'
        ),
    ),
    bad(
        "an empty credentials_file",
        f'credentials_file = ""\n{SOURCED}',
        (
            '1: key credentials_file: is empty; expected e.g. credentials_file = "~/.aws/credentials", or leave '
            "the line out"
        ),
    ),
    bad(
        "another user's home",
        f'credentials_file = "~bob/x"\n{SOURCED}',
        "1: key credentials_file: starts with ~bob, another user's home; write the whole path",
        seen=False,
    ),
    bad(
        "no profile",
        f'[[roles]]\n{ARN}source_profile = "default"\n',
        '1: roles[0] key profile: is missing; add profile = "my-role"',
    ),
    bad(
        "no role_arn",
        '[[roles]]\nprofile = "r"\nsource_profile = "default"\n',
        '1: roles[0] "r" key role_arn: is missing; add role_arn = "arn:aws:iam::123456789012:role/MyApp/MyS3Access"',
        seen=False,
    ),
    bad(
        "no source",
        ROLE,
        '1: roles[0] "r": has no source; set source_profile = "default", '
        "or credential_source or web_identity_token_file",
        seen=False,
    ),
    bad(
        "two sources",
        f'{SOURCED}credential_source = "Environment"\n',
        '5: roles[0] "r" key credential_source: is set beside source_profile; a role has one source, keep one of them',
    ),
    bad(
        "two sources in the defaults",
        f'[defaults]\nsource_profile = "a"\nweb_identity_token_file = "/t"\n{SOURCED}',
        "3: [defaults] key web_identity_token_file: is set beside source_profile; "
        "a role has one source, keep one of them",
    ),
    bad(
        "credential_source in another case",
        f'{ROLE}credential_source = "environment"\n',
        (
            '4: roles[0] "r" key credential_source: "environment" is not "Environment", "Ec2InstanceMetadata" or '
            '"EcsContainer"; did you mean "Environment"?'
        ),
    ),
    bad(
        "a source with a bracket",
        f'{ROLE}source_profile = "a]"\n',
        (
            '4: roles[0] "r" key source_profile: "a]" contains a bracket or a control character; write the name '
            "of a profile"
        ),
        seen=False,
    ),
    bad(
        "what web identity has no parameter for",
        f'{ROLE}web_identity_token_file = "/t"\nexternal_id = "x1"\ntags = {{ a = "b" }}\n'
        'source_identity = "alice"\nmfa_serial = "123456789"\ntransitive_tag_keys = ["a"]\n',
        *(
            f'{line}: roles[0] "r" key {key}: cannot be combined with web_identity_token_file; remove one of them'
            for line, key in enumerate(
                ("external_id", "tags", "source_identity", "mfa_serial", "transitive_tag_keys"), start=5
            )
        ),
    ),
    bad(
        "an external_id beside an inherited web identity",
        f'[defaults]\nweb_identity_token_file = "/t"\n{ROLE}external_id = "x1"\n',
        ('6: roles[0] "r" key external_id: cannot be combined with web_identity_token_file of [defaults]; remove one'),
        seen=False,
    ),
    bad(
        "a space in the profile",
        f'[[roles]]\nprofile = "my role"\n{ARN}source_profile = "default"\n',
        (
            '2: roles[0] "my role" key profile: contains " " at position 3; allowed are letters A-Z a-z, digits '
            "and _.@/%:+-"
        ),
    ),
    bad(
        "a letter that not every SDK reads in the profile",
        f'[[roles]]\nprofile = "é"\n{ARN}source_profile = "default"\n',
        ('2: roles[0] "é" key profile: contains "é" at position 1; allowed are letters A-Z a-z, digits and _.@/%:+-'),
    ),
    bad(
        "the profile DEFAULT",
        f'[[roles]]\nprofile = "DEFAULT"\n{ARN}source_profile = "default"\n',
        (
            '2: roles[0] "DEFAULT" key profile: "DEFAULT" would leak into every profile in Python; the default '
            'profile is "default"'
        ),
        seen=False,
    ),
    bad(
        "the profile __proto__",
        f'[[roles]]\nprofile = "__proto__"\n{ARN}source_profile = "default"\n',
        '2: roles[0] "__proto__" key profile: "__proto__" breaks the JavaScript SDK; choose another name',
        seen=False,
    ),
    bad(
        "the config file's way of naming a profile",
        f'[[roles]]\nprofile = "profile prod"\n{ARN}source_profile = "default"\n',
        (
            '2: roles[0] "profile prod" key profile: "profile prod" starts with "profile ", which belongs to '
            "headers of ~/.aws/config; write the name alone"
        ),
    ),
    bad(
        "a profile like an option",
        f'[[roles]]\nprofile = "-p"\n{ARN}source_profile = "default"\n',
        (
            '2: roles[0] "-p" key profile: "-p" starts with "-", which every command takes for an option; start '
            "it with a letter"
        ),
        seen=False,
    ),
    bad(
        "a profile that no credential_process line can hold",
        f'[[roles]]\nprofile = "a%b"\n{ARN}source_profile = "default"\ndeliver = "process"\n',
        ('2: roles[0] "a%b" key profile: contains %, which no credential_process may; rename it, or deliver = "keys"'),
        seen=False,
    ),
    *(
        bad(
            f"role_arn that {wrong}",
            f'[[roles]]\nprofile = "r"\nrole_arn = "{arn}"\nsource_profile = "default"\n',
            f'3: roles[0] "r" key role_arn: "{arn}" {wrong}; expected e.g. arn:aws:iam::123456789012:role/NAME',
        )
        for arn, wrong in (
            ("prod", "is not an ARN"),
            ("arn:aws:sts::123456789012:assumed-role/R/s", "is the ARN of a session, not of a role"),
            (
                "arn:amazon:iam::123456789012:role/R",
                "has an unknown partition (aws, aws-cn, aws-us-gov and other aws-… exist)",
            ),
            ("arn:aws:s3:::bucket-of-mine", "is not an ARN of IAM"),
            ("arn:aws:iam::12345:role/R", "has no account of 12 digits"),
            ("arn:aws:iam::١٢٣٤٥٦٧٨٩٠١٢:role/R", "has no account of 12 digits"),
            ("arn:aws:iam::123456789012:user/alice", "is not the ARN of a role"),
            (
                "arn:aws:iam::123456789012:role/a b",
                "has no valid role name (1 to 64 letters, digits and _+=,.@- after the last /)",
            ),
        )
    ),
    bad(
        "role_arn too long",
        f'[[roles]]\nprofile = "r"\nrole_arn = "arn:aws:iam::123456789012:role/{"x" * 2048}"\nsource_profile = "s"\n',
        (
            '3: roles[0] "r" key role_arn: "arn:aws:iam::123456789012:[redacted]" has no valid role name (1 to '
            "64 letters, digits and _+=,.@- after the last /); expected e.g. arn:aws:iam::123456789012:role/NAME"
        ),
    ),
    bad(
        "an empty text",
        f'{SOURCED}external_id = ""\n',
        (
            '5: roles[0] "r" key external_id: is empty; expected e.g. external_id = "my-external-id", or leave '
            "the line out"
        ),
    ),
    bad(
        "external_id too short",
        f'{SOURCED}external_id = "x"\n',
        '5: roles[0] "r" key external_id: has a length of 1; 2 to 1224 are allowed',
    ),
    bad(
        "external_id too long",
        f'{SOURCED}external_id = "{"x" * 1225}"\n',
        '5: roles[0] "r" key external_id: has a length of 1225; 2 to 1224 are allowed',
    ),
    bad(
        "external_id with a character that STS refuses, which is not shown whole",
        f'{SOURCED}external_id = "ab#cd"\n',
        (
            '5: roles[0] "r" key external_id: contains "#" at position 3; allowed are letters A-Z a-z, digits '
            "and _+=,.@:/-"
        ),
    ),
    bad(
        "role_session_name",
        f'{SOURCED}role_session_name = "alice@corp mac"\n',
        (
            '5: roles[0] "r" key role_session_name: contains " " at position 11; allowed are letters A-Z a-z, '
            "digits and _+=,.@-"
        ),
    ),
    bad(
        "role_session_name too long",
        f'{SOURCED}role_session_name = "{"a" * 65}"\n',
        '5: roles[0] "r" key role_session_name: has a length of 65; 2 to 64 are allowed',
    ),
    *(
        bad(
            f"duration_seconds = {value}",
            f"{SOURCED}duration_seconds = {value}\n",
            f'5: roles[0] "r" key duration_seconds: {said}',
            seen=seen,
        )
        for value, said, seen in (
            ("899", "is 899; 900 to 43200 seconds are allowed", True),
            ("43201", "is 43201; 900 to 43200 seconds are allowed", True),
            ('"1h"', "is a string; expected a whole number, e.g. duration_seconds = 3600", True),
            ("true", "is true; expected a whole number, e.g. duration_seconds = 3600", True),
            (
                "3600.0",  # JSON Schema calls it an integer
                "is 3600.0; expected a whole number, e.g. duration_seconds = 3600",
                False,
            ),
            ("[3600]", "is a list; expected a whole number, e.g. duration_seconds = 3600", True),
            ("{ a = 1 }", "is a table; expected a whole number, e.g. duration_seconds = 3600", True),
            ("2026-01-01", "is a date or time; expected a whole number, e.g. duration_seconds = 3600", True),
            (f"0x{'f' * 20}", "is a number of more than 64 bits; 900 to 43200 seconds are allowed", True),
        )
    ),
    bad(
        "mfa_serial",
        f'{SOURCED}mfa_serial = "123"\n',
        '5: roles[0] "r" key mfa_serial: has a length of 3; 9 to 256 are allowed',
    ),
    bad(
        "region",
        f'{SOURCED}region = "us-west2"\n',
        '5: roles[0] "r" key region: "us-west2" is not a valid region; expected e.g. region = "us-west-2"',
    ),
    bad(
        "a policy that is no JSON",
        f"{SOURCED}policy = '{{\"Statement\": ['\n",
        '5: roles[0] "r" key policy: is not JSON: expecting value in its line 1, column 16',
        seen=False,
    ),
    bad(
        "a policy without a statement",
        f'{SOURCED}policy = {{ Version = "2012-10-17" }}\n',
        (
            '5: roles[0] "r" key policy: is JSON, but not a policy: it has no Statement; expected e.g. policy = '
            '{ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = "s3:Get*", Resource = "*" }] }'
        ),
    ),
    bad(
        "a policy with a date that is not text",
        f"{SOURCED}policy = {{ Version = 2012-10-17, Statement = [] }}\n",
        (
            '5: roles[0] "r" key policy: contains what JSON cannot express (a date, inf, a huge number); write '
            "it in quotes"
        ),
        seen=False,
    ),
    bad(
        "a policy of another type",
        f"{SOURCED}policy = 1\n",
        (
            '5: roles[0] "r" key policy: is 1; expected JSON text or a table, e.g. policy = { Version = '
            '"2012-10-17", Statement = [{ Effect = "Allow", Action = "s3:Get*", Resource = "*" }] }'
        ),
    ),
    bad(
        "a policy with a character beyond Latin-1",
        f'{SOURCED}policy = \'{{"Statement": "→"}}\'\n',
        ('5: roles[0] "r" key policy: contains a character beyond Latin-1, which STS refuses; write it as \\uXXXX'),
        seen=False,
    ),
    bad(
        "a policy too long",
        f'{SOURCED}policy = \'{{"Statement": "{"x" * 2032}"}}\'\n',
        (
            '5: roles[0] "r" key policy: has, with policy_arns, a length of 2049; 2048 characters are allowed; a '
            "table instead of text leaves out the spaces"
        ),
    ),
    bad(
        "a policy too long together with policy_arns",
        f'{SOURCED}policy = {{ Statement = "{"x" * 2000}" }}\n'
        'policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]\n',
        '5: roles[0] "r" key policy: has, with policy_arns, a length of 2054; 2048 characters are allowed',
        seen=False,
    ),
    bad(
        "policy_arns of another kind",
        f'{SOURCED}policy_arns = ["arn:aws:iam::123456789012:role/R"]\n',
        (
            '5: roles[0] "r" key policy_arns: item 1 is "arn:aws:iam::123456789012:role/R"; expected e.g. '
            'policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]'
        ),
    ),
    bad(
        "policy_arns as text",
        f'{SOURCED}policy_arns = "arn:aws:iam::aws:policy/ReadOnlyAccess"\n',
        (
            '5: roles[0] "r" key policy_arns: is a string; expected a list of strings, e.g. policy_arns = '
            '["arn:aws:iam::aws:policy/ReadOnlyAccess"]'
        ),
    ),
    bad(
        "eleven policy_arns",
        f"{SOURCED}policy_arns = {[f'arn:aws:iam::aws:policy/P{n}' for n in range(11)]}\n",
        '5: roles[0] "r" key policy_arns: has 11 items; at most 10 are allowed',
    ),
    bad(
        "a policy_arn twice",
        f"{SOURCED}policy_arns = {['arn:aws:iam::aws:policy/P'] * 2}\n",
        '5: roles[0] "r" key policy_arns: item 2 repeats "arn:aws:iam::aws:policy/P"; list it once',
        seen=False,
    ),
    bad(
        "a tag that is no text",
        f"{SOURCED}tags = {{ cost = 7 }}\n",
        '5: roles[0] "r" key tags: value of "cost" is 7; expected a string',
    ),
    bad(
        "a tag in a table of its own",
        f"{SOURCED}[roles.tags]\ncost = 7\n",
        '5: roles[0] "r" key tags: value of "cost" is 7; expected a string',
    ),
    bad(
        "tags that differ in case alone",
        f'{SOURCED}tags = {{ Team = "a", team = "b" }}\n',
        '5: roles[0] "r" key tags: "Team" and "team" are the same tag to AWS; keep one',
        seen=False,
    ),
    bad(
        "a tag that AWS keeps for itself",
        f'{SOURCED}tags = {{ "aws:x" = "a" }}\n',
        '5: roles[0] "r" key tags: name "aws:x" starts with "aws:", which AWS reserves; choose another name',
        seen=False,
    ),
    bad(
        "characters that no tag may have",
        f'{SOURCED}tags = {{ "a#" = "b\\n" }}\n',
        '5: roles[0] "r" key tags: name "a#" contains "#"; allowed are letters, digits, spaces and _.:/=+-@',
        ('5: roles[0] "r" key tags: value of "a#" contains "\\n"; allowed are letters, digits, spaces and _.:/=+-@'),
        seen=False,
    ),
    bad(
        "a tag value too long",
        f'{SOURCED}tags = {{ a = "{"b" * 257}" }}\n',
        '5: roles[0] "r" key tags: value of "a" has a length of 257; 0 to 256 are allowed',
    ),
    bad(
        "51 tags",
        f"{SOURCED}[roles.tags]\n" + "".join(f'k{n} = "v"\n' for n in range(51)),
        '5: roles[0] "r" key tags: has 51 tags; at most 50 are allowed',
    ),
    bad(
        "a transitive key that is no tag",
        f'{SOURCED}tags = {{ a = "b" }}\ntransitive_tag_keys = ["c"]\n',
        '6: roles[0] "r" key transitive_tag_keys: transitive tag "c" is not a tag of this role; add it to tags',
        seen=False,
    ),
    bad(
        "tags that lack an inherited transitive key",
        f'[defaults]\ntags = {{ c = "d" }}\ntransitive_tag_keys = ["c"]\n{SOURCED}tags = {{ a = "b" }}\n',
        '8: roles[0] "r" key tags: transitive tag "c" is not a tag of this role; add it to tags',
        seen=False,
    ),
    bad(
        "a source identity that AWS keeps for itself",
        f'{SOURCED}source_identity = "aws:alice"\n',
        ('5: roles[0] "r" key source_identity: "aws:alice" starts with "aws:", which AWS reserves; name the user'),
    ),
    bad(
        "deliver",
        f'{SOURCED}deliver = "proces"\n',
        '5: roles[0] "r" key deliver: "proces" is not "keys" or "process"; did you mean "process"?',
    ),
    bad(
        "enabled",
        f'{SOURCED}enabled = "no"\n',
        '5: roles[0] "r" key enabled: is a string; expected true or false, e.g. enabled = true',
    ),
    bad(
        "two roles for one profile",
        f"{SOURCED}\n{SOURCED}",
        '7: roles[1] "r" key profile: is also set at line 2; give each role its own profile',
        seen=False,
    ),
    bad(
        "a role that is its own source",
        f'{ROLE}source_profile = "r"\n',
        '4: roles[0] "r" key source_profile: cycle: r -> r; one of them needs a source outside this file',
        seen=False,
    ),
    bad(
        "a role that is its own source by the defaults",
        f'[defaults]\nsource_profile = "r"\n{ROLE}',
        '3: roles[0] "r" key source_profile: cycle: r -> r; one of them needs a source outside this file',
        seen=False,
    ),
    bad(
        "a circle, and a role that hangs on it",
        "".join(
            f'[[roles]]\nprofile = "{name}"\n{ARN}source_profile = "{source}"\n'
            for name, source in (("x", "c"), ("a", "b"), ("b", "c"), ("c", "a"))
        ),
        ('8: roles[1] "a" key source_profile: cycle: a -> b -> c -> a; one of them needs a source outside this file'),
        seen=False,
    ),
    bad(
        "a chained role that asks for more than an hour",
        f'{SOURCED}[[roles]]\nprofile = "c"\n{ARN}source_profile = "r"\nduration_seconds = 3601\n',
        (
            '9: roles[1] "c" key duration_seconds: is 3601, but AWS ends chained sessions (source "r") after '
            "3600 s; write at most that"
        ),
        seen=False,
    ),
    bad(
        "a disabled source",
        f'{SOURCED}enabled = false\n[[roles]]\nprofile = "c"\n{ARN}source_profile = "r"\n',
        '9: roles[1] "c" key source_profile: is "r", whose role at line 1 is disabled; enable or disable both',
        seen=False,
    ),
    bad(
        "an MFA device on a chained role",
        f'{SOURCED}[[roles]]\nprofile = "c"\n{ARN}source_profile = "r"\nmfa_serial = "123456789"\n',
        (
            '9: roles[1] "c" key mfa_serial: has no effect: the source "r" is a role and has no MFA device; set '
            "it where the source is a user"
        ),
        seen=False,
    ),
    bad(
        "a tag that the chain passes on already",
        f'{SOURCED}tags = {{ Team = "x" }}\ntransitive_tag_keys = ["team"]\n'
        f'[[roles]]\nprofile = "c"\n{ARN}source_profile = "r"\n'
        f'[[roles]]\nprofile = "d"\n{ARN}source_profile = "c"\n[roles.tags]\nteam = "y"\n',
        '16: roles[2] "d" key tags.team: is already passed on by "c", and AWS refuses it twice; remove it',
        seen=False,
    ),
    bad(
        "every problem of a file, in its order",
        'log_level = "loud"\n[defaults]\nregion = "here"\n[[roles]]\nprofile = "a b"\nrole_arn = "x"\n'
        f'[[roles]]\nprofile = "c"\n{ARN}sourceprofile = "default"\n',
        '1: key log_level: "loud" is not "debug", "info", "warning" or "error"',
        '3: [defaults] key region: "here" is not a valid region; expected e.g. region = "us-west-2"',
        (
            '4: roles[0] "a b": has no source; set source_profile = "default", or credential_source or '
            "web_identity_token_file"
        ),
        ('5: roles[0] "a b" key profile: contains " " at position 2; allowed are letters A-Z a-z, digits and _.@/%:+-'),
        '6: roles[0] "a b" key role_arn: "x" is not an ARN; expected e.g. arn:aws:iam::123456789012:role/NAME',
        (
            '7: roles[1] "c": has no source; set source_profile = "default", or credential_source or '
            "web_identity_token_file"
        ),
        '10: roles[1] "c" key sourceprofile: is unknown; did you mean source_profile?',
    ),
]

SYNTAX = [
    (
        'profile = "r\n',
        "1: is not TOML: Illegal character '\\n' (at line 1, column 13); close the string with \"",
    ),
    (
        "profile\n",
        (
            "1: is not TOML: Expected '=' after a key in a key/value pair (at line 1, column 8); write key = "
            'value, e.g. profile = "my-role"'
        ),
    ),
    (
        "region = us-west-2\n",
        ('1: is not TOML: Invalid value (at line 1, column 10); put strings in quotes, e.g. region = "us-west-2"'),
    ),
    (
        "\n[[roles]\n",
        (
            "2: is not TOML: Expected ']]' at the end of an array declaration (at line 2, column 8); write "
            "[[roles]] with two brackets on either side"
        ),
    ),
    (
        "a = 1\na = 2\n",
        "2: is not TOML: Cannot overwrite a value (at line 2, column 6); the key is set twice; keep one",
    ),
    (
        "[a]\n[a]\n",
        (
            "2: is not TOML: Cannot declare ('a',) twice (at line 2, column 3); the table exists already; write "
            "[[roles]] with two brackets for each role"
        ),
    ),
    ("a = [1\n", "1: is not TOML: Unclosed array (at end of document); close the list with ]"),
    (
        "a = 1 b = 2\n",
        (
            "1: is not TOML: Expected newline or end of document after a statement (at line 1, column 7); write "
            "one key = value on each line"
        ),
    ),
    (
        'a = "\\q"\n',
        (
            "1: is not TOML: Unescaped '\\' in a string (at line 1, column 8); write \\\\ for a backslash, or put "
            "the string in single quotes"
        ),
    ),
    (f"a = {'[' * 5000}", "1: is nested too deeply; two levels are enough for every option"),
    (f"a = {'9' * 5000}", "1: contains a number of thousands of digits; no option needs one"),
]

GOOD = {
    "the smallest": SOURCED,
    "inherited source": f'[defaults]\nsource_profile = "default"\n{ROLE}',
    "inherited arn": f'[defaults]\n{ARN}source_profile = "default"\n[[roles]]\nprofile = "r"\n',
    "inline": 'roles = [{ profile = "r", role_arn = "arn:aws:iam::123456789012:role/R", source_profile = "s" }]\n',
    "web identity": f'[defaults]\nexternal_id = "x1"\nsource_profile = "s"\n{ROLE}web_identity_token_file = "t"\n',
    "china": SOURCED.replace("aws:iam", "aws-cn:iam") + 'region = "cn-north-1"\n',
    "us-gov": SOURCED.replace("aws:iam", "aws-us-gov:iam") + 'region = "us-gov-west-1"\n',
    "europe": SOURCED.replace("aws:iam", "aws-eusc:iam") + 'region = "eusc-de-east-1"\n',
    "hooks": f'[hooks]\nafter_renewal = ["sh", "-c", "date >> $HOME/log"]\nafter_failure = "say no"\n{SOURCED}',
    "everything": f"""
log_level = "warning"
log_format = "json"
credentials_file = "creds"
[defaults]
duration_seconds = 43200
deliver = "process"
{SOURCED}external_id = "a:b/c"
role_session_name = "n@x"
mfa_serial = "arn:aws:iam::123456789012:mfa/alice"
region = "aws-global"
policy = '''
{{"Version": "2012-10-17", "Statement": []}}'''
policy_arns = [
  "arn:aws:iam::aws:policy/ReadOnlyAccess",   # a comment ]
  "arn:aws:iam::123456789012:policy/path/Own",
]
transitive_tag_keys = ["Name mit Umläuten"]
source_identity = "alice"
enabled = false
[roles.tags]
"Name mit Umläuten" = ""
z = "1/2 @x"
""",
}
