"""The keys of a home that pay for transactions, as far as their addresses are known without a passphrase or token."""

from __future__ import annotations

import json
from pathlib import Path

from millmark.ledger.errors import SigningError
from millmark.ledger.keys import open_signer, read_private
from millmark.ledger.signatures import parse_address
from millmark.ledger.store import Connection
from millmark.ledger.store.outbox import known_signers
from millmark.services.settings import Settings


def find_paying_keys(connection: Connection, settings: Settings) -> list[bytes]:
    """Addresses of the keys of the settings, and of those that sent anything from this home's outbox."""
    named = [address_of(uri) for uri in (settings.gateway_signer_uri, settings.operator_signer_uri)]
    return list(dict.fromkeys([*(one for one in named if one is not None), *known_signers(connection)]))


def key_path(uri: str) -> Path | None:
    """The file that a key's URI names; None if it names no file."""
    scheme, _, place = uri.partition(":")
    return (
        Path(place.removeprefix("//") if place.startswith("///") else place) if scheme in ("keystore", "file") else None
    )


def address_of(uri: str | None) -> bytes | None:
    """Address of the key that a URI names; None if it cannot be told without its passphrase or token."""
    path = None if uri is None else key_path(uri)
    if uri is None or path is None:
        return None
    try:
        if uri.startswith("file:"):
            return open_signer(uri).address
        named = json.loads(read_private(path)).get("address")
        return parse_address("0x" + str(named).removeprefix("0x"))
    except (SigningError, ValueError, AttributeError):
        return None
