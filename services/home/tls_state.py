"""What is wrong with the certificate of a home's gateway, or soon will be."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from millmark.ledger.errors import InputError, SettingsError
from millmark.services.home.authority import is_own, show_certificate
from millmark.services.home.lacking import Missing
from millmark.services.home.layout import Layout
from millmark.services.settings import Settings

_SOON = timedelta(days=30)


def find_missing_of_tls(settings: Settings, path: Path, now: datetime) -> Iterator[Missing]:
    """Whether the certificate in `path` is valid, stays so for 30 days, and is for the name of `settings.origin`."""
    layout = Layout(settings.home)
    try:
        found = show_certificate(path)
    except (InputError, SettingsError) as error:
        yield Missing(f"gateway_tls_certificate: {error.cause}", "restore it from a backup, or correct the setting")
        return
    own, host = is_own(layout, path), urlsplit(settings.origin).hostname or ""
    again = f"run `millmark --home {layout.home} tls renew`" if own else "have its authority renew it"
    renew = f"{again}, and start the gateway again"
    if now >= found.ends:
        yield Missing(f"the certificate {path} expired on {found.ends:%Y-%m-%d}, so nobody can connect", renew)
    elif now + _SOON >= found.ends:
        yield Missing(f"the certificate {path} expires on {found.ends:%Y-%m-%d}", renew)
    elif now < found.begins:
        yield Missing(f"the certificate {path} is valid from {found.begins:%Y-%m-%d} only", "compare the clock")
    # Whoever comes through a proxy sees the proxy's certificate; whether there is one, this machine cannot know.
    if not found.covers(host):
        names = ", ".join(found.names) or "no name"
        yield Missing(
            f"the certificate {path} is for {names}, not for {host}, which gateway_url names",
            f"set gateway_url to its name, or have one made for {host}"
            + (f": move {layout.authority} away, then `millmark --home {layout.home} tls new {host}`" if own else ""),
        )
