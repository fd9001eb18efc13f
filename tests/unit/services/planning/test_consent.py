"""A row is accepted only as it was offered, by the root of the text that proposed it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from millmark.ledger.canonical import Json, canonical_json, to_hex
from millmark.ledger.claims import build_claims
from millmark.ledger.evidence import LeafKind, build_leaf_data
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.plans.call import Call
from millmark.ledger.plans.offer import Offer
from millmark.ledger.plans.plan import Row
from millmark.ledger.records import AssignmentState
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.rows import AssignmentRow
from millmark.services.planning.consent import Taken, TakenTimes, consent_to, find_busy, find_row, verify_row
from millmark.services.planning.errors import RowRefusedError
from millmark.services.planning.repository import CallRow, LeafRow, PlanningRepository, What
from tests.support.planning_samples import ORDERS, build_call
from tests.support.stores import new_store

OWNER, MACHINE, NUMBER = 3, 17, 131
CALL = build_call()
OFFER = Offer(
    CALL.digest, OWNER, MACHINE, ORDERS[0], 0, 2, 1, "steel", ((4, 10, 900),), 9000, 3_000_000, CALL.closes + 86_400
)
LEAF = leaf_hash(build_leaf_data(LeafKind.OFFER, b"\1" * 32, OFFER.to_json()))
ROW = Row(ORDERS[0], 0, LEAF, MACHINE, OWNER, 5, 7, 900, 9000, 3_000_000)


@dataclass
class Owner:
    """The database of the machine's owner, who made one offer."""

    store: Store

    def propose(self, document: Json, **changes: object) -> bytes:
        """An assignment whose document is this one. Returns its claims root."""
        claims = build_claims(document)
        row = AssignmentRow(
            NUMBER,
            ORDERS[0],
            0,
            MACHINE,
            OWNER,
            AssignmentState.PROPOSED.value,
            1,
            0,
            0,
            0,
            None,
            0,
            0,
            None,
            claims.root,
        )
        with self.store.transaction() as connection:
            Rows(connection).put(replace(row, **changes))  # type: ignore[arg-type]  # members of an assignment
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        return claims.root

    def accept(self, now_s: int = CALL.closes) -> bytes | None:
        with self.store.reading() as connection:
            return consent_to(Rows(connection), Book(connection), NUMBER, now_s)

    def busy(self, call: Call) -> list[tuple[int, int]]:
        with self.store.reading() as connection:
            return list(find_busy(Rows(connection), Book(connection), call, MACHINE, OWNER))


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    with new_store(tmp_path) as store:
        with store.transaction() as connection:
            planning = PlanningRepository(connection)
            made = ((b"\2" * 32, What.CALL, 2, CALL.to_json()), (LEAF, What.OFFER, OWNER, OFFER.to_json()))
            for leaf, what, by, value in made:
                text = canonical_json(value).decode()
                planning.add_leaf(LeafRow(leaf, CALL.digest, what, by, b"\7" * 32, 0, b"\1" * 32, text, 0, b"", 0))
            planning.put_call(CallRow(CALL.digest, b"\2" * 32, 2, CALL.closes, "", ""))
        yield Owner(store)


def row_of(**changes: object) -> dict[str, Json]:
    return {"plan": to_hex(b"\x0a" * 32), "row": replace(ROW, **changes).to_json()}  # type: ignore[arg-type]


def test_what_was_offered_is_accepted_by_the_root_that_proposed_it(owner: Owner) -> None:
    root = owner.propose(row_of())
    assert owner.accept() == root


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"price": 899}, "assignment 131 is not what was offered: price 899 in place of 900; decline it"),
        ({"start": 11, "end": 13}, "not what was offered: no window lets it start in slot 11"),
        ({"end": 8}, "not what was offered: end 8 in place of 7"),
        ({"wh": 8999}, "not what was offered: Wh 8999 in place of 9000"),
        ({"co2e_mg": 0}, "not what was offered: mg CO2e 0 in place of 3000000"),
        ({"operation": 1}, "the ledger's record names another order, operation or machine"),
        ({"machine": 18}, "the ledger's record names another order, operation or machine"),
        ({"offer": b"\x0c" * 32}, "assignment 131 is on an offer that this company did not make"),
    ],
)
def test_what_was_not_offered_so_is_refused_in_one_line(owner: Owner, changes: dict[str, object], says: str) -> None:
    owner.propose(row_of(**changes))
    with pytest.raises(RowRefusedError) as error:
        owner.accept()
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_an_offer_that_has_expired_binds_nobody(owner: Owner) -> None:
    owner.propose(row_of())
    assert owner.accept(OFFER.until) is not None
    with pytest.raises(RowRefusedError, match="the offer of assignment 131 has expired"):
        owner.accept(OFFER.until + 1)


