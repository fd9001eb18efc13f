"""At which addresses browsers offer passkeys."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def accepts_passkeys(origin: str) -> bool:
    """Whether browsers offer passkeys at an origin: at a name by https, or at `localhost`.

    WebAuthn Level 3, 5.1.3 step 8 and 13.4.9: the effective domain has to be a domain, and the context secure.
    """
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if host == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return parts.scheme == "https" and bool(host)
    return False
