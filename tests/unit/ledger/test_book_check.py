"""Whatever is changed in a private book is found, since the ledger has a hash of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from millmark.ledger.canonical import sha256
from millmark.ledger.claims import build_claims
from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.index import check_book
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.database import build_engine
from millmark.ledger.store.rows import AnchorRow
from tests.support.stores import new_store

STREAM = b"\x07" * 32


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as opened:
        log = EvidenceLog()
        for number in range(5):
            log.append({"number": number})
        with opened.transaction() as connection:
            book = Book(connection)
            book.add_identity(Identity(SubjectKind.LOT, 3, "urn:example:HEAT1", b"\x01" * 32))
            claims = build_claims({"colour": "blue", "mass": 17})
            book.put_document(claims.root, json.dumps(claims.to_json()))
            book.add_evidence(STREAM, log.entries)
            book.put_model(sha256(b"model"), b"model")
            Rows(connection).insert([AnchorRow(9, STREAM, 4, log.tree.root(4), 1)])
        yield opened


def change(store: Store, statement: str) -> None:
    with store.transaction() as connection:
        assert connection.execute(text(statement)).rowcount == 1


def test_a_book_that_nobody_changed_has_no_findings(store: Store) -> None:
    assert check_book(store) == []


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE identities SET identifier = 'urn:example:HEAT9'", "the name 'urn:example:HEAT9' is not that of 0x"),
        ("UPDATE identities SET identifier = 'no name'", "the name 'no name' is not that of 0x"),
        ("UPDATE identities SET creator = 4", "the name 'urn:example:HEAT1' is not that of 0x"),
        ("UPDATE documents SET document = replace(document, 'blue', 'grey')", "the claims with the root 0x"),
        ("UPDATE documents SET document = '{'", "the claims with the root 0x"),
        ("UPDATE evidence SET entries = replace(entries, '3', '8')", "entry 3 of stream 0x"),
        ("UPDATE evidence SET salts = X'00'", "cannot be read from entry 0 on"),
        ("UPDATE model_files SET content = X'00'", "the model's bytes are not those of digest 0x"),
        ("UPDATE anchors SET root = X'00'", "is not that of the anchor in record 9"),
    ],
)
def test_a_change_is_found(store: Store, statement: str, found: str) -> None:
    change(store, statement)
    [finding] = check_book(store)
    assert found in finding


def test_an_entry_that_was_changed_with_its_leaf_is_found_by_the_anchor(store: Store) -> None:
    other = EvidenceLog()
    for number in range(5):
        other.append({"number": number})
    with store.transaction() as connection:
        connection.execute(text("DELETE FROM evidence"))
        Book(connection).add_evidence(STREAM, other.entries)
    assert [line.rpartition("is not")[2] for line in check_book(store)] == [" that of the anchor in record 9"]


def test_a_byte_that_was_changed_in_the_file_is_found_twice(store: Store) -> None:
    """In the row, but not in the index over the column: so SQLite misses the row there."""
    path = Path(store.url.removeprefix("sqlite:///"))
    with store.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO participant_names VALUES (1, 'Acme')")
    store.scrub()
    store.close()
    content = path.read_bytes()
    places = [match.start() for match in re.finditer(rb"urn:example:HEAT1", content)]
    assert len(places) == 2, "one in the table, one in its index"
    changed = bytearray(content)
    changed[places[0] + 16] = ord("9")
    path.write_bytes(changed)
    with Store(build_engine(f"sqlite:///{path}")) as again:
        found = check_book(again)
    assert any("missing from index" in line for line in found), found
    assert len(found) >= 1
