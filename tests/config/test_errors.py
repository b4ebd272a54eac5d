"""What a person is told about a bad configuration, word for word."""

from __future__ import annotations

import pytest

from assumed.errors import ConfigError
from config.cases import BAD, FILE, SOURCED, SYNTAX, Bad, loaded


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.name)
def test_a_bad_configuration_gets_its_sentences(case: Bad) -> None:
    """Exactly these, in the order of the file: nothing is missing, and nothing follows from another error."""
    with pytest.raises(ConfigError) as caught:
        loaded(case.text)
    assert caught.value.problems == [f"{FILE}:{sentence}" for sentence in case.said]


@pytest.mark.parametrize(("text", "said"), SYNTAX, ids=[said[:40] for _, said in SYNTAX])
def test_what_is_no_toml_is_said_with_line_column_and_advice(text: str, said: str) -> None:
    """tomllib's words, and what would be right."""
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    assert caught.value.problems == [f"{FILE}:{said}"]


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        (
            {"ASSUMED_LOG_LEVEL": "loud"},
            '$ASSUMED_LOG_LEVEL: "loud" is not "debug", "info", "warning" or "error"',
        ),
        ({"ASSUMED_LOG_FORMAT": "xml"}, '$ASSUMED_LOG_FORMAT: "xml" is not "auto", "console" or "json"'),
        (
            {"AWS_SHARED_CREDENTIALS_FILE": "creds"},
            "$AWS_SHARED_CREDENTIALS_FILE: is a relative path ('creds'); set it to an absolute path",
        ),
        ({"HOME": ""}, "$HOME: is not set; set it to your home directory"),
    ],
)
def test_a_bad_environment_is_named_too(environ: dict[str, str], said: str) -> None:
    """It is not the file's fault, so the variable stands where the file would."""
    with pytest.raises(ConfigError) as caught:
        loaded(SOURCED, **environ)
    assert caught.value.problems == [said]


@pytest.mark.parametrize("key", ["role_arn", "deliver", "credential_source", "wJalr", "role_session_name"])
def test_a_key_that_was_pasted_into_the_wrong_place_is_not_quoted(key: str) -> None:
    """The sentences stand in the log, in status and on the screen that is shared in a meeting."""
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    name = f'"{secret}"' if key == "wJalr" else key
    with pytest.raises(ConfigError) as caught:
        loaded(f'[[roles]]\nprofile = "x"\n{name} = "{secret} {"x" * 80}"\n')
    assert secret not in str(caught.value)


def test_a_value_with_terminal_controls_is_shown_harmless_and_short() -> None:
    """A name may hold an escape sequence, a line end, a thousand letters."""
    with pytest.raises(ConfigError) as caught:
        loaded(SOURCED.replace('"r"', '"\\u001b[2J\\n' + "x" * 300 + '"'))
    (problem,) = caught.value.problems
    assert problem.isprintable()
    assert len(problem) < 400
