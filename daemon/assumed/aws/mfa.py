"""MFA without a person: what cannot work, and what to do instead. No advice here may cost a user the long-term keys."""

from __future__ import annotations


def cannot_be_typed(serial: str) -> str:
    """What to do where the device gives no code at all (a security key or passkey); empty where it does."""
    if ":u2f/" not in serial and ":fido" not in serial:
        return ""
    return (
        f"{serial} is a security key: it gives no code, so no session can be made with it. Register a virtual MFA "
        "device (an authenticator app) for that user and name it in mfa_serial, or sign in by IAM Identity Center"
    )


def get_session(serial: str, source: str, setting: str, *, without: bool = False) -> str:
    """How to sign with a session that carries MFA. It goes into a profile of its own: written into `source` it would
    replace the long-term keys, which exist nowhere else.

    `setting`: what has to name that profile then; `without`: whether mfa_serial has to go from there, because SDKs
    prompt as long as it is set.
    """
    source = source or "KEYS"
    other, gone = f"{source}-mfa", " and delete its mfa_serial" if without else ""
    return (
        f"run: aws sts get-session-token --profile {source} --serial-number {serial} --token-code CODE; save its three "
        f"values as another profile, {other} (never as {source}, whose keys the next session needs); then set "
        f'{setting} to "{other}"{gone}. Such a session ends after 36 hours at most'
    )
