"""`assumed completion SHELL`: click's own script, and the profiles that complete."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


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
    click.echo(script(shell), nl=False)
    return 0


def script(shell: str) -> str:
    """click's completion script of a shell."""
    from click.shell_completion import ShellComplete, get_completion_class

    from .app import app

    made = (get_completion_class(shell) or ShellComplete)(app, {}, "assumed", "_ASSUMED_COMPLETE")
    text = ShellComplete.source(made).strip() + "\n"  # that of the class for bash starts bash to ask for its version
    # Autoloaded from $fpath, click's script for zsh offers nothing the second time.
    return text.replace("$zsh_eval_context[-1] == loadautofunc", "$funcstack[1] == _assumed")


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
