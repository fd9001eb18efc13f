"""What is asked often reads as much of a large store as of a small one. `scripts/prove growth` measures it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from millmark.ledger.index import Follower
from millmark.ledger.provenance import Trace, evidence_proofs, recall
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import AnchorRow, AssignmentRow, CertificateRow, CertifiedLotRow, LotRow, StreamRow
from tests.proofs.growth import Plant, Sender
from tests.support.stores import new_store

_FEW = ("participant_names", "outbox_leases", "outbox_done", "carriers", "CONSTANT")
"""What may be read in full: tables with a row for each company, key or state, and the walk from a lot to its
carriers."""
_PARTIAL = "outbox_records_unfinished"
"""An index of the unfinished records alone, which may be read in full."""


@pytest.fixture(scope="module")
def plant() -> Plant:
    return Plant()


@pytest.fixture(scope="module")
def store(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = new_store(tmp_path_factory.mktemp("growth"))
    plant.grow(3_000, Follower(plant.fake.chain, made))
    yield made
    made.close()


def test_no_table_is_read_as_a_whole(plant: Plant, store: Store) -> None:
    """By SQLite's own account of how it runs each statement. PostgreSQL has the same indexes, and no plan to hold it
    to: it reads small tables as a whole, and rightly."""
    asked: list[str] = []
    event.listen(store._engine, "connect", lambda connection, _: connection.set_trace_callback(asked.append))
    store._engine.dispose()  # the next connections are traced
    for ask in plant.questions().values():
        ask(store, 10)
    for _ in range(4):
        plant.make()
    Follower(plant.fake.chain, store).follow()
    Sender(store, 500).send()
    Outbox(store).counts()
    store._engine.dispose()
    reads = {one for one in asked if one.startswith(("SELECT", "WITH", "UPDATE", "DELETE"))}
    assert len(reads) > 100
    assert not {step for one in reads for step in _steps(store, one) if _reads_all(step)}
    # Nor is a whole range sorted for its first row.
    opened = {one for one in reads if "FROM outbox_transactions" in one and "state IN" in one}
    assert opened
    assert all("by_state" in step for one in opened for step in _steps(store, one))
    first = {one for one in reads if "LIMIT 1 " in one and "outbox_transactions" in one}
    assert first
    assert not {step for one in first for step in _steps(store, one) if "TEMP B-TREE" in step}


def _steps(store: Store, statement: str) -> list[str]:
    with store.reading() as connection:
        # By the driver: SQLAlchemy would take colons in it for parameters.
        cursor = connection.connection.cursor()
        cursor.execute(f"EXPLAIN QUERY PLAN {statement}")
        return [f"{row[3]} IN {statement[:120]}" for row in cursor.fetchall()]


def _reads_all(step: str) -> bool:
    scanned = step.startswith("SCAN ") and step.split()[1] not in _FEW and _PARTIAL not in step.split(" IN ")[0]
    return scanned or "AUTOMATIC" in step.split(" IN ")[0]


def test_a_trace_names_the_anchors_of_its_own_entries_and_the_latest(plant: Plant, store: Store) -> None:
    found = plant.questions()["trace of a part"](store, 30)
    assert isinstance(found, Trace)
    [stream], [certificate] = found.streams, found.certificates
    first, latest = stream.anchors
    assert (first.size, latest.size) == (certificate.leaf_index + 1, stream.size)
    assert (first.root, latest.root) == (certificate.anchor_root, stream.root)


def test_the_anchors_of_a_stream_come_page_by_page(plant: Plant, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.reading() as connection:
        everything = list(Rows(connection).scan(AnchorRow))
    name = Counter(row.stream for row in everything).most_common(1)[0][0]
    all_sizes = sorted(row.size for row in everything if row.stream == name)
    assert len(all_sizes) > 6
    sizes, after = list[int](), None
    while page := evidence_proofs.anchors(store, name, None, after, 3):
        sizes += [one.size for one in page.items]
        after = page.after
        if after is None:
            break
    assert sizes == all_sizes
    monkeypatch.setattr("millmark.ledger.provenance.evidence_proofs._LATEST", 4)
    assert [one.size for one in evidence_proofs.stream(store, name, None).anchors] == all_sizes[-4:]


def test_a_recall_of_a_machine_finds_what_all_its_work_and_measurements_say(plant: Plant, store: Store) -> None:
    chance = random.Random(5)  # noqa: S311 - a sample, not a secret
    begun = sorted(one[2] for one in plant.lots)
    with store.reading() as connection:
        rows = Rows(connection)
        kinds = (AssignmentRow, LotRow, StreamRow, AnchorRow, CertificateRow, CertifiedLotRow)
        everything: dict[type, list[Any]] = {kind: list(rows.scan(kind)) for kind in kinds}
    for _ in range(40):
        machine = chance.choice(plant.machines)
        # Moments of records, and just beside them, where a bound is wrong first.
        first = chance.choice(begun) + chance.choice((-5, -1, 0, 1, 5))
        last = first + chance.choice((0, 1, 4, 5, 40, 400))
        since = datetime.fromtimestamp(first, UTC)
        found = recall(store, machine=machine, since=since, until=since + timedelta(seconds=last - first))
        assert {lot.subject for lot in found.lots if not lot.depth} == _affected(everything, machine, first, last)


def _affected(rows: Mapping[type, Sequence[Any]], machine: int, first: int, last: int) -> set[bytes]:
    """The same from all rows, in memory."""
    work = {
        one.sequence
        for one in rows[AssignmentRow]
        if one.machine == machine
        and 0 < (one.started_at or one.accepted_at) <= last
        and (not one.ended_at or one.ended_at >= first)
    }
    lots = {one.subject for one in rows[LotRow] if one.assignment in work}
    measured = set()
    for stream in (one for one in rows[StreamRow] if one.machine == machine):
        anchors = sorted((one for one in rows[AnchorRow] if one.stream == stream.subject), key=lambda one: one.size)
        for one in (one for one in rows[CertificateRow] if one.stream == stream.subject):
            place = next(place for place, anchor in enumerate(anchors) if anchor.size > one.leaf_index)
            after = anchors[place - 1].anchored_at if place else stream.opened_at
            if after <= last and anchors[place].anchored_at >= first:
                measured.add(one.sequence)
    return lots | {one.lot for one in rows[CertifiedLotRow] if one.certificate in measured}
