"""Calls, offers and plans that arrive: what their authors could not make is refused; offers that count get receipts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.errors import MillmarkError
from millmark.ledger.evidence import LeafKind
from millmark.ledger.store import Book, Rows
from millmark.services.handover.content import (
    Content,
    HandoverEarlyError,
    HandoverRefusedError,
    Route,
    encode_content,
    encode_envelope,
    seal,
)
from millmark.services.handover.delivering import Deliveries, build_content
from millmark.services.handover.receiving import Kept, Receiver
from millmark.services.handover.repository import DeliveryRow
from millmark.services.planning.omission import Receipt, sign_receipt
from millmark.services.planning.reading import count_known
from millmark.services.planning.repository import PlanningRepository, ReceiptRow
from tests.support.apart import Home
from tests.support.stores import copy_database, new_store
from tests.unit.services.handover.conftest import Delivered

BUYER, ALDER, BIRCH, COORDINATOR, AUDITOR = "nordwind", "alder", "birch", "kestrel", "vector"
LATHE, MILL, CALL, PLAN = "offers lathe", "offers mill", "call", "plan"


@pytest.fixture
def homes(told: Delivered, tmp_path: Path) -> Iterator[dict[str, Home]]:
    """Coordinator, auditor and owners as they are, but that no call, offer or plan was handed to them."""
    made, stores = {}, []
    for word in (COORDINATOR, AUDITOR, ALDER, BIRCH):
        home = told.home(word)
        (tmp_path / word).mkdir()
        store = new_store(tmp_path / word)
        stores.append(store)
        copy_database(home.store, store)
        with store.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM handovers_kept")
            connection.exec_driver_sql("DELETE FROM planning_leaves WHERE sequence > 0")
            connection.exec_driver_sql("DELETE FROM planning_receipts")
            if word != COORDINATOR:
                connection.exec_driver_sql("DELETE FROM planning_calls")
        made[word] = replace(home, store=store)
    yield made
    for store in stores:
        store.close()


def content_of(told: Delivered, word: str, by: str, to: str) -> Content:
    sender, taker = told.home(by), told.home(to)
    chain, number = told.apart.consortium.chain, told.apart.records[word]
    return build_content(sender.store, chain, number, sender.company.number, taker.company.number, 2**40)


def sealed(told: Delivered, content: Content, word: str, by: str, to: str) -> bytes:
    """A hand-over that is sealed and signed as it should be, whatever is in it."""
    sender, taker, chain = told.home(by), told.home(to), told.apart.consortium.chain
    numbers = sender.company.number, taker.company.number
    route = Route(chain.chain_id, chain.ledger, *numbers, taker.public_key, told.apart.records[word])
    return encode_envelope(seal(route, encode_content(content), sender.company.signer))


def take(told: Delivered, homes: dict[str, Home], word: str, by: str, to: str) -> Kept:
    return homes[to].receiver.import_file(sealed(told, content_of(told, word, by, to), word, by, to))


def refused(home: Home, data: bytes, says: str, kind: type[MillmarkError] = HandoverRefusedError) -> None:
    with home.store.reading() as connection:
        before = connection.exec_driver_sql("SELECT * FROM planning_leaves").all()
    with pytest.raises(kind, match=says) as found:
        home.receiver.import_file(data)
    assert "\n" not in str(found.value)
    with home.store.reading() as connection:
        assert connection.exec_driver_sql("SELECT * FROM planning_leaves").all() == before


def receiver_of(told: Delivered, home: Home, clock_ms: int = 1_000_000) -> Receiver:
    """One that signs receipts."""
    chain, company = told.apart.consortium.chain, home.company
    return Receiver(home.store, chain, company.number, home.key_file, lambda: clock_ms, lambda: company.signer)


# What arrives


def test_offers_and_plans_wait_for_their_call(told: Delivered, homes: dict[str, Home]) -> None:
    auditor = homes[AUDITOR]
    for word, by in ((LATHE, BIRCH), (PLAN, COORDINATOR)):
        text = sealed(told, content_of(told, word, by, AUDITOR), word, by, AUDITOR)
        refused(auditor, text, "the call that it is about has not arrived here yet", HandoverEarlyError)
    assert take(told, homes, CALL, COORDINATOR, AUDITOR).entries == 1
    assert take(told, homes, LATHE, BIRCH, AUDITOR).entries == 2
    assert take(told, homes, PLAN, COORDINATOR, AUDITOR).entries == 1


def test_an_entry_that_is_not_in_the_anchored_tree_is_refused(told: Delivered, homes: dict[str, Home]) -> None:
    content = content_of(told, LATHE, BIRCH, COORDINATOR)
    one, two = content.entries
    entry = one.entry
    assert isinstance(entry, dict)
    for changed in (
        replace(one, entry={**entry, "wh": 1}),
        replace(one, salt=bytes(32)),
        replace(one, index=5),
        replace(one, proof=()),
        replace(one, kind=LeafKind.PLAN),
        replace(one, entry=two.entry),
    ):
        bad = replace(content, entries=tuple(sorted((changed, two), key=lambda each: each.index)))
        refused(
            homes[COORDINATOR], sealed(told, bad, LATHE, BIRCH, COORDINATOR), "is not in the anchored stream|malformed"
        )


def test_entries_come_with_the_record_that_anchored_them_alone(told: Delivered, homes: dict[str, Home]) -> None:
    content = content_of(told, LATHE, BIRCH, COORDINATOR)
    refused(homes[COORDINATOR], sealed(told, content, MILL, ALDER, COORDINATOR), "is not in the anchored stream")
    refused(homes[COORDINATOR], sealed(told, content, LATHE, ALDER, COORDINATOR), "hands nothing over to this company")
    refused(homes[COORDINATOR], sealed(told, content, "place shaft", BUYER, COORDINATOR), "its record anchored none")


def test_who_is_not_named_as_a_reader_takes_no_offers(told: Delivered, homes: dict[str, Home]) -> None:
    take(told, homes, CALL, COORDINATOR, ALDER)
    content = content_of(told, LATHE, BIRCH, COORDINATOR)
    refused(
        homes[ALDER], sealed(told, content, LATHE, BIRCH, ALDER), "does not name this company as a reader of offers"
    )


def test_an_objective_is_that_of_a_call_in_the_same_hand_over(told: Delivered, homes: dict[str, Home]) -> None:
    content = content_of(told, CALL, COORDINATOR, AUDITOR)
    [objective] = content.objectives
    assert isinstance(objective, dict)
    bad = replace(content, objectives=({**objective, "carbon_price": 7},))
    refused(homes[AUDITOR], sealed(told, bad, CALL, COORDINATOR, AUDITOR), "is not that of a call in it")
    bad = replace(content, objectives=({"format": "millmark.objective"},))
    refused(homes[AUDITOR], sealed(told, bad, CALL, COORDINATOR, AUDITOR), "an objective in it is malformed")


def test_a_plan_comes_with_its_document(told: Delivered, homes: dict[str, Home]) -> None:
    take(told, homes, CALL, COORDINATOR, AUDITOR)
    content = content_of(told, PLAN, COORDINATOR, AUDITOR)
    bad = replace(content, documents=())
    refused(homes[AUDITOR], sealed(told, bad, PLAN, COORDINATOR, AUDITOR), "the document of a plan in it is missing")
    [claims] = content.documents
    bad = replace(content, documents=(claims.erase([("offers",)]),))
    refused(homes[AUDITOR], sealed(told, bad, PLAN, COORDINATOR, AUDITOR), "the part of a plan is malformed")


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("foreign machine", r"machine \d+ is not one of participant 3"),
        ("foreign owner", "it was made by participant 4, who is not its sender"),
        ("not asked for", "the call does not ask for operation 8"),
        ("after the end", "a window ends after the call's last slot"),
    ],
)
def test_an_offer_that_its_owner_could_not_make_is_refused(
    told: Delivered, homes: dict[str, Home], word: str, says: str
) -> None:
    content = content_of(told, word, ALDER, COORDINATOR)
    refused(homes[COORDINATOR], sealed(told, content, word, ALDER, COORDINATOR), f"an offer in it cannot count: {says}")


# Receipts


def test_offers_that_count_get_a_receipt_once(told: Delivered, homes: dict[str, Home]) -> None:
    home = homes[COORDINATOR]
    text = sealed(told, content_of(told, LATHE, BIRCH, COORDINATOR), LATHE, BIRCH, COORDINATOR)
    kept = receiver_of(told, home, 7_000).import_file(text)
    assert (kept.entries, len(kept.receipts)) == (2, 2)
    assert {one.received_at for one in kept.receipts} == {7}
    again = receiver_of(told, home, 9_000_000).import_file(text)
    assert again.again
    assert again.receipts == kept.receipts, "a repeated hand-over has the same receipts"
    take(told, homes, CALL, COORDINATOR, AUDITOR)
    text = sealed(told, content_of(told, LATHE, BIRCH, AUDITOR), LATHE, BIRCH, AUDITOR)
    assert receiver_of(told, homes[AUDITOR]).import_file(text).receipts == (), "a reader gives none"


def test_a_second_offer_for_the_same_gets_none_and_does_not_count(told: Delivered, homes: dict[str, Home]) -> None:
    home = homes[COORDINATOR]
    for word, receipts in ((LATHE, 2), ("doubled", 0)):
        text = sealed(told, content_of(told, word, BIRCH, COORDINATOR), word, BIRCH, COORDINATOR)
        assert len(receiver_of(told, home).import_file(text).receipts) == receipts
    with home.store.reading() as connection:
        planning, rows = PlanningRepository(connection), Rows(connection)
        counted = count_known(rows, Book(connection), planning, told.planned.call)
    [doubled] = told.planned.sealed["doubled"].leaves
    assert "doubled" in counted.refused[doubled]
    assert sorted(counted.offers) == sorted(told.planned.sealed[LATHE].leaves)


def test_only_receipts_of_the_coordinator_for_own_offers_are_kept(told: Delivered, homes: dict[str, Home]) -> None:
    birch, chain, call = homes[BIRCH], told.apart.consortium.chain, told.planned.call.digest
    take(told, homes, CALL, COORDINATOR, BIRCH)
    signer, other = told.home(COORDINATOR).company.signer, told.home(ALDER).company.signer
    mine, theirs = told.planned.sealed[LATHE].leaves[0], told.planned.sealed[MILL].leaves[0]
    deliveries = Deliveries(birch.store, chain, birch.company.signer)
    row = DeliveryRow(1, told.home(COORDINATOR).company.number, "waiting", b"", b"", 0, "", 0, 0)

    def keep(*receipts: Receipt) -> int:
        return deliveries.keep_receipts(row, receipts)

    good = sign_receipt(chain.chain_id, chain.ledger, call, mine, 7, signer)
    assert keep(sign_receipt(chain.chain_id, chain.ledger, call, mine, 7, other)) == 0
    assert keep(sign_receipt(chain.chain_id, chain.ledger, call, theirs, 7, signer)) == 0
    assert keep(sign_receipt(chain.chain_id, chain.ledger, bytes(32), mine, 7, signer)) == 0
    assert keep(sign_receipt(chain.chain_id + 1, chain.ledger, call, mine, 7, signer)) == 0
    assert keep(replace(good, received_at=8)) == 0
    assert keep(replace(good, signature=bytes(65))) == 0
    assert keep(good) == 1
    assert keep(sign_receipt(chain.chain_id, chain.ledger, call, mine, 9, signer)) == 1
    with birch.store.reading() as connection:
        found = PlanningRepository(connection).receipts([mine])
    assert found == {mine: ReceiptRow(mine, call, 7, good.signature)}, "the first one stays"
