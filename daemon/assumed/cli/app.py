"""The command line: which commands there are, and the one place where an error becomes a status."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from assumed.errors import AlreadyRunning, AssumedError, ConfigError, NotRunning
from assumed.redact import printable

from .terminal import nearest, prepare, say, write

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["nearest", "say"]

OK, FAILING, USAGE, NOT_RUNNING, ANOTHER_INSTANCE = range(5)
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""Where files of assumed meet these, it is a FileRefused: here it is stdout that cannot be written."""
NO_DAEMON = "the daemon is not running; start it with `assumed service install`, or in a terminal with `assumed run`"

COMMANDS = {
    "run": ("run:run", "Keep the roles assumed, in the foreground (systemd and launchd start this)."),
    "once": ("renew:once", "Renew every due role now, then exit: for cron, CI and containers."),
    "check": ("check:check", "Validate the configuration and its surroundings."),
    "status": ("status:status", "Show every role: time left, next renewal, last error."),
    "metrics": ("status:metrics", "Print Prometheus metrics, or write them for node_exporter."),
    "refresh": ("renew:refresh", "Renew roles now, whatever life they have left."),
    "wait": ("renew:wait", "Wait until roles are fresh: for job scripts."),
    "credential-process": ("sessions:credential_process", "Print a session in AWS's credential_process format."),
    "exec": ("sessions:exec_", "Run a command with a credentials endpoint of its own."),
    "serve": ("sessions:serve", "Serve the same endpoint on a chosen port: for sidecars."),
    "probe": ("status:probe", "Report by exit status whether a container is alive, or ready."),
    "env": ("sessions:env", "Print a session as environment variables."),
    "service": ("service:service", "Install the daemon as a service, look at it, remove it."),
    "demo": ("demo:demo", "Watch roles being kept, without an AWS account."),
    "completion": ("app:completion", "Print the completion script of a shell."),
}
"""Name → (module:attribute, short help). The help stands here so that `assumed --help` imports no command."""

Function = TypeVar("Function", bound=Callable[..., Any])


class ReaderGone(Exception):
    """The reader of our output (`| head`) has gone."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called for, and suggests the nearest name for a typo."""

    known = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.known)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.known:
            return None
        module, _, attribute = self.known[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"assumed.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.known.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.known and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command '{args[0]}'.{nearest(args[0], self.known)}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        # click itself would end with status 1, which here means a failing role.
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise ReaderGone from None
        return status

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=text) for name, (_, text) in self.known.items() if name.startswith(incomplete)
        ]


def config_option(function: Function) -> Function:
    """`--config PATH`, which may also stand before the command. None: the usual places are searched."""
    return click.option(
        "--config",
        "config_path",
        metavar="PATH",
        type=click.Path(path_type=Path),
        callback=lambda ctx, _param, value: value or ctx.find_object(Path),
        help="Configuration file [default: $ASSUMED_CONFIG, ~/.config/assumed/config.toml, /etc/assumed/config.toml].",
    )(function)


def complete_profiles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Kept profiles that begin with `incomplete` and are not named yet; none where no configuration can be read."""
    from click.shell_completion import CompletionItem

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


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import requires, version

    from assumed import __version__

    python, system = sys.version.split()[0], os.uname()
    needed = [line for line in requires("assumed") or [] if "extra ==" not in line]
    parts = ["botocore", *(re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed)]
    libraries = ", ".join(f"{name} {version(name)}" for name in parts)
    place = f"{system.sysname} {system.release} {system.machine}"
    click.echo(f"assumed {__version__} (Python {python}, {libraries}, {place})")
    ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit status: 0 OK, 1 a role is failing or the daemon does not answer, 2 usage or configuration error, "
    "3 the daemon is not running, 4 another instance already keeps that credentials file. "
    "`assumed COMMAND --help` shows examples.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="The versions of all parts.",
)
@config_option
@click.pass_context
def app(ctx: click.Context, config_path: Path | None) -> None:
    """Keeps AWS roles assumed.

    assumed reads a list of roles, assumes each one before its session runs out, and keeps the profiles in
    ~/.aws/credentials fresh for as long as the machine is on. Start it once, as a service, and use the
    profiles as you always did.

    \b
    Examples:
      assumed check              is the configuration right, and will my tools see the profiles?
      assumed run                keep the roles, in this terminal
      assumed status --watch     how long does each session last, and what fails?
      aws s3 ls --profile my-role
    """
    ctx.obj = config_path


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

    made = (get_completion_class(shell) or ShellComplete)(app, {}, "assumed", "_ASSUMED_COMPLETE")
    text = ShellComplete.source(made).strip() + "\n"  # that of the class for bash starts bash to ask for its version
    # Autoloaded from $fpath, click's script for zsh offers nothing the second time.
    return text.replace("$zsh_eval_context[-1] == loadautofunc", "$funcstack[1] == _assumed")


def main(arguments: list[str]) -> int:
    """Run one command; every error raised on purpose becomes a sentence on stderr and an exit status."""
    prepare()
    try:
        status = app.main(arguments, prog_name="assumed", standalone_mode=False)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        write([printable(line) for line in shown.getvalue().splitlines()], sys.stderr)
        return USAGE
    except AssumedError as error:
        return failed(error)
    except OSError as error:
        if error.errno not in FULL:
            raise
        _give_up_on_stdout()
        say(f"cannot write to stdout: {error.strerror}")
        return FAILING
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except ReaderGone:
        _give_up_on_stdout()
        return 128 + signal.SIGPIPE
    return status if isinstance(status, int) else OK


def failed(error: AssumedError) -> int:
    """Say an error; returns the exit status."""
    if isinstance(error, ConfigError):
        for problem in error.problems:
            say(problem)
        if error.example:
            click.echo(error.example, err=True)
        return USAGE
    say(str(error))
    if isinstance(error, NotRunning):
        return NOT_RUNNING
    return ANOTHER_INSTANCE if isinstance(error, AlreadyRunning) else FAILING


def _give_up_on_stdout() -> None:
    """Nothing is written any more, also not when the interpreter flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