def test_a_machine_does_not_have_the_same_time_for_two_rows(owner: Owner) -> None:
    """Its time may be offered for several calls: the row that is accepted first has it."""
    root = owner.propose(row_of(), sequence=NUMBER + 1, state=AssignmentState.ACCEPTED.value)
    owner.propose(row_of())
    with pytest.raises(RowRefusedError, match=f"when machine {MACHINE} has assignment {NUMBER + 1}; decline it"):
        owner.accept()
    owner.propose(row_of(), sequence=NUMBER + 1, state=AssignmentState.CANCELLED.value)
    assert owner.accept() is not None
    with owner.store.reading() as connection:
        rows, book = Rows(connection), Book(connection)
        found = rows.get(AssignmentRow, NUMBER)
        assert found is not None
        proposed = find_row(book, found)
        assert proposed is not None
        other = bytes([9]) * 32, 0
        before = Taken(MACHINE, 9, CALL.origin, CALL.origin + 5 * CALL.slot, other)
        after = Taken(MACHINE + 1, 9, 0, 2**40, other)
        times = TakenTimes(rows, book, OWNER)
        times.add(before)
        times.add(after)
        mine = verify_row(rows, book, found, proposed, OWNER, CALL.closes, times)
        times.add(replace(mine, assignment=9))
        with pytest.raises(RowRefusedError, match="has assignment 9"):
            verify_row(rows, book, found, proposed, OWNER, CALL.closes, times)
    assert root


def test_times_are_found_as_if_each_were_looked_at(owner: Owner) -> None:
    draw = random.Random(5)  # noqa: S311 - reproducible
    with owner.store.reading() as connection:
        times, all_of_them = TakenTimes(Rows(connection), Book(connection), OWNER), list[Taken]()
        for number in range(400):
            begin = draw.randrange(1000)
            wanted = Taken(draw.randint(1, 3), number, begin, begin + draw.choice((1, 2, 3, 40)), (b"", number))
            expected = [one for one in all_of_them if one.overlaps(wanted)]
            found = times.find_overlap(wanted)
            assert found in expected if expected else found is None
            if not expected or draw.random() < 0.2:
                times.add(wanted)
                all_of_them.append(wanted)
    assert len(all_of_them) > 100


def test_a_document_that_is_half_a_row_is_refused_and_one_without_a_plan_is_left_alone(owner: Owner) -> None:
    owner.propose({**row_of(), "more": 1})
    with pytest.raises(RowRefusedError, match="the row of assignment 131 is malformed: it has other members"):
        owner.accept()
    owner.propose({"plan": "0x12", "row": 5})
    with pytest.raises(RowRefusedError, match="the row of assignment 131 is malformed"):
        owner.accept()
    owner.propose({"window": "monday"})
    assert owner.accept() is None


def test_accepted_rows_take_the_machines_time_in_other_calls_too(owner: Owner) -> None:
    owner.propose(row_of())
    assert owner.busy(CALL) == [], "a proposal takes nothing"
    owner.propose(row_of(), state=AssignmentState.ACCEPTED.value)
    assert owner.busy(CALL) == [(5, 7)]
    half = build_call(origin=CALL.origin + 3600, slot=1800)
    assert owner.busy(half) == [(8, 12)], "of half the length, and an hour later"
    shifted = build_call(origin=CALL.origin + 1800)
    assert owner.busy(shifted) == [(4, 7)], "a slot that is taken in part is taken"


def test_a_row_is_read_from_its_document_alone(owner: Owner) -> None:
    owner.propose(row_of())
    with owner.store.reading() as connection:
        rows, book = Rows(connection), Book(connection)
        found = rows.get(AssignmentRow, NUMBER)
        assert found is not None
        proposed = find_row(book, found)
    assert proposed is not None
    assert (proposed.row, proposed.plan) == (ROW, b"\x0a" * 32)
