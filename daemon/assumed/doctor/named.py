"""What a configuration names beside AWS's files, on this machine: the commands of hooks, the metrics' directory."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from assumed.aws.source import token_fault
from assumed.config.model import Config
from assumed.model import Finding

from . import modes


def textfile(config: Config) -> Iterator[Finding]:
    """The metrics' directory: whoever asked for the file would else learn of it from the log alone."""
    if config.metrics_textfile is None:
        return
    subject, directory = f"metrics_textfile {config.metrics_textfile}", config.metrics_textfile.parent
    if not os.path.isdir(directory):  # noqa: PTH112 (Path.is_dir raises where we may not look)
        advice = "name the directory that node_exporter reads (--collector.textfile.directory), or make this one"
        yield Finding("warning", subject, "cannot be written: its directory does not exist", advice)
    elif not os.access(directory, os.W_OK | os.X_OK) and is_read_only(directory):
        message = f"cannot be written: its directory {modes.READ_ONLY}"
        yield Finding("warning", subject, message, "mount it so that it can be written, or name another directory")
    elif not os.access(directory, os.W_OK | os.X_OK):
        advice = f"sudo setfacl -m u:$USER:rwx {shlex.quote(str(directory))}"
        yield Finding("warning", subject, "cannot be written: you may not write in its directory", advice)
    else:
        yield Finding("ok", subject, "can be written")


def hooks(config: Config, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the commands of [hooks] are there. A warning at most: a disk may be mounted later."""
    for name, (program, *_) in config.hooks.commands().items():
        if shutil.which(program, path=environ.get("PATH", os.defpath)):
            yield Finding("ok", f"hook {name}", f"runs {program}")
        else:
            where = "is not there, or not executable" if "/" in program else "is not in $PATH here"
            advice = "write the whole path of a program; a script needs `chmod +x` and a first line that begins with #!"
            yield Finding("warning", f"hook {name}", f"{program} {where}", advice)


def found_only_here(config: Config, here: str, there: str) -> dict[str, str]:
    """Hook → its program, where that is found by the $PATH `here` and not by the one `there`."""
    named = {hook: program for hook, (program, *_) in config.hooks.commands().items() if "/" not in program}
    return {
        hook: program
        for hook, program in named.items()
        if shutil.which(program, path=here) and not shutil.which(program, path=there)
    }


def is_read_only(path: Path) -> bool:
    """Whether the file system is mounted read-only there: then no mode or owner is to blame."""
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def has_acl(path: Path) -> bool:
    """Whether a file has an access control list beyond its mode; False where the system has none."""
    try:
        return "system.posix_acl_access" in os.listxattr(path)
    except (AttributeError, OSError):
        return False


def token_files(config: Config) -> Iterator[Finding]:
    """Web identity tokens: there, readable, and not empty."""
    for path in dict.fromkeys(role.web_identity_token_file for role in config.enabled()):
        if path is None:
            continue
        fault = token_fault(Path(path))
        subject, advice = f"web_identity_token_file {path}", "look at what writes it, and as which user"
        yield Finding("error", subject, fault, advice) if fault else Finding("ok", subject, "can be read")
