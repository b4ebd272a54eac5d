"""The way to AWS: proxies and endpoints, as the environment and the AWS files name them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from assumed.aws.urls import credential_fault, is_unencrypted, passwords, proxy_fault
from assumed.aws.variables import ENDPOINT, PROXIES, shown
from assumed.model import Finding

OURS = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
"""Those that botocore takes; the names in lower case first, as urllib does."""
UNENCRYPTED = "is plain http off this machine: anyone on the way can read every session"


def proxies(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Proxies that no call can use."""
    for name in OURS:
        fault = proxy_fault(environ[name]) if environ.get(name) else None
        if fault is not None:
            yield Finding("error", f"${name}", *fault)


def endpoints(urls: Iterable[str]) -> Iterator[Finding]:
    """Endpoints of STS that cannot be used, or not without others reading along."""
    for url in sorted(set(urls)):
        fault = credential_fault(url)
        if fault is not None:
            yield Finding("error", "the STS endpoint URL", *fault)
        elif is_unencrypted(url):
            yield Finding("warning", f"the STS endpoint {shown(ENDPOINT, url)}", UNENCRYPTED, "use an https:// URL")


def secrets(environ: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """Variables that hold a URL with a password, and what of it may never be shown."""
    for name, value in environ.items():
        if name in PROXIES or name.startswith(ENDPOINT):
            yield name, passwords(value)
