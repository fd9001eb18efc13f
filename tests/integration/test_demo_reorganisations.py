"""What the demonstration's records name stays right while blocks are replaced."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from eth.constants import GENESIS_PARENT_HASH
from eth.vm.forks.prague.transactions import PragueTransactionBuilder

from millmark.ledger.chain import Chain, EmbeddedChain, EngineProfile, Node, RpcError, find_profile, read_deployment
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
from millmark.services.demo.given import ExistingChain
from millmark.services.demo.home import database_of
from millmark.services.demo.plant import PIECE, receive
from millmark.services.demo.production import hand_over
from millmark.services.demo.run import run_demo
from millmark.services.planning.making import find_tie, times_of
from millmark.services.planning.reading import find_whole
from millmark.services.planning.repository import PlanningRepository
from millmark.services.products import Catalogue
from millmark.services.store import open_store
from tests.support.stores import new_store
from tests.support.windows import write_windows

DEPTH = 6
"""Later blocks after which a block is final, as with five signers."""
FORKING = replace(find_profile("clique"), finality_depth=DEPTH, depth_by_signers=False, faucet=True)
_MONEY_WEI = 10**24
_PATIENCE = 3


class ForkingChain(EmbeddedChain):
    """Like a Clique network with the contracts and states of the embedded chain. Makes a block when it was asked for
    news a few times, and was sent nothing meanwhile: so blocks come while somebody waits, however fast the machine is.
    `on_block` is called with the chain after each that is not made by a reorganisation, and may reorganise it."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.chance = random.Random(seed)  # noqa: S311 - a replay needs a seed, not secrecy
        self.on_block: Callable[[ForkingChain], None] = lambda _: None
        self.reorganised = 0
        """How often it was."""
        self._pool: dict[tuple[bytes, int], bytes] = {}
        """Raw transactions by sender and nonce."""
        self._waiting: set[str] = set()
        """Hashes of those in the pool."""
        self._asked = 0
        self._receipt_of = self._build_receipt_in_block  # type: ignore[assignment]  # none is kept: blocks change

    def request(self, method: str, params: list[Any]) -> Any:
        with self._lock:
            self._asked += method == "eth_blockNumber" or params[:1] in (["latest"], *([one] for one in self._waiting))
            if self._asked >= _PATIENCE:
                self._asked = 0
                self._make(self.chance.choice)
                self.on_block(self)
        return super().request(method, params)

    @property
    def height(self) -> int:
        return int(self._head().block_number)

    def latest_senders(self) -> list[bytes]:
        """Who sent the transactions of the latest block."""
        return [one.sender for one in self._block_of(self.height).transactions]

    def reorganise(self, depth: int, *, backwards: bool = False) -> None:
        """Puts one more block in the place of the latest ones. All that was in them is in the first of these, in any
        order that the nonces allow, or `backwards`: whose transactions came first comes last."""
        assert depth < DEPTH, "a final block is not replaced"
        dropped = [self._block_of(self.height - back) for back in range(depth)]
        for block in dropped:
            for one in block.transactions:
                self._keep(one.encode())
        head = self._chain.get_canonical_block_header_by_number(self.height - depth)
        self._chain.chaindb._set_as_canonical_chain_head(self._chain.chaindb.db, head, GENESIS_PARENT_HASH)
        self._chain.header = self._chain.create_header_from_parent(head)
        self.reorganised += 1
        senders = [one.sender for block in reversed(dropped) for one in block.transactions]
        for _ in range(depth + 1):
            self._make((lambda ready: max(ready, key=senders.index)) if backwards else self.chance.choice)

    def _block_of(self, number: int) -> Any:
        return self._chain.get_canonical_block_by_number(number)

    def _make(self, choose: Callable[[Sequence[bytes]], bytes]) -> None:
        """`choose`: whose transaction comes next into the block, of those that could."""
        self._set_time()
        counts: dict[bytes, int] = {}
        while True:
            for sender, _ in self._pool:
                counts.setdefault(sender, self._chain.get_vm().state.get_nonce(sender))
            ready = sorted({sender for sender, nonce in self._pool if nonce == counts[sender]})
            if not ready:
                break
            sender = choose(ready)
            raw = self._pool.pop((sender, counts[sender]))
            counts[sender] += 1
            self._waiting.discard(_hash(raw))
            self._tester.backend.send_raw_transaction(raw)
        self._tester.backend.mine_blocks(1)

    def _keep(self, raw: bytes) -> str:
        one = PragueTransactionBuilder.decode(raw)
        self._asked = 0  # what is sent together comes into the same block
        self._pool[one.sender, one.nonce] = raw
        self._waiting.add(_hash(raw))
        return _hash(raw)

    def _send(self, raw: str) -> str:
        data = bytes.fromhex(raw[2:])
        one = PragueTransactionBuilder.decode(data)
        if one.nonce < self._tester.get_nonce("0x" + one.sender.hex()):
            raise RpcError(-32000, "nonce too low")
        if _hash(data) in self._waiting:
            raise RpcError(-32000, "already known")
        return self._keep(data)

    def _receipt(self, transaction_hash: str) -> Any:
        return None if transaction_hash in self._waiting else super()._receipt(transaction_hash)

    def _build_receipt_in_block(self, transaction_hash: str) -> Any:
        """Its logs are counted from the first one of the block, which may have several transactions."""
        found = self._build_receipt(transaction_hash)
        number, place = self._chain.get_canonical_transaction_index(bytes.fromhex(transaction_hash[2:]))
        before = self._block_of(number).get_receipts(self._chain.chaindb)[:place]
        first = sum(len(one.logs) for one in before)
        return {**found, "logs": [{**log, "logIndex": hex(first + at)} for at, log in enumerate(found["logs"])]}


def _hash(raw: bytes) -> str:
    return "0x" + PragueTransactionBuilder.decode(raw).hash.hex()


@dataclass(frozen=True, slots=True)
class Forking(ExistingChain):
    """The demonstration's way to such a chain."""

    url: str = "http://127.0.0.1:1"
    profile: EngineProfile = FORKING
    chain: ForkingChain = field(default_factory=ForkingChain)

    def node(self) -> Node:
        return Node(self.chain)

    def endow(self, keys: Sequence[bytes], *, deploys: bool = False) -> None:  # noqa: ARG002  # as the original
        for key in keys:
            self.node().fund(key)


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


@pytest.mark.left_out
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
