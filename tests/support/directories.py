"""Directories of a small consortium, and an index that agrees with them."""

from __future__ import annotations

from millmark.ledger.records import PublicationKind
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import ChainIdentityRow, KeyRow, ParticipantRow, PublicationRow
from millmark.services.directory import (
    Directory,
    DirectoryEntry,
    KeyStatement,
    Operators,
    SignedDirectory,
    sign_directory,
    sign_statement,
)
from millmark.services.directory.document import Contact
from tests.support.sign_in import NOW_S, signer_of

CHAIN, LEDGER = 77_001, bytes([1]) * 20
OPERATOR, ALDER, BIRCH, NEW = 9, 1, 2, 3
OPERATORS = Operators(signer_of(OPERATOR).address)


def state_key(participant: int, by: int | None = None) -> KeyStatement:
    return sign_statement(CHAIN, LEDGER, bytes([participant]) * 32, NOW_S, signer_of(by or participant))


ENTRIES = (
    DirectoryEntry(
        ALDER,
        "Alder Forge",
        "4012345000009",
        "https://alder.example",
        state_key(ALDER),
        Contact("Quality office", "quality@alder.example", "+49301234567", "DE"),
    ),
    DirectoryEntry(BIRCH, "Birch Müller 铸造", None, "http://127.0.0.1:8602", None),
)
BASE = Directory(CHAIN, LEDGER, NOW_S, ENTRIES)


def signed(directory: Directory = BASE, by: int = OPERATOR) -> SignedDirectory:
    return sign_directory(directory, signer_of(by))


def fill_index(store: Store) -> None:
    """Three participants, of which the last one has just been admitted."""
    with store.transaction() as connection:
        rows = Rows(connection)
        rows.put(ChainIdentityRow(1, CHAIN, bytes(32), bytes(20), LEDGER, bytes(32)))
        for number in (ALDER, BIRCH, NEW):
            rows.put(ParticipantRow(number, number, 63, 1, False, False, 0, 0, NOW_S, bytes(32)))
        for number in (ALDER, BIRCH):
            rows.put(KeyRow(signer_of(number).address, number, 63, True, NOW_S, 0, 0, 0))


def publish(store: Store, one: SignedDirectory) -> None:
    """What the index says after the operator published a digest."""
    with store.transaction() as connection:
        Rows(connection).put(PublicationRow(int(PublicationKind.DIRECTORY), one.digest, 5, NOW_S))
