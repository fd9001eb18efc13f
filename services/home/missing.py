"""What a home lacks to do its work, and the command that mends it. Reads files, settings and index; opens no key."""

from __future__ import annotations

import json
import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from millmark.ledger.errors import SigningError
from millmark.ledger.keys import open_signer, read_private
from millmark.ledger.signatures import parse_address, to_checksum
from millmark.ledger.store import Connection, Registry, Rows
from millmark.ledger.store.outbox import known_signers
from millmark.ledger.store.rows import KeyRow, NameKeyRow
from millmark.services.access.people.people import accepts_passkeys
from millmark.services.access.people.repository import PeopleRepository
from millmark.services.directory import DirectoryRepository, RecipientKeyError, verify_statement
from millmark.services.directory.following import draft_entries, published_digest
from millmark.services.home.admissions import find_admitted, find_unaccepted
from millmark.services.home.layout import Layout, Missing
from millmark.services.settings import Settings

_WAIT_S = 1.0


def find_missing_files(settings: Settings) -> list[Missing]:
    """What is missing before the database need be opened."""
    home = settings.home
    if not Layout(home).settings.exists() and settings.chain_url is None:
        join = f"join with `millmark --home {home} join consortium.json`"
        begin = f"{join}, or begin a consortium with `millmark --home {home} init`"
        return [Missing(f"{home} is not a home yet", begin)]
    return list(_files(settings))


def find_missing(connection: Connection, settings: Settings) -> list[Missing]:
    """What is missing according to the index and the files of the home."""
    found = [*_of_company(connection, settings), *_of_operator(connection, settings)]
    return [*found, *_of_people(connection, settings)]


def _files(settings: Settings) -> Iterator[Missing]:
    secrets = {
        "gateway_passphrase_file": settings.gateway_passphrase_file,
        "gateway_name_passphrase_file": settings.gateway_name_passphrase_file,
        "operator_passphrase_file": settings.operator_passphrase_file,
        "recipient_key": settings.recipient_key,
        "gateway_tls_key": settings.gateway_tls_key,
    }
    found = {name: settings.home / path for name, path in secrets.items() if path is not None}
    for name, uri in (
        ("gateway_signer", settings.gateway_signer_uri),
        ("operator_signer", settings.operator_signer_uri),
    ):
        if uri is not None and (path := key_path(uri)) is not None:
            found[name] = path
    for number, uri in enumerate(settings.gateway_name_key_uris):
        if (path := key_path(uri)) is not None:
            found[f"gateway_name_keys[{number}]"] = path
    for name, path in found.items():
        yield from _secret_file(name, path)
    layout = Layout(settings.home)
    if layout.authority_key.exists():  # it may be kept elsewhere until it is needed
        yield from _secret_file("the authority", layout.authority_key)
    if settings.gateway_tls_certificate is not None:
        from millmark.services.home.authority import find_missing_of_tls  # noqa: PLC0415 - X.509, used with a certificate only

        yield from find_missing_of_tls(settings, settings.home / settings.gateway_tls_certificate, datetime.now(UTC))
    if (layout.request.exists() or layout.consortium.exists()) and not _is_listening(settings):
        yield Missing(
            f"no gateway answers at {settings.origin}", f"start it with `millmark --home {settings.home} gateway`"
        )


def _is_listening(settings: Settings) -> bool:
    """Whether something listens where the gateway would, on this machine."""
    try:
        with socket.create_connection((settings.gateway_host, settings.gateway_port), _WAIT_S):
            return True
    except OSError:
        return False


def _secret_file(name: str, path: Path) -> Iterator[Missing]:
    try:
        mode = path.stat().st_mode
    except OSError:
        yield Missing(f"{path} does not exist, which {name} names", "restore it from a backup, or correct the setting")
        return
    if stat.S_IMODE(mode) & 0o077:
        yield Missing(f"{path} is open to other users", f"chmod 600 {path}")


def _of_company(connection: Connection, settings: Settings) -> Iterator[Missing]:
    home, address = settings.home, address_of(settings.gateway_signer_uri)
    if address is None:
        return
    number, complete = find_admitted(connection, address), f"run `millmark --home {home} gateway`, or `join`"
    if number is None:
        yield Missing(
            f"the operator has not admitted the key {to_checksum(address)}",
            f"give {Layout(home).request} to the operator, who runs `millmark participants admit request.json`",
        )
        return
    rows = Rows(connection)
    if rows.get(KeyRow, address) is None:
        yield Missing(f"the key has not accepted to sign for participant {number}", complete)
        return
    if Registry(connection).participant_of(address) is None:
        yield Missing(
            f"participant {number} may not act with its key: suspended, departed, or the key is revoked",
            "see `millmark participants list`, and ask the operator",
        )
        return
    if settings.gateway_name_keys and not rows.find(NameKeyRow, participant=number):
        yield Missing("the name key is not registered, so nothing can be named", complete)
    if settings.gateway_participant is None:
        yield Missing(f"the settings lack gateway_participant = {number}", complete)
    yield from _of_directory(connection, settings, number)


def _of_people(connection: Connection, settings: Settings) -> Iterator[Missing]:
    """Where people are to sign in, there has to be a way in."""
    origin, people = settings.origin, PeopleRepository(connection)
    if settings.openid_issuer is not None or accepts_passkeys(origin):
        return
    if people.people() or people.open_invitations(int(time.time())):
        yield Missing(
            f"passkeys cannot work at {origin}: browsers offer them at a name over https, or at localhost",
            f"run `millmark --home {settings.home} tls new NAME`, or set gateway_url or openid_issuer",
        )


def _of_directory(connection: Connection, settings: Settings, number: int) -> Iterator[Missing]:
    directories, fetch = DirectoryRepository(connection), f"run `millmark --home {settings.home} directory import`"
    published, known = published_digest(connection), directories.in_force_digest()
    if published is None:
        if settings.directory_url is not None:
            yield Missing(
                "the operator has published no directory, so companies are numbers",
                "ask the operator, who runs `millmark directory publish`",
            )
        return
    if known is None:
        yield Missing("the directory is not here yet, so companies are numbers", f"{fetch}; the gateway does it, too")
        return
    if known != published:
        yield Missing("the operator has published a later directory", f"{fetch}; the gateway does it, too")
    entry = directories.entry(number)
    if entry is None:
        yield Missing("the directory does not name this company", "give request.json to the operator again")
        return
    if entry.recipient_key is None:
        return
    request = Layout(settings.home).request
    try:
        verify_statement(Registry(connection), number, entry.recipient_key)
    except RecipientKeyError:
        yield Missing(
            "the recipient key in the directory is signed by a key that is not active any more",
            f"run `millmark --home {settings.home} join --renew`, and give {request} to the operator",
        )


def _of_operator(connection: Connection, settings: Settings) -> Iterator[Missing]:
    if settings.operator_signer is None:
        return
    directories = DirectoryRepository(connection)
    signed, drafted = directories.signed(), tuple(draft_entries(connection))
    known = () if signed is None else signed.directory.entries
    is_published = signed is not None and signed.digest == published_digest(connection)
    if drafted and not (is_published and drafted == known):
        yield Missing(
            "the published directory does not say what is known here",
            f"run `millmark --home {settings.home} directory publish`",
        )
    names = {entry.participant: entry.name for entry in drafted}
    for number in find_unaccepted(connection):
        yield Missing(
            f"participant {number} {names.get(number, '')} has not accepted its key".replace("  ", " "),
            "it runs `millmark gateway`, which completes its joining",
        )


# The keys of a home that pay for transactions, as far as their addresses are known without a passphrase or token.


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
