"""A plan's check at a company's own gateway: terms in force and tie hash are those of the ledger, and it says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import Connection

from millmark.ledger.chain import Chain
from millmark.ledger.plans.check import Unseen
from millmark.ledger.store import Book, Rows
from millmark.services.planning.making import Ties
from millmark.services.planning.repository import PlanningRepository
from millmark.services.planning.showing import Reader
from tests.support.apart import Home
from tests.unit.services.handover.conftest import Delivered

READER, OWNER = "vector", "birch"


class _UndoneError(Exception):
    """What was written meanwhile is not kept."""


@contextmanager
def _undone(home: Home) -> Iterator[Connection]:
    with suppress(_UndoneError), home.store.transaction() as connection:
        yield connection
        raise _UndoneError


def _reader(home: Home, connection: Connection) -> Reader:
    return Reader(Rows(connection), Book(connection), PlanningRepository(connection), home.company.number)


@pytest.mark.parametrize("word", [READER, OWNER])
def test_what_was_compared_is_said_and_what_was_not_too(told: Delivered, word: str) -> None:
    plan, home = told.planned.plan, told.home(word)
    with home.store.reading() as connection:
        alone, both = (_reader(home, connection).check(plan.digest, tie) for tie in (None, plan.tie))
    assert alone.holds
    assert both.holds
    assert Unseen.TERMS.write() in alone.compared
    assert Unseen.TIE.write() in alone.not_checked
    assert {Unseen.TERMS.write(), Unseen.TIE.write()} <= set(both.compared)
    assert not set(both.compared) & set(both.not_checked)
    assert ({Unseen.MACHINES.write(), Unseen.ANCHORS.write()} <= set(both.compared)) is (word == READER)


@pytest.mark.parametrize("word", [READER, OWNER])
def test_another_tie_hash_than_the_ledgers_is_refused(told: Delivered, word: str) -> None:
    plan, home = told.planned.plan, told.home(word)
    with home.store.reading() as connection:
        found = _reader(home, connection).check(plan.digest, b"\2" * 32)
    assert (found.holds, found.rule) == (False, "ties")
    assert "not that of the first block since the call closed" in str(found.reason)


@pytest.mark.parametrize("word", [READER, OWNER])
def test_terms_that_were_changed_since_the_call_are_refused(told: Delivered, word: str) -> None:
    plan, home = told.planned.plan, told.home(word)
    with _undone(home) as connection:
        connection.exec_driver_sql("UPDATE orders SET claims_root = ?", (b"\3" * 32,))
        found = _reader(home, connection).check(plan.digest, plan.tie)
    assert (found.holds, found.rule) == (False, "revision")
    assert "changed after the call" in str(found.reason)


def test_the_tie_hash_is_found_once_and_not_where_no_block_is_late_enough(told: Delivered) -> None:
    chain = told.apart.consortium.chain
    assert isinstance(chain, Chain)
    last = chain.header(chain.final_number())
    ties = Ties(chain)
    found = ties.find(last.timestamp)
    assert found is not None
    assert ties.find(last.timestamp) == found
    number = next(one for one in range(chain.final_number() + 1) if chain.header(one).timestamp >= last.timestamp)
    assert found == chain.header(number).hash
    assert ties.find(last.timestamp + 1) is None
    assert Ties(None).find(last.timestamp) is None
