"""The queue: what is due follows from the ledger, is sealed once, waits longer and longer, and is never doubled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import KeyRow
from millmark.services.directory.repository import DirectoryEntryRow
from millmark.services.handover.content import parse_envelope
from millmark.services.handover.delivering import WAITS_S, State, ask_others_to_erase_all
from millmark.services.handover.repository import DeliveryRow, HandoverRepository
from tests.support.apart import Home
from tests.support.stores import copy_database, new_store
from tests.unit.services.handover.conftest import BAD_OFFERS, Delivered

MAKER, BUYER = "alder", "nordwind"


@pytest.fixture
def maker(told: Delivered, tmp_path: Path) -> Iterator[Home]:
    """The maker with its index and book, whose queue is empty."""
    home = told.home(MAKER)
    with new_store(tmp_path) as store:
        copy_database(home.store, store)
        with store.transaction() as connection:
            for table in ("handover_deliveries", "handover_cursor"):
                connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - fixed names
        yield replace(home, store=store)


def collect(home: Home) -> None:
    while home.deliveries.collect():
        pass


def words(told: Delivered, home: Home) -> set[tuple[str, int]]:
    named = {number: word for word, number in told.apart.records.items()}
    return {(named[sequence], recipient) for sequence, recipient in home.queue()}


def row_of(told: Delivered, home: Home, word: str, recipient: int) -> DeliveryRow:
    with home.store.reading() as connection:
        found = HandoverRepository(connection).get(told.apart.records[word], recipient)
    assert found is not None
    return found


def change_entry(home: Home, participant: int, **values: object) -> None:
    with home.store.transaction() as connection:
        rows = Rows(connection)
        entry = rows.get(DirectoryEntryRow, participant)
        assert entry is not None
        rows.put(replace(entry, **values))  # type: ignore[arg-type]  # columns of the table


def test_what_is_due_follows_from_the_ledger(told: Delivered, maker: Home) -> None:
    collect(maker)
    queue = words(told, maker)
    assert queue == {
        ("take hip", 2),
        ("make hip", 1),
        ("make hip", 2),
        ("make hip", 6),
        ("offer declined", 8),
        ("offer to carrier", 8),
        ("carried", 8),
        ("notice", 1),
        ("notice", 8),
        *((word, reader) for word in ("offers mill", "withdrawal", *BAD_OFFERS) for reader in (2, 7)),
    }
    with maker.store.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM handover_cursor")
    collect(maker)
    assert words(told, maker) == queue, "read again, nothing is doubled"


def test_a_hand_over_that_is_not_due_any_more_ends(told: Delivered, maker: Home) -> None:
    collect(maker)
    row = row_of(told, maker, "offer declined", 8)
    assert maker.deliveries.prepare(row) is None
    after = row_of(told, maker, "offer declined", 8)
    assert (after.state, after.text) == (State.OVER, b"")


def test_it_is_sealed_once(told: Delivered, maker: Home) -> None:
    collect(maker)
    first = maker.deliveries.prepare(row_of(told, maker, "make hip", 1))
    assert first is not None
    assert first[1] == "https://gateway-1.invalid"
    again = maker.deliveries.prepare(row_of(told, maker, "make hip", 1))
    assert again == first
    assert maker.seal(told.apart.records["make hip"], 1) == first[0].text, "the same text as a file"
    assert parse_envelope(first[0].text).head.digest == first[0].digest


def test_two_gateways_on_one_database_send_one_text(told: Delivered, maker: Home) -> None:
    collect(maker)
    stale = row_of(told, maker, "make hip", 1)
    assert maker.deliveries.prepare(stale) is not None
    assert maker.deliveries.prepare(stale) is None, "another one has sealed it meanwhile"


def test_it_is_sealed_anew_for_a_new_key_and_after_a_refusal(told: Delivered, maker: Home) -> None:
    collect(maker)
    first = maker.deliveries.prepare(row_of(told, maker, "make hip", 1))
    assert first is not None
    maker.deliveries.fail(first[0], "its gateway answered 422", anew=True)
    second = maker.deliveries.prepare(row_of(told, maker, "make hip", 1))
    assert second is not None
    assert second[0].digest != first[0].digest
    old = first[0].text
    head = parse_envelope(old).head
    assert head.route.recipient_key.hex().encode() in old


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"gateway": ""}, "no gateway of it: give it `millmark handovers export`"),
        ({"public_key": b""}, "no valid recipient key of it"),
        ({"signature": b"\1" * 65}, "no valid recipient key of it"),
        ({"issued_at": 5}, "no valid recipient key of it"),
    ],
)
def test_why_it_waits(told: Delivered, maker: Home, values: dict[str, object], says: str) -> None:
    collect(maker)
    change_entry(maker, 1, **values)
    assert maker.deliveries.prepare(row_of(told, maker, "make hip", 1)) is None
    after = row_of(told, maker, "make hip", 1)
    assert says in after.reason
    assert (after.state, after.attempts) == (State.WAITING, 1)


def test_a_key_whose_signer_was_revoked_is_not_sealed_to(told: Delivered, maker: Home) -> None:
    collect(maker)
    with maker.store.transaction() as connection:
        rows = Rows(connection)
        key = rows.get(KeyRow, told.home(BUYER).company.signer.address)
        assert key is not None
        rows.put(replace(key, revoked_at=1))
    assert maker.deliveries.prepare(row_of(told, maker, "make hip", 1)) is None
    with pytest.raises(InputError, match="no valid recipient key of participant 1; import the latest directory"):
        maker.seal(told.apart.records["make hip"], 1)


def test_a_company_that_is_offline_gets_a_file(told: Delivered, maker: Home) -> None:
    collect(maker)
    change_entry(maker, 1, gateway="")
    assert maker.seal(told.apart.records["make hip"], 1).startswith(b'{"chain_id":')
    with pytest.raises(NotFoundError, match="nothing is handed over to participant 5; see `millmark handovers list`"):
        maker.seal(told.apart.records["make hip"], 5)


def test_waits_grow_and_are_bounded(told: Delivered, maker: Home) -> None:
    collect(maker)
    waits = []
    for _ in range(len(WAITS_S) + 3):
        row = row_of(told, maker, "make hip", 1)
        maker.deliveries.fail(row, "no connection to its gateway")
        waits.append((row_of(told, maker, "make hip", 1).next_try_ms - maker.clock_ms) // 1000)
    assert waits == [*WAITS_S, WAITS_S[-1], WAITS_S[-1], WAITS_S[-1]]
    assert all(one.sequence != told.apart.records["make hip"] or one.recipient != 1 for one in maker.deliveries.due(99))
    with maker.store.transaction() as connection:
        assert HandoverRepository(connection).retry(1, maker.clock_ms) == 2, "the lot's, and the notice about it"
    assert row_of(told, maker, "make hip", 1) in maker.deliveries.due(99)


def test_what_was_delivered_stays_delivered(told: Delivered, maker: Home) -> None:
    collect(maker)
    row = row_of(told, maker, "make hip", 1)
    prepared = maker.deliveries.prepare(row)
    assert prepared is not None
    maker.deliveries.settle(prepared[0], State.DELIVERED)
    maker.deliveries.fail(prepared[0], "told too late by another process")
    after = row_of(told, maker, "make hip", 1)
    assert (after.state, after.text, after.reason) == (State.DELIVERED, b"", "")


def test_a_maker_waits_for_the_orders_document_but_not_for_ever(told: Delivered, tmp_path: Path) -> None:
    home = told.home("kestrel")
    with new_store(tmp_path) as store:
        copy_database(home.store, store)
        with store.transaction() as connection:
            for table in ("documents", "handover_given"):
                connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - fixed names
            connection.exec_driver_sql("UPDATE handover_deliveries SET state = 'waiting'")
        late = replace(home, store=store)
        late.clock_ms = told.apart.world.now() * 1000
        row = row_of(told, late, "propose hip", 3)
        assert late.deliveries.prepare(row) is None
        assert "order's name or document has not arrived" in row_of(told, late, "propose hip", 3).reason
        late.clock_ms += 7_200_000
        sent = late.deliveries.prepare(row_of(told, late, "propose hip", 3))
        assert sent is not None
        late.deliveries.settle(sent[0], State.DELIVERED)
        collect(late)
        assert row_of(told, late, "propose hip", 3).state == State.PARTIAL


def test_what_was_lacking_follows_once_it_has_arrived(told: Delivered, tmp_path: Path) -> None:
    home, root = told.home("kestrel"), told.apart.roots["hip"]
    with home.store.reading() as connection:
        document = Book(connection).document(root)
    assert document is not None
    with new_store(tmp_path) as store:
        copy_database(home.store, store)
        late = replace(home, store=store)
        for state, patience_ms in ((State.WAITING, 0), (State.PARTIAL, 7_200_000)):
            with store.transaction() as connection:
                connection.exec_driver_sql("DELETE FROM documents WHERE root = ?", (root,))
                connection.exec_driver_sql("DELETE FROM handover_given")
                connection.exec_driver_sql("UPDATE handover_deliveries SET state = 'waiting', text = x'', reason = ''")
            late.clock_ms = told.apart.world.now() * 1000 + patience_ms
            sent = late.deliveries.prepare(row_of(told, late, "propose hip", 3))
            if sent is not None:
                late.deliveries.settle(sent[0], State.DELIVERED)
            assert row_of(told, late, "propose hip", 3).state == state
            with store.transaction() as connection:
                Book(connection).put_document(root, document)
            collect(late)
            row = row_of(told, late, "propose hip", 3)
            assert (row.state, row.next_try_ms) == (State.WAITING, late.clock_ms), "at once"
            sent = late.deliveries.prepare(row)
            assert sent is not None
            late.deliveries.settle(sent[0], State.DELIVERED)
            assert row_of(told, late, "propose hip", 3).state == State.DELIVERED
            with store.reading() as connection:
                assert root in HandoverRepository(connection).given_in(row.sequence, 3)


def test_erasing_all_of_a_document_tells_whoever_was_handed_it(told: Delivered, maker: Home) -> None:
    collect(maker)
    sent = maker.deliveries.prepare(row_of(told, maker, "make hip", 1))
    assert sent is not None
    maker.deliveries.settle(sent[0], State.DELIVERED)
    root = told.apart.roots["hip-1"]
    told_of = ask_others_to_erase_all(maker.store, [root], maker.company.number)
    assert told_of > 1, "buyer and coordinator, at least"
    assert row_of(told, maker, "make hip", 1).state == State.WAITING
    assert ask_others_to_erase_all(maker.store, [b"\1" * 32], None) == 0, "of no record, so nobody is told"


@pytest.mark.parametrize(("known", "later_s", "waits"), [(True, 0, True), (True, 7200, False), (False, 0, False)])
def test_a_certificate_waits_for_the_inference_that_the_node_here_still_has(
    told: Delivered, tmp_path: Path, known: bool, later_s: int, waits: bool
) -> None:
    """`known`: whether a node wrote the certified window here. If not, what it has does not come here."""
    home, sequence = told.home("umbra"), told.apart.records["certify hip"]
    with new_store(tmp_path) as store:
        copy_database(home.store, store)
        with store.transaction() as connection:
            inference = Book(connection).inference(sequence)
            connection.exec_driver_sql("DELETE FROM inferences")
            connection.exec_driver_sql("UPDATE handover_deliveries SET state = 'waiting', text = x'', reason = ''")
            if not known:
                connection.exec_driver_sql("DELETE FROM evidence")
        assert inference is not None
        early = replace(home, store=store)
        early.clock_ms = (told.apart.world.now() + later_s) * 1000
        assert (early.deliveries.prepare(row_of(told, early, "certify hip", 1)) is None) == waits
        row = row_of(told, early, "certify hip", 1)
        assert row.reason.startswith("the node has not put the certificate's inference into the book") == waits
        with store.transaction() as connection:
            Book(connection).put_inference(sequence, inference.salt, inference.window, json.loads(inference.logits))
        assert early.deliveries.prepare(row) is not None
