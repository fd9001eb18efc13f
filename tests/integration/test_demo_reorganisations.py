"""What the demonstration's records name stays right while blocks are replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.chain import Chain, Node, read_deployment
from millmark.ledger.errors import SubmitError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.index import Follower
from millmark.ledger.records import Contract, Item, ReceiveLot, Record
from millmark.ledger.store import Book, Connection, Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.rows import CertificateRow, LotRow
from millmark.services.demo import given
from millmark.services.demo.consortium import NOTHING, Company, Consortium, found_consortium, hash_of
from millmark.services.demo.home import database_of
from millmark.services.demo.plant import PIECE, receive
from millmark.services.demo.production import hand_over
from millmark.services.demo.run import run_demo
from millmark.services.planning.making import find_tie, times_of
from millmark.services.planning.reading import find_whole
from millmark.services.planning.repository import PlanningRepository
from millmark.services.products import Catalogue
from millmark.services.store import open_store
from tests.support.forking import DEPTH, FORKING, Forking, ForkingChain
from tests.support.stores import new_store
from tests.support.windows import write_windows

pytestmark = pytest.mark.integration
_GTIN = "09506000134352"
_ALL = 1000
_ORDERS, _SEED, _EVERY, _FOUNDED = 7, 2, 4, 20


@pytest.fixture
def chain() -> ForkingChain:
    return ForkingChain()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        yield store


@pytest.fixture
def consortium(store: Store, chain: ForkingChain) -> Consortium:
    found = found_consortium(store, existing=Forking(chain=chain))
    found.settle()
    return found


def _unrelated(consortium: Consortium, company: Company, name: str) -> list[Record]:
    """A record that needs none, and that none needs."""
    lot = consortium.name(SubjectKind.LOT, company, f"https://id.gs1.org/01/{_GTIN}/10/{name}")
    return [ReceiveLot(hash_of(lot), 1, PIECE, NOTHING)]


def _replace(chain: ForkingChain, company: Company, count: int = 1) -> None:
    """Has as many blocks as can be replaced, once, when so many of them have transactions of the company."""
    left = count

    def look(chain: ForkingChain) -> None:
        nonlocal left
        left -= company.signer.address in chain.latest_senders()
        if not left and not chain.reorganised:
            chain.reorganise(DEPTH - 1, backwards=True)

    chain.on_block = look


def test_custody_is_accepted_of_the_offer_that_stands(consortium: Consortium, chain: ForkingChain) -> None:
    """The offer moves to another sequence after the acceptance is in a block."""
    giver, taker, other = consortium.makers
    lots = sorted(receive(consortium, giver, _GTIN, ["A", "B"], 1, PIECE))
    consortium.settle()
    _replace(chain, taker)
    consortium.queue(other, _unrelated(consortium, other, "C"), after_others=False)
    hand_over(consortium, giver, taker, [(Item(lot, NOTHING),) for lot in lots])
    consortium.queue(taker, _unrelated(consortium, taker, "D"))
    consortium.settle()
    assert chain.reorganised == 1
    store = consortium.store
    Follower(consortium.chain, store).follow()
    with store.reading() as connection:
        holders = [row.custodian for row in Rows(connection).among(LotRow, "subject", lots)]
    assert holders == [taker.number] * 2
    states = Counter(one.state for one in Outbox(store).page(None, _ALL, None))
    # The acceptances that named what the offers were before.
    assert states[OutboxState.CANCELLED] == len(lots)
    assert set(states) == {OutboxState.FINAL, OutboxState.CANCELLED}


def test_a_record_is_made_again_that_came_before_what_it_needs(consortium: Consortium, chain: ForkingChain) -> None:
    """It is refused for good while what it needs waits to be made again. No sequence changes."""
    giver, taker, _ = consortium.makers
    [lot] = receive(consortium, giver, _GTIN, ["A"], 1, PIECE)
    consortium.settle()
    _replace(chain, giver, 2)
    hand_over(consortium, giver, taker, [(Item(lot, NOTHING),)])
    hand_over(consortium, taker, giver, [(Item(lot, NOTHING),)])
    consortium.settle()
    assert chain.reorganised == 1
    Follower(consortium.chain, consortium.store).follow()
    with consortium.store.reading() as connection:
        assert [row.custodian for row in Rows(connection).among(LotRow, "subject", [lot])] == [giver.number]


def test_sequences_are_returned_that_stay(consortium: Consortium, chain: ForkingChain) -> None:
    maker, other, _ = consortium.makers
    _replace(chain, maker)
    consortium.queue(other, _unrelated(consortium, other, "A"))
    [sequence] = consortium.record(maker, _unrelated(consortium, maker, "B"))
    assert chain.reorganised == 1
    made = consortium.chain.sequence(Contract.LEDGER)
    consortium.settle()
    assert consortium.chain.sequence(Contract.LEDGER) == made == 2
    [record] = Outbox(consortium.store).page(None, 1, None)
    assert (record.sequence, record.state) == (sequence, OutboxState.FINAL)


def test_what_waits_for_a_final_sequence_gets_that(consortium: Consortium, chain: ForkingChain) -> None:
    maker, other, _ = consortium.makers
    _replace(chain, maker)
    told: list[int] = []
    consortium.queue(other, _unrelated(consortium, other, "A"))
    consortium.when_final(consortium.queue(maker, _unrelated(consortium, maker, "B")), told.extend)
    consortium.await_mined()
    assert not told
    consortium.settle()
    assert chain.reorganised == 1
    assert told == [1]  # before the other one's, since that block was replaced


def test_what_must_come_after_waits_until_that_is_final(consortium: Consortium, chain: ForkingChain) -> None:
    """A blocks' replacement would put it first."""
    maker, other, _ = consortium.makers
    _replace(chain, other)
    needed = consortium.queue(other, _unrelated(consortium, other, "A"))
    consortium.queue_after(needed, maker, _unrelated(consortium, maker, "B"))
    consortium.await_mined()
    [newest] = Outbox(consortium.store).page(None, 1, None)
    assert newest.id == needed.ids[0]
    consortium.settle()
    assert chain.reorganised == 1
    last, first = Outbox(consortium.store).page(None, 2, None)
    assert (first.id, first.sequence, last.sequence) == (needed.ids[0], 1, 2)


