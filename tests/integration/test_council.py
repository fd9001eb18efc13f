"""Four companies own the registry together (finding M11): installed by the owner, decided by three, after a delay."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from millmark.ledger.chain import EmbeddedChain
from millmark.ledger.chain.council import (
    CALLS,
    Council,
    MotionState,
    build_call,
    deploy_council,
    describe_call,
    find_council,
)
from millmark.ledger.errors import ContractRefusedError, InputError, NotFoundError
from millmark.ledger.index import Follower
from millmark.ledger.records import Contract, Publish, ReceiveLot, Suspend, TransferOwnership
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.demo.consortium import NOTHING, Company, Consortium, found_consortium
from tests.support.bundle_world import PIECE, signers_of
from tests.support.ledger_world import Template
from tests.support.stores import new_store

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
DAY_S = 86_400
NONE_SUCH = [("depart", []), ("suspend", []), ("suspend", ["x"]), ("suspend", ["1", "2", "3"]), ("close", ["0x12"])]
"""Calls that are not an owner's, or lack their arguments."""


@dataclass
class Table:
    """The consortium, and the council that was offered its registry."""

    engine: EmbeddedChain
    consortium: Consortium
    council: Council

    @property
    def members(self) -> list[Company]:
        one = self.consortium
        return [one.buyer, one.coordinator, one.inspector, one.auditor]

    def wait(self, seconds: int) -> None:
        chain = self.consortium.chain
        now = chain.header(chain.final_number()).timestamp
        self.engine._tester.time_travel(now + seconds)  # no node lets its clock be set from outside

    def decide(self, name: str, *words: str) -> int:
        """Has a motion approved and executed."""
        first, *others = self.members
        target, data = build_call(self.council.chain, self.council.address, name, words)
        number = self.council.propose(first.signer, target, data)
        for one in others[:2]:
            self.council.approve(one.signer, number)
        self.wait(3 * DAY_S)
        self.council.execute(first.signer, number)
        return number


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def table(store: Store) -> Table:
    return _TABLE.copy(store)[0]


def _lay_table(store: Store, engine: EmbeddedChain) -> Table:
    consortium = found_consortium(store, engine)
    members = [
        one.number for one in (consortium.buyer, consortium.coordinator, consortium.inspector, consortium.auditor)
    ]
    council = deploy_council(consortium.chain, consortium.owner.signer, sorted(members), 3, 3 * DAY_S)
    consortium.record(consortium.owner, [TransferOwnership(council.address)])
    return Table(engine, consortium, council)


_TABLE = Template(_lay_table, lambda table: signers_of(table.consortium), EmbeddedChain)


def test_m11_the_council_takes_over_and_decides(table: Table, store: Store) -> None:
    chain, maker = table.consortium.chain, table.consortium.makers[0]
    assert find_council(chain)[1] is False
    number = table.decide("accept-ownership")
    assert table.council.motion(number).state is MotionState.EXECUTED
    found, owns = find_council(chain)
    assert (found.address, owns) == (table.council.address, True)
    with pytest.raises(Exception, match="OwnableUnauthorizedAccount"):
        table.consortium.record(table.consortium.owner, [Suspend(maker.number, NOTHING)])
    table.decide("suspend", str(maker.number))
    Follower(chain, store).follow()
    with store.reading() as connection:
        company = Rows(connection).get(ParticipantRow, maker.number)
        assert company is not None
        assert company.suspended


def test_m11_motions_show_what_they_do_and_when(table: Table) -> None:
    council, (first, second, third, fourth) = table.council, table.members
    target, data = build_call(council.chain, council.address, "set-roles", ["1", "63"])
    number = council.propose(first.signer, target, data)
    assert describe_call(council.chain, council.address, target, data) == "set-roles 1 63"
    with pytest.raises(ContractRefusedError, match="CouncilApprovedAlready"):
        council.approve(first.signer, number)
    council.approve(second.signer, number)
    assert council.motion(number).state is MotionState.OPEN
    council.approve(third.signer, number)
    motion = council.motion(number)
    assert (motion.state, len(motion.approvals), motion.needed) == (MotionState.WAITING, 3, 3)
    with pytest.raises(ContractRefusedError, match="CouncilMotionEarly"):
        council.execute(fourth.signer, number)
    council.retract(third.signer, number)
    assert council.motion(number).state is MotionState.OPEN
    table.wait(31 * DAY_S)
    table.consortium.record(table.consortium.owner, [Publish(1, hash_of_nothing())])
    assert council.motion(number).state is MotionState.OVER
    with pytest.raises(ContractRefusedError, match="CouncilNotMember"):
        council.propose(table.consortium.carrier.signer, target, data)
    with pytest.raises(NotFoundError):
        council.motion(99)
    for name, words in NONE_SUCH:
        with pytest.raises(InputError):
            build_call(council.chain, council.address, name, words)


def test_m12_a_closed_registry_names_its_successor(table: Table) -> None:
    table.decide("accept-ownership")
    table.decide("close", "0x" + "51" * 20)
    chain, maker = table.consortium.chain, table.consortium.makers[0]
    assert chain.read(Contract.REGISTRY, "successor") == (b"\x51" * 20,)
    with pytest.raises(Exception, match="HistoryClosed"):
        table.consortium.record(maker, [ReceiveLot(hash_of_nothing(), 1, PIECE, NOTHING)])


def hash_of_nothing() -> bytes:
    return b"\x11" * 32


def test_every_call_that_is_the_owners_can_be_proposed() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "contracts" / "src" / "registry").glob("*.sol"))
    owners = set(re.findall(r"function (\w+)\([^)]*\)[^{;]*\bonlyOwner\b", sources))
    assert len(owners) > 8
    assert owners - CALLS.keys() == {"renounceOwnership"}, "it is refused to everybody"
