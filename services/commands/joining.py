"""How a company completes its joining, once the operator has admitted it.

Each step looks at the ledger first, so it can be cut off anywhere and started again: `millmark join` and
`millmark gateway` both do what is missing, and nothing twice, also at the same moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from millmark.ledger.errors import DuplicateRecordError, InputError, MillmarkError, SettingsError
from millmark.ledger.keys import open_name_key
from millmark.ledger.names import NameKey
from millmark.ledger.records import AcceptKey, PublicationKind, Publish, Record, Role, SetNameKey
from millmark.ledger.signatures import Address, Signer, to_checksum
from millmark.ledger.store import Registry, Rows
from millmark.ledger.store.rows import KeyRow, NameKeyRow
from millmark.services.commands.context import Context, ask
from millmark.services.directory import SignedDirectory, fetch_operators, take_directory
from millmark.services.directory.client import fetch_directory
from millmark.services.directory.document import DirectoryError
from millmark.services.directory.following import issue_directory, keep_admission, published_digest, verify_admissible
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.files import read_bounded, write_whole
from millmark.services.home import Candidate, Layout, admissions, find_admitted, parse_request, set_setting
from millmark.services.home.joining_files import MAX_REQUEST_BYTES
from millmark.services.serving.partners import build_partner_tls
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
        names = [admissions.name_act(opened.store, f"{signer.address.hex()}:{one.act}", "join") for one in missing]
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


# How an operator admits companies and tells all of them who is who: what `participants admit` and `directory publish`
# do. Each step looks at the ledger first, so that an interrupted command can simply be repeated.

_ROUNDS = 8
"""How often somebody else may publish another directory meanwhile."""


def admit_all(opened: Context, signer: Signer, candidates: Sequence[Candidate]) -> dict[Address, int]:
    """Admits those that are not admitted yet, keeps for the directory what is said of each, and returns their numbers.

    What an earlier run queued is sent first: what is then missing on the ledger was never queued, and is admitted now.
    """
    opened.settle(signer)
    with opened.store.transaction() as connection:
        numbers = {one.key: find_admitted(connection, one.key) or 0 for one in candidates}
        listed = {one.key: replace(one.entry, participant=numbers[one.key]) for one in candidates}
        verify_admissible(connection, listed)
        for key, entry in listed.items():  # first: a crash must not lose what the directory will say
            keep_admission(connection, key, entry)
    new = [one for one in candidates if not numbers[one.key]]
    for _ in range(len(new) + 1):  # each time but the last one, somebody else has admitted one meanwhile
        if not new or _admit(opened, signer, new):
            break
        with opened.store.reading() as connection:
            new = [one for one in new if find_admitted(connection, one.key) is None]
    with opened.store.transaction() as connection:
        found = {one.key: find_admitted(connection, one.key) for one in candidates}
        names: dict[int, str] = {}
        for one in candidates:
            number = found[one.key]
            if number is None:
                raise InputError(
                    f"the admission of {one.entry.name} is not on the ledger yet",
                    hint="see `millmark outbox list`, then try again",
                )
            keep_admission(connection, one.key, replace(one.entry, participant=number))
            names[number] = one.entry.name
        admissions.add_names(connection, names)
    return {key: number for key, number in found.items() if number is not None}


def _admit(opened: Context, signer: Signer, new: Sequence[Candidate]) -> bool:
    """Whether it admitted them. If not, one of them is admitted by somebody else, for whom it waited."""
    for one in new:
        admissions.cancel_failed(opened.store, one.key)
        admissions.verify_admitter(opened.store, one.key, signer.address)
    names = [admissions.name_admission(opened.store, one.key) for one in new]
    with opened.store.transaction() as connection:  # first: a crash must not lose what the records commit to
        records = [admissions.keep_candidate(connection, one) for one in new]
    try:
        opened.record(signer, records, names)
    except DuplicateRecordError:
        # On the page, or by another command.
        opened.settle(signer)
        return False
    opened.follow()
    return True


def publish_directory(opened: Context, signer: Signer) -> tuple[SignedDirectory, bool]:
    """Signs the directory, publishes its digest on the ledger, and puts it in force here. Returns it, and whether it is
    another one than before. Whoever does the same at the same moment ends with the same directory. Raises SettingsError
    if the signer does not own the registry. A member of a council that owns it signs the directory only: the council
    publishes it by a motion, after which the command is repeated."""
    opened.settle(signer)
    operators = fetch_operators(opened.chain_at_hand())
    is_other = False
    for _ in range(_ROUNDS):
        with opened.store.transaction() as connection:
            if not operators.may_sign(Registry(connection), signer.address):
                raise SettingsError("the key does not own the registry", hint="sign with the operator's key")
            signed, _ = issue_directory(connection, signer, operators, int(time.time()))
            is_published = published_digest(connection) == signed.digest
            if is_published:
                return signed, take_directory(connection, signed, operators) or is_other
        if operators.owner != signer.address:
            raise SettingsError(
                "the directory is signed, and a council owns the registry",
                hint=f"run `millmark council propose publish 1 0x{signed.digest.hex()}`, then this again",
            )
        is_other = True
        opened.record(signer, [Publish(PublicationKind.DIRECTORY, signed.digest)])
        opened.follow()  # somebody else may have signed and published another one meanwhile
    raise DirectoryError("other directories are published again and again", hint="repeat the command alone")
