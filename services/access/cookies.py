"""The session of a person as a browser keeps it."""

from __future__ import annotations

__all__ = ["form_cookie", "session_cookie"]


def session_cookie(*, secure: bool) -> str:
    """Name of the cookie that holds a session's token. `__Host-`: browsers take it from https alone, for this host
    alone, so that no neighbour can plant one (RFC 6265bis, section 4.1.3.2)."""
    return "__Host-millmark-session" if secure else "millmark-session"


def form_cookie(*, secure: bool) -> str:
    """Name of the cookie that a form's token is bound to."""
    return "__Host-millmark-form" if secure else "millmark-form"
