"""`assumed completion SHELL`, and the words that complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of SHELL: commands, options, and the profiles of your configuration.

    \b
    Examples:
      echo 'eval "$(assumed completion bash)"' >> ~/.bashrc
      echo 'eval "$(assumed completion zsh)"' >> ~/.zshrc
      assumed completion fish > ~/.config/fish/completions/assumed.fish
    """
    from click.shell_completion import get_completion_class

    from .app import app

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(kind(app, {}, "assumed", "_ASSUMED_COMPLETE").source())
    return 0


def complete_profiles(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Profiles of the configuration that begin with `incomplete`; none where it cannot be read."""
    from click.shell_completion import CompletionItem

    from assumed.core.errors import AssumedError

    from .place import configuration

    try:
        config = configuration(ctx.params.get("config_path"))
    except (AssumedError, OSError):
        return []  # a completion that prints an error would garble the line being typed
    return [
        CompletionItem(role.profile, help=role.role_arn) for role in config.roles if role.profile.startswith(incomplete)
    ]
