"""TLS that fails: most often the CA bundle in use, which is a file on this machine and no matter of the network."""

from __future__ import annotations

import os
from typing import Any

from botocore import exceptions as boto

from assumed.errors import RenewalFailed
from assumed.model import FailureKind

from .source_files import BUNDLE_VARIABLES, bundle_fault


def bundle_of(session: Any) -> str | None:
    """The CA bundle that a botocore session's clients trust; None for the machine's own or botocore's."""
    return session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE")


def bundle_of_client(client: Any) -> str | None:
    """The same of a client, which alone knows what its profile says. Not public: should it move, the environment is
    asked."""
    used = getattr(getattr(getattr(client, "_endpoint", None), "http_session", None), "_verify", None)
    if isinstance(used, str):
        return used
    return next((os.environ[name] for name in BUNDLE_VARIABLES if os.environ.get(name)), None)


def trust_failure(error: Exception, bundle: str | None) -> RenewalFailed | None:
    """What a failure of TLS means; None for any other error."""
    if not isinstance(error, boto.SSLError):
        return None
    text = str(error)
    if bundle and (fault := bundle_fault(bundle)):
        message = f"the CA bundle {bundle} {fault}, so no certificate can be checked"
        return _failure("CABundle", message, f"correct {_named(bundle)}, or unset it to trust the machine's own CAs")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        host = text.partition("://")[2].partition("/")[0] or "the server"
        reason = text.rpartition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        message = f"the certificate of {host} is not trusted ({reason})"
        if bundle:
            return _failure(
                "Certificate", f"{message} by the CA bundle {bundle}", f"add the CA that signs it to {bundle}"
            )
        advice = (
            "if a proxy inspects TLS, set AWS_CA_BUNDLE to a file with its CA; else check the clock and the endpoint"
        )
        return _failure("Certificate", message, advice)
    return _failure("SSLError", text, "check that the endpoint or proxy speaks TLS at that port")


def _named(bundle: str) -> str:
    """The setting that names it."""
    return next(
        (name for name in BUNDLE_VARIABLES if os.environ.get(name) == bundle), "ca_bundle in the AWS config file"
    )


def _failure(code: str, message: str, advice: str) -> RenewalFailed:
    return RenewalFailed(FailureKind.UNREACHABLE, code, message, advice)
