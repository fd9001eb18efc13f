"""Names of the portal's cookies."""

from __future__ import annotations

__all__ = ["form_cookie", "session_cookie"]


def session_cookie(*, secure: bool) -> str:
    """Name of the cookie that holds a session's token. With the prefix `__Host-`, browsers accept it only over https
    and only from this host, so that no sibling domain can plant one (RFC 6265bis, section 4.1.3.2)."""
    return "__Host-millmark-session" if secure else "millmark-session"


def form_cookie(*, secure: bool) -> str:
    """Name of the cookie to which the tokens of forms are bound (CSRF protection)."""
    return "__Host-millmark-form" if secure else "millmark-form"
