"""What waits for whom, at each step of an order on the real contracts; and that no query of it reads a whole table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.reader import build_reader
from millmark.ledger.provenance.worklist import Task, Todo, find_waits, find_work
from millmark.ledger.records import AssignmentState, CertificateState, LotState, OrderState, Role
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.lineage import Lineage
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    CustodyChangeRow,
    LotRow,
    MachineRow,
    ModelRow,
    OperationRow,
    OrderRow,
    ParticipantRow,
    RecoveryRow,
)
from tests.support.fake_world import (
    AUDITOR,
    BUYER,
    COORDINATOR,
    INSPECTOR,
    SMITH,
    build_world,
)
from tests.support.stores import new_store

BEGUN = 1_790_000_000
FAR = 4_000_000_000


@pytest.fixture(scope="module")
def companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with new_store(tmp_path_factory.mktemp("worklist")) as store:
        build_world(store)
        put(store, MachineRow(1, bytes([1]) * 32, SMITH, BEGUN, 0, bytes(32)))
        yield store


@pytest.fixture
def store(companies: Store) -> Store:
    """With companies, a machine and the cursor, and nothing else."""
    with companies.transaction() as connection:
        for table in _EMPTY:
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608  # names of tables
        for number in range(1, 8):
            row = Rows(connection).get(ParticipantRow, number)
            assert row is not None
            Rows(connection).put(replace(row, roles=0))
    return companies


_EMPTY = ("orders", "operations", "assignments", "lots", "certificates", "standings", "models", "recoveries")


def tasks(store: Store, company: int) -> list[Task]:
    return [one.task for one in todo(store, company)]


def todo(store: Store, company: int, first: int = 0, most: int = 100) -> tuple[Todo, ...]:
    with open_reader(store, company) as reader:
        return find_work(reader, company, first, most).items


def put(store: Store, *rows: object) -> None:
    with store.transaction() as connection:
        for row in rows:
            Rows(connection).put(row)


def order(number: int = 1, state: OrderState = OrderState.PLACED, **values: Any) -> OrderRow:
    row = OrderRow(
        bytes([number]) * 32, number, BUYER, COORDINATOR, "", 2, 0, 0, int(state), FAR, 0, bytes(3), BEGUN, bytes(32)
    )
    return replace(row, **values)


def assignment(of: OrderRow, operation: int, state: AssignmentState, number: int = 50) -> AssignmentRow:
    times = (BEGUN, BEGUN + 1, BEGUN + 2, 0)
    return AssignmentRow(number, of.subject, operation, 1, SMITH, int(state), *times, None, 0, 0, None, bytes(32))


def lot(number: int = 1, state: LotState = LotState.HELD, **values: Any) -> LotRow:
    row = LotRow(
        bytes([200, number] * 16), 64 * number, number, None, None, 0, 0, 0, 5, 5, b"H87", SMITH, 0, int(state),
        0, 0, 0, BEGUN, bytes(32),
    )  # fmt: skip
    return replace(row, **values)


def operation(of: OrderRow, number: int, sequence: int, *, finished: bool = False) -> OperationRow:
    return OperationRow(of.subject, number, sequence, finished)


# Orders, from both sides


def test_a_placed_order_waits_for_its_coordinator_alone(store: Store) -> None:
    put(store, order())
    assert tasks(store, COORDINATOR) == [Task.ACCEPT_ORDER]
    assert tasks(store, BUYER) == tasks(store, SMITH) == []


def test_operations_without_a_machine_wait_for_the_coordinator(store: Store) -> None:
    made = order(state=OrderState.ACCEPTED)
    put(store, made)
    [plan] = todo(store, COORDINATOR)
    assert (plan.task, plan.operations, plan.who and plan.who.participant) == (Task.ASSIGN, (0, 1), BUYER)
    put(store, assignment(made, 0, AssignmentState.DECLINED), operation(made, 0, 50))
    assert [(one.task, one.operations) for one in todo(store, COORDINATOR)] == [
        (Task.REASSIGN, (0,)),
        (Task.ASSIGN, (1,)),
    ]


@pytest.mark.parametrize(
    ("state", "task"),
    [
        (AssignmentState.PROPOSED, Task.ACCEPT_WORK),
        (AssignmentState.ACCEPTED, Task.START_WORK),
        (AssignmentState.STARTED, Task.FINISH_WORK),
        (AssignmentState.FINISHED, None),
        (AssignmentState.CANCELLED, None),
    ],
)
def test_an_assignment_waits_for_the_owner_of_the_machine(
    store: Store, state: AssignmentState, task: Task | None
) -> None:
    made = order(state=OrderState.IN_PRODUCTION)
    put(store, made, assignment(made, 0, state), operation(made, 0, 50))
    assert tasks(store, SMITH) == ([] if task is None else [task])


def test_what_cannot_be_accepted_any_more_is_nothing_to_do(store: Store) -> None:
    made = order(state=OrderState.CANCELLED)
    put(store, made, assignment(made, 0, AssignmentState.PROPOSED), operation(made, 0, 50))
    assert tasks(store, SMITH) == tasks(store, COORDINATOR) == tasks(store, BUYER) == []


def finished(store: Store, **values: Any) -> OrderRow:
    made = order(state=OrderState.IN_PRODUCTION, **values)
    put(store, made)
    for number in range(2):
        put(
            store,
            assignment(made, number, AssignmentState.FINISHED, 50 + number),
            operation(made, number, 50 + number, finished=True),
        )
    return made


def test_an_order_that_is_made_waits_for_its_coordinator_and_then_for_its_buyer(store: Store) -> None:
    made = finished(store)
    assert tasks(store, COORDINATOR) == [Task.COMPLETE_ORDER]
    put(store, replace(made, state=int(OrderState.COMPLETED)))
    assert tasks(store, COORDINATOR) == []
    assert tasks(store, BUYER) == [Task.CONFIRM_DELIVERY]


def test_a_failed_lot_keeps_its_order_from_being_complete(store: Store) -> None:
    made = finished(store)
    put(store, lot(1, LotState.QUARANTINED, order=made.subject, counterparty=INSPECTOR))
    [rework] = todo(store, COORDINATOR)
    assert (rework.task, rework.who and rework.who.participant) == (Task.ASSIGN_REWORK, SMITH)
    assert tasks(store, SMITH) == [Task.REWORK]
    put(store, assignment(made, 1, AssignmentState.STARTED, 60), operation(made, 1, 60, finished=True))
    assert tasks(store, COORDINATOR) == [], "it waits for the holder, who has an assignment"
    assert tasks(store, SMITH) == [Task.REWORK, Task.FINISH_WORK]


@pytest.mark.parametrize(("held", "expected"), [(0, Task.HAND_OVER), (2, Task.HAND_OVER), (3, Task.CONFIRM_DELIVERY)])
def test_a_delivery_waits_until_the_buyer_holds_what_it_ordered(store: Store, held: int, expected: Task) -> None:
    made = order(state=OrderState.COMPLETED, quantity=3, unit=b"H87")
    put(store, made, lot(1, order=made.subject, quantity=9))
    if held:
        put(store, lot(2, order=made.subject, quantity=held, custodian=BUYER))
    with open_reader(store) as reader:
        waits = find_waits(reader, [made], whole=True)
    assert [one.task for one in waits] == [expected]
    assert tasks(store, BUYER) == ([Task.CONFIRM_DELIVERY] if expected is Task.CONFIRM_DELIVERY else [])


def test_whoever_holds_what_was_ordered_has_to_hand_it_over(store: Store) -> None:
    made = order(state=OrderState.COMPLETED, quantity=3, unit=b"H87")
    put(store, made, lot(1, order=made.subject, quantity=3), lot(2, order=made.subject, unit=b"KGM"))
    [hand] = todo(store, SMITH)
    assert (hand.task, hand.lot, hand.who and hand.who.participant) == (Task.HAND_OVER, lot(1).subject, BUYER)
    put(store, lot(1, LotState.OFFERED, order=made.subject, quantity=3, counterparty=BUYER))
    assert (tasks(store, SMITH), tasks(store, BUYER)) == ([], [Task.ACCEPT_CUSTODY])


# Lots, certificates, registry


def test_offers_and_returns_wait_for_whom_they_are_made_to(store: Store) -> None:
    put(
        store,
        lot(1, LotState.OFFERED, counterparty=BUYER, offer=70),
        CustodyChangeRow(70, lot(1).subject, "CustodyOffered", SMITH, BUYER, BEGUN + 9),
        lot(2, LotState.RETURNING, custodian=BUYER, counterparty=INSPECTOR, offer=71),
        CustodyChangeRow(71, lot(2).subject, "ReturnOffered", BUYER, SMITH, BEGUN + 9),
        lot(3, LotState.OFFERED, counterparty=BUYER, offer=70, parent=lot(1).subject),
    )
    [offer] = todo(store, BUYER)
    assert (offer.task, offer.lot, offer.who and offer.who.participant) == (Task.ACCEPT_CUSTODY, lot(1).subject, SMITH)
    assert tasks(store, SMITH) == [Task.ACCEPT_RETURN]
    assert tasks(store, INSPECTOR) == []


def test_what_waits_for_others_does_not_hide_what_waits_for_the_company(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 6):
        holder, maker = (BUYER, INSPECTOR) if number < 5 else (SMITH, SMITH)
        made = order(number, OrderState.COMPLETED, quantity=3, unit=b"H87", buyer=COORDINATOR)
        put(store, made, lot(number, order=made.subject, quantity=3, custodian=holder))
        back = lot(10 + number, LotState.RETURNING, custodian=BUYER, offer=70 + number)
        put(store, back, CustodyChangeRow(70 + number, back.subject, "ReturnOffered", BUYER, maker, BEGUN + 9))
    monkeypatch.setattr("millmark.ledger.provenance.worklist._MOST", 3)
    found = todo(store, SMITH)
    assert {(one.task, one.lot) for one in found} == {
        (Task.HAND_OVER, lot(5).subject),
        (Task.ACCEPT_RETURN, lot(15).subject),
    }
    monkeypatch.setattr("millmark.ledger.provenance.worklist._MOST_BROAD", 3)
    with open_reader(store, SMITH) as reader:
        assert find_work(reader, SMITH, 0, 10).truncated


def certificate(number: int, deadline: int) -> CertificateRow:
    made = CertificateRow(
        number, lot(1).subject, None, INSPECTOR, 1, 1, 2, BEGUN, FAR, deadline, 0, 0, 0,
        bytes(32), bytes(32), 0, bytes(32), 0, bytes(32), bytes(32), bytes(32),
    )  # fmt: skip
    assert made.state == CertificateState.DEMANDED
    return made


def test_a_demanded_certificate_waits_for_its_inspector_until_its_deadline(store: Store) -> None:
    put(store, lot(1), certificate(80, FAR), certificate(81, 5))
    late, early = todo(store, INSPECTOR)
    assert (late.certificate, late.overdue) == (81, True)
    assert (early.certificate, early.overdue, early.until and early.until.timestamp()) == (80, False, FAR)


def test_auditors_see_models_and_recoveries_and_a_company_its_own(store: Store) -> None:
    model = ModelRow(
        9, bytes([9]) * 32, INSPECTOR, 0, 1, False, BEGUN, 0, 0, 0, 0, bytes(32), None, bytes(32), bytes(32), bytes(32)
    )
    put(store, model, RecoveryRow(BUYER, b"k" * 20, BEGUN, FAR, False, False, 0))
    with store.reading() as connection:
        row = Rows(connection).get(ParticipantRow, AUDITOR)
    assert row is not None
    put(store, replace(row, roles=int(Role.AUDITOR)))
    assert set(tasks(store, AUDITOR)) == {Task.RECOVERY, Task.APPROVE_MODEL}
    assert tasks(store, BUYER) == [Task.RECOVERY]
    put(store, RecoveryRow(BUYER, b"k" * 20, BEGUN, FAR, True, False, 0))
    assert tasks(store, BUYER) == []


# The list as a whole


def test_what_is_due_first_comes_first_page_by_page(store: Store) -> None:
    put(store, *(order(number, due_at=FAR - number) for number in range(1, 31)))
    seen = [one.order for first in (0, 10, 20) for one in todo(store, COORDINATOR, first, 10)]
    assert seen == [order(number).subject for number in range(30, 0, -1)]
    assert todo(store, COORDINATOR, 30, 10) == todo(store, COORDINATOR, 10_000, 10) == ()


def test_what_is_beyond_the_bound_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, *(order(number) for number in range(1, 5)))
    monkeypatch.setattr("millmark.ledger.provenance.worklist._MOST", 3)
    with open_reader(store, COORDINATOR) as reader:
        found = find_work(reader, COORDINATOR, 0, 10)
    assert (found.count, found.truncated) == (3, True)


def test_no_query_of_the_list_reads_a_whole_table(tmp_path: Path) -> None:
    """With one of everything in the index, so that each query is asked."""
    with new_store(tmp_path) as store:
        build_world(store)
        made = finished(store)
        placed = order(2)
        put(
            store, placed, order(3, OrderState.COMPLETED, quantity=1, unit=b"H87"),
            lot(1, LotState.QUARANTINED, order=made.subject, counterparty=INSPECTOR),
            lot(2, LotState.OFFERED, counterparty=BUYER, offer=70),
            lot(3, LotState.RETURNING, custodian=BUYER, counterparty=INSPECTOR, offer=71),
            CustodyChangeRow(71, lot(3).subject, "ReturnOffered", BUYER, SMITH, BEGUN + 9),
            certificate(80, FAR),
            RecoveryRow(BUYER, b"k" * 20, BEGUN, FAR, False, False, 0),
        )  # fmt: skip
        with store.transaction() as connection:
            for number in range(1, 8):
                row = Rows(connection).get(ParticipantRow, number)
                assert row is not None
                Rows(connection).put(replace(row, roles=63))
        with store.reading() as connection:
            driver, asked = connection.connection.driver_connection, list[str]()
            assert driver is not None
            driver.set_trace_callback(asked.append)
            reader = build_reader(Rows(connection), Book(connection), Lineage(connection), None)
            for company in (BUYER, COORDINATOR, SMITH, INSPECTOR, AUDITOR):
                assert find_work(reader, company, 0, 10).items
            find_waits(reader, [made, placed], whole=True)
            driver.set_trace_callback(None)
            queries = [one for one in dict.fromkeys(asked) if one.startswith("SELECT")]
            steps = [(step[3], query) for query in queries for step in driver.execute(f"EXPLAIN QUERY PLAN {query}")]
    assert len(queries) > 30
    # Names are a table of the size of the consortium, which is read once.
    assert [(step, query) for step, query in steps if step.startswith("SCAN") and "participant_names" not in step] == []
    assert [(step, query) for step, query in steps if "TEMP B-TREE" in step and "LIMIT" in query] == []
