"""`assumed completion SHELL`, and the words that complete.

The scripts in `completions/` know nothing of the commands: at each TAB they ask `assumed`, by three variables, and are
answered with lines of a kind, a word and its help, with tabs between. Kinds: `plain` (a word), `file` and `dir` (the
shell knows those), `command` (another program's command line, of which so many words are complete).

click brings scripts of its own, which do without what people type: its bash one loses words with `=` or `@`, and none
completes the command of `exec`.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SCRIPTS = Path(__file__).parent / "completions"
ASKED, LINE, WORD = "_ASSUMED_COMPLETE", "_ASSUMED_LINE", "_ASSUMED_WORD"
"""Variables of a TAB: the shell, the line up to the cursor, and what bash alone takes for the word at its end."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of SHELL: commands, options, and the profiles of your configuration.

    It needs to be done once: the script asks `assumed` what fits. Packages install it by themselves, and so does
    pipx from the version on that links completions.

    \b
    Examples:
      assumed completion bash > ~/.local/share/bash-completion/completions/assumed
      assumed completion zsh > ~/.zfunc/_assumed      (a directory of your $fpath)
      assumed completion fish > ~/.config/fish/completions/assumed.fish
      eval "$(assumed completion bash)"               (this shell alone)
    """
    click.echo((SCRIPTS / f"assumed.{shell}").read_text(encoding="utf-8"), nl=False)
    return 0


def answer(environ: Mapping[str, str]) -> int:
    """Answer a TAB on stdout. Says nothing else whatever happens: it would garble the line being typed."""
    from click.shell_completion import ShellComplete

    from .app import app

    words, typed = _split(environ.get(LINE, ""))
    try:
        found = ShellComplete(app, {}, "assumed", ASKED).get_completions(words[1:], typed)
    except click.ClickException:  # the line is wrong further to the left
        return 0
    sys.stdout.write("".join(_line(item, environ, typed) for item in found))
    return 0


def _split(line: str) -> tuple[list[str], str]:
    """The complete words of a command line and the one being typed, with the quotes taken away."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    try:
        words.extend(lexer)
    except ValueError:  # in the middle of a quoted word
        return words, lexer.token
    return (words, "") if line[-1:].isspace() or not words else (words[:-1], words[-1])


def _line(item: CompletionItem, environ: Mapping[str, str], typed: str) -> str:
    if item.type != "plain":
        return f"{item.type}\t{item.value}\t\n"
    option, equals, begun = typed.partition("=")
    joined = f"{option}=" if equals and option.startswith("--") else ""
    value = str(item.value)
    match environ[ASKED]:
        case "bash":  # it replaces what it takes for the word: what comes behind the last of $COMP_WORDBREAKS
            whole, piece = joined + value, environ.get(WORD, "")
            kept = f"{option}={begun}" if joined else typed
            return f"plain {whole.removeprefix(kept.removesuffix(piece))}\n"
        case "fish":  # it replaces the whole word
            value = joined + value
    return f"plain\t{value}\t{' '.join((item.help or '').split())}\n"


def complete_profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Kept profiles that begin with `incomplete` and are not named yet; none where no configuration can be read."""
    from click.shell_completion import CompletionItem

    from assumed.errors import AssumedError
    from assumed.runtime.start import usable_config

    contexts = (ctx, ctx.find_root())
    named = next((path for each in contexts if (path := each.params.get("config_path"))), None)
    given: Iterable[str] = (ctx.params.get(param.name or "") or ()) if param.nargs == -1 else ()
    try:
        config, _ = usable_config(Path(named) if named else None)
    except (AssumedError, OSError):
        return []
    roles = [role for role in config.enabled() if role.profile not in given]
    return [CompletionItem(role.profile, help=role.role_arn) for role in roles if role.profile.startswith(incomplete)]


class ForeignEnd(click.Command):
    """A command whose last argument is another program's command line, which the shell knows how to complete."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Asked for what looks like an option: behind the program's name, it is one of the program's."""
        if ctx.params.get(self.params[-1].name or ""):
            return complete_command(ctx, self.params[-1], incomplete)
        return super().shell_complete(ctx, incomplete)


def complete_command(ctx: click.Context, param: click.Parameter, _incomplete: str) -> list[CompletionItem]:
    """How many words of the other program's command line are complete."""
    from click.shell_completion import CompletionItem

    words = ctx.params.get(param.name or "") or ()
    return [CompletionItem(str(len(words[1:] if words[:1] == ("--",) else words)), type="command")]
