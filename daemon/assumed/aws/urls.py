"""URLs of proxies and endpoints: what is wrong with one, without saying what it holds."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_ENCODE = "percent-encode the user name and password in the URL (# is %23, / is %2F, ? is %3F, @ is %40)"

Fault = tuple[str, str]
"""What is wrong, as the end of a sentence, and what to do."""


def host_of(url: str) -> str:
    """Host and port of a URL; nothing else of it may be shown."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return ""


def is_of_this_machine(url: str) -> bool:
    """Whether a URL's host is this machine: what is sent there passes no network."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    if host in ("localhost", "localhost.localstack.cloud") or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_unencrypted(url: str) -> bool:
    """Whether what is sent to a URL can be read on its way."""
    return url.lower().startswith("http://") and not is_of_this_machine(url)


def passwords(url: str) -> list[str]:
    """The password in a URL as it stands there and as it is meant, also where it should have been percent-encoded."""
    user_info = re.sub(r"^(?:[A-Za-z][A-Za-z0-9+.-]*:)?//", "", url.rpartition("@")[0])
    password = user_info.partition(":")[2]
    return list(dict.fromkeys(one for one in (password, unquote(password)) if one))


def credential_fault(url: str) -> Fault | None:
    """Why host and port of a URL cannot be told from its user name and password, or at all."""
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        return "contains a space or a control character", _ENCODE
    try:
        parts = urlsplit(url)
    except ValueError:
        return "is not a valid URL", "expected e.g. https://host.example.com:8080"
    if "@" in url.partition("://")[2].removeprefix(parts.netloc):
        # Cut off at the first of them, what is left of the password would be taken for a host and a port.
        return "has a user name or password that contains #, / or ?", _ENCODE
    try:
        valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    return None if valid else ("has no valid host and port", "expected e.g. https://host.example.com:8080")


def proxy_fault(url: str) -> Fault | None:
    """Why a proxy's URL cannot be used. Without a scheme it is http's, as for curl and botocore."""
    named = _SCHEME.match(url.removeprefix("http://")) or _SCHEME.match(url)  # botocore prepends http:// to others
    scheme = named[1].lower() if named else "http"
    if scheme.startswith("socks"):
        return "is a SOCKS proxy, which is not supported", "use the address of an HTTP proxy"
    if scheme not in ("http", "https"):
        return "has a scheme other than http and https", "expected e.g. http://proxy.example.com:8080"
    fault = credential_fault(url if named else f"http://{url.removeprefix('//')}")
    if fault is None and not url.isascii():
        return (
            "contains characters that are not ASCII",
            "percent-encode the user name; use a password of ASCII characters",
        )
    return fault
