"""How a company completes its joining, once the operator has admitted it.

Each step looks at the ledger first, so it can be cut off anywhere and started again: `millmark join` and
`millmark gateway` both do what is missing, and nothing twice, also at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from millmark.ledger.errors import MillmarkError, SettingsError
from millmark.ledger.keys import open_name_key, to_checksum
from millmark.ledger.names import NameKey
from millmark.ledger.records import AcceptKey, Record, Role, SetNameKey
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Registry, Rows
from millmark.ledger.store.rows import KeyRow, NameKeyRow
from millmark.services.commands.context import Context, ask
from millmark.services.directory import fetch_operators, take_directory
from millmark.services.directory.client import fetch_directory
from millmark.services.directory.following import published_digest
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.files import read_bounded, write_whole
from millmark.services.home import Layout, find_admitted, parse_request, set_setting
from millmark.services.home.admissions import name_act
from millmark.services.home.joining_files import MAX_REQUEST_BYTES
from millmark.services.serving.partner_tls import build_partner_tls
from millmark.services.settings import read_settings

Say = Callable[[str], object]
"""Tells the user one line."""


def complete_joining(opened: Context, say: Say) -> int:
    """Does what is missing, and returns the company's number. Raises SettingsError if it is not admitted yet."""
    signer = opened.unlock_company()
    opened.settle(signer)
    number = _admitted_number(opened, signer)
    missing = [*_missing_key(opened, signer, number), *_missing_name_key(opened, number)]
    if missing:
        # Named: who completes it beside this one queues the same records, and neither has one that is refused.
        names = [name_act(opened.store, f"{signer.address.hex()}:{one.act}", "join") for one in missing]
        opened.record(signer, [one.record for one in missing], names)
        opened.follow()
        for one in missing:
            say(one.done)
    _note_number(opened, number, say)
    return number


def import_directory(opened: Context, signer: Signer) -> bool:
    """Fetches the directory from `directory_url`, checks it and puts it in force, unless the one that is published on
    the ledger is known. Returns whether it was new. Raises DirectoryError, DirectoryUnreachableError, ChainError."""
    url = opened.settings.directory_url
    if url is None:
        raise SettingsError("no gateway of the operator is named", hint="set directory_url, or import a file")
    chain = opened.chain_at_hand()
    with opened.store.reading() as connection:
        known, published = DirectoryRepository(connection).signed(), published_digest(connection)
    if known is not None and known.digest == published:
        return False
    tls = build_partner_tls(opened.settings.from_home(opened.settings.partner_ca))
    signed = fetch_directory(url, signer, chain.chain_id, tls=tls)
    opened.follow()  # its digest may have been published a moment ago
    operators = fetch_operators(chain)
    with opened.store.transaction() as connection:
        return take_directory(connection, signed, operators)


def open_name_keys(opened: Context) -> list[NameKey]:
    """The company's name keys, oldest first. They are opened once."""
    if opened.name_keys is None:
        settings = opened.settings
        secret = settings.from_home(settings.gateway_name_passphrase_file)
        uris = settings.gateway_name_key_uris
        opened.name_keys = [open_name_key(uri, passphrase_file=secret, prompt=ask) for uri in uris]
    return opened.name_keys


def _admitted_number(opened: Context, signer: Signer) -> int:
    with opened.store.reading() as connection:
        number = find_admitted(connection, signer.address)
    if number is None:
        raise SettingsError(
            f"the operator has not admitted the key {to_checksum(signer.address)} yet",
            hint=f"give {Layout(opened.settings.home).request} to the operator, and run the command again afterwards",
        )
    return number


def first_act(home: Path) -> str:
    """The command to suggest to a company that has just joined, by the roles that it asked for."""
    roles = parse_request(read_bounded(Layout(home).request, MAX_REQUEST_BYTES)).roles
    if Role.BUYER in roles:
        act = "orders place IDENTIFIER --coordinator COMPANY --due DAY"
    elif roles & (Role.MANUFACTURER | Role.INSPECTOR):
        act = "machines register IDENTIFIER"
    else:
        act = "orders list" if Role.COORDINATOR in roles else "participants list"
    return f"millmark --home {home} {act}"


@dataclass(frozen=True, slots=True)
class _Missing:
    """A record that the ledger lacks."""

    act: str
    """Names it, the same for everybody who is about to make it."""
    record: Record
    done: str
    """What to say once the ledger has it."""


def _missing_key(opened: Context, signer: Signer, number: int) -> list[_Missing]:
    with opened.store.reading() as connection:
        known = Rows(connection).get(KeyRow, signer.address)
        may_act = Registry(connection).participant_of(signer.address) is not None
    if known is None:
        done = f"accepted the key: it signs for participant {number}"
        return [_Missing(f"accept:{number}", AcceptKey(number), done)]
    if not may_act:
        raise SettingsError(
            f"participant {number} may not act with this key: it is suspended or has left, or the key is revoked",
            hint="see `millmark participants list`",
        )
    return []


def _missing_name_key(opened: Context, number: int) -> list[_Missing]:
    keys = open_name_keys(opened)
    with opened.store.reading() as connection:
        registered = Rows(connection).find(NameKeyRow, participant=number)
    if registered or not keys:  # a further one is registered on purpose, with `millmark keys name`
        return []
    done = "registered the name key, from which the salts of identifiers derive"
    return [_Missing(f"name-key:{keys[-1].hash.hex()}", SetNameKey(keys[-1].hash), done)]


def _note_number(opened: Context, number: int, say: Say) -> None:
    """The last step: once the number is in the settings, nothing is missing any more."""
    if opened.settings.gateway_participant is not None:
        return
    path = Layout(opened.settings.home).settings
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}", hint=f"set gateway_participant = {number}"
        ) from None
    write_whole(path, set_setting(text, "gateway_participant", number).encode())
    opened.settings = read_settings(opened.settings.home)
    say(f"wrote gateway_participant = {number} to {path}")


def try_directory(opened: Context, signer: Signer, say: Say) -> None:
    """Imports the directory if that is possible now; the gateway fetches it later otherwise."""
    if opened.settings.directory_url is None:
        return
    try:
        if import_directory(opened, signer):
            with opened.store.reading() as connection:
                count = len(DirectoryRepository(connection).entries())
            say(f"imported the directory: {count} companies have names")
    except MillmarkError as error:
        say(f"no directory yet: {error}")