def test_what_must_come_after_is_queued_once_that_is_in_a_block_where_blocks_are_final(store: Store) -> None:
    """Sent together, they could come into one block in any order, or through gateways in any."""
    final = Forking(profile=replace(FORKING, finality_depth=0), chain=ForkingChain())
    consortium = found_consortium(store, existing=final)
    consortium.settle()
    maker, other, _ = consortium.makers
    needed = consortium.queue(other, _unrelated(consortium, other, "A"))
    consortium.queue_after(needed, maker, _unrelated(consortium, maker, "B"))
    assert needed.sequences() == [1]
    consortium.settle()


def test_a_refusal_is_still_told(consortium: Consortium) -> None:
    maker = consortium.makers[0]
    records = _unrelated(consortium, maker, "A")
    consortium.record(maker, records)
    with pytest.raises(SubmitError, match=f"{maker.name}: ReceiveLot is failed: HistorySubjectTaken"):
        consortium.record(maker, records)


def test_the_demonstration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few blocks, some are replaced: from the first record on, and not while contracts are deployed."""
    monkeypatch.setattr(given, "_PAUSE_S", 0.005)
    chain = ForkingChain(_SEED)

    def look(chain: ForkingChain) -> None:
        if chain.chance.randrange(_EVERY) == 0 and chain.height > _FOUNDED:
            chain.reorganise(chain.chance.randint(1, DEPTH - 1))

    chain.on_block = look
    home, data = tmp_path / "home", tmp_path / "windows.tsv"
    write_windows(data)
    product = Catalogue().find("crankshaft")
    result = run_demo(home, _ORDERS, data, lambda _: None, product, Forking(chain=chain))
    assert chain.reorganised > 0
    assert result.delivered > 0
    assert result.index_sequences == result.chain_sequences
    with open_store(database_of(home)) as store, store.reading() as connection:
        _verify_plans(Chain(Node(chain), FORKING, read_deployment(home / "deployment.json")), connection)
        inspected = [row.sequence for row in Rows(connection).find(CertificateRow) if row.model]
        assert set(Book(connection).inferences(inspected)) == set(inspected)
        assert any(event.startswith(f"certificate {_by_procedure(connection)}:") for event in result.events)


def _verify_plans(chain: Chain, connection: Connection) -> None:
    """The tie hash of each plan is of the chain as it is in the end."""
    planning, book = PlanningRepository(connection), Book(connection)
    found = [
        (find_whole(book, planning, row.digest), find_tie(times_of(chain), call.closes))
        for call in planning.calls()
        for row in planning.plans(call.digest)
    ]
    assert found
    assert all(plan is not None and plan.tie == tie for plan, tie in found)


def _by_procedure(connection: Connection) -> int:
    [found] = [row.sequence for row in Rows(connection).find(CertificateRow) if not row.model]
    return found
