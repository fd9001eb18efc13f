"""Whatever is changed in an index is found: by the cheap check what orders and lots rest on, by the deep one all of it;
a rebuild repairs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary, Table, select, update

from millmark.ledger.chain import Chain
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.index import Follower, check_index, check_rows, compare_rows, fetch_status
from millmark.ledger.index.writer import extend_digest, start_digest
from millmark.ledger.records import Contract, pack
from millmark.ledger.slots import inner_of, link, start_of
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import (
    AssignmentRow,
    CertificateRow,
    ChainIdentityRow,
    CursorRow,
    HeadRow,
    LotRow,
    OperationRow,
    OrderRow,
    RecordHistoryRow,
    RecordRow,
    StandingRow,
    gates_of,
)
from millmark.ledger.store.schema import INDEX, TABLES
from tests.support.bundle_world import copy_bundle_world
from tests.support.stores import copy_database, new_store

pytestmark = pytest.mark.integration

COLUMNS = [(kind, column.name) for kind in INDEX for column in TABLES[kind].columns]
FAR = 1 << 40
"""Added to a number, it gives one that no other row has."""


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Chain, Store]]:
    """A chain with every kind of record, and its index."""
    folder = tmp_path_factory.mktemp("indexed")
    with new_store(folder) as store:
        world, _ = copy_bundle_world(store)
        Follower(world.consortium.chain, store).follow()
        yield world.consortium.chain, store


@pytest.fixture
def copy(indexed: tuple[Chain, Store], tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as store:
        copy_database(indexed[1], store)
        yield store


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Store]:
    (tmp_path / "scratch").mkdir()
    with new_store(tmp_path / "scratch") as store:
        yield store


def test_rows_are_what_the_contracts_store(indexed: tuple[Chain, Store]) -> None:
    """Whatever kind of record came last: the index next to the contracts' own storage."""
    chain, store = indexed
    with store.reading() as connection:
        rows = Rows(connection)
        for lot in rows.scan(LotRow):
            stored = chain.read_struct(Contract.LEDGER, "lotOf", lot.subject)
            assert (lot.number, lot.state, lot.quantity) == (stored["number"], stored["state"], stored["quantity"])
            assert (lot.unit, lot.counterparty, lot.contents) == (
                stored["unit"],
                stored["counterparty"],
                stored["contents"],
            )
            assert (lot.order is None, lot.parent is not None) == (stored["order"] == 0, stored["packed"])
            assert lot.parent is not None or lot.custodian == stored["holder"]
            assert (lot.reworked != 0) == (stored["reworks"] != 0)
        for standing in rows.scan(StandingRow):
            kept = chain.read_struct(Contract.LEDGER, "standingOf", standing.lot, standing.inspector)
            assert (standing.latest, standing.quarantining) == (kept["latest"], kept["quarantining"])
            assert (standing.open, standing.key) == (kept["open"], kept["key"])
        for certificate in rows.scan(CertificateRow):
            issued = chain.read_struct(Contract.LEDGER, "certificateOf", certificate.sequence)
            assert (certificate.state, certificate.opening_deadline) == (issued["state"], issued["opening_deadline"])
            assert (certificate.model, certificate.issuer) == (issued["model"], issued["issuer"])
        for order in rows.scan(OrderRow):
            stored = chain.read_struct(Contract.LEDGER, "orderOf", order.subject)
            assert (order.sequence, order.state) == (stored["sequence"], stored["state"])
            assert chain.read(Contract.LEDGER, "gatesOf", order.subject) == (pack(gates_of(order)),)
            for operation in rows.find(OperationRow, order=order.subject):
                current = chain.read_struct(Contract.LEDGER, "assignmentOf", order.subject, operation.operation)
                held = rows.get(AssignmentRow, operation.assignment)
                assert held is not None
                assert (operation.assignment, operation.finished_once) == (
                    current["sequence"],
                    current["finished_once"],
                )
                assert held.state == current["state"]


def bent(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + FAR
    if isinstance(value, str):
        return value + " "
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:] if value else b"\1"
    return 1


def change(store: Store, table: Table, column: str) -> None:
    """Another value in one row that has one there, if there is any such row."""
    with store.transaction() as connection:
        rows = connection.execute(select(table).order_by(*table.primary_key)).mappings().all()
        row = next((row for row in rows if row[column] is not None), rows[0])
        new = bent(row[column]) if row[column] is not None else _anything(table, column)
        here = [one == row[one.name] for one in table.primary_key]
        assert connection.execute(update(table).where(*here).values({column: new})).rowcount == 1


def _anything(table: Table, column: str) -> object:
    return b"\1" * 32 if isinstance(table.c[column].type, LargeBinary) else 1


def test_every_table_has_rows_to_be_tampered_with(indexed: tuple[Chain, Store]) -> None:
    with indexed[1].reading() as connection:
        empty = [table.name for kind in INDEX if not connection.execute(select(table := TABLES[kind])).first()]
    assert empty == []


def test_an_untouched_index_is_the_chain_s(indexed: tuple[Chain, Store], scratch: Store) -> None:
    chain, store = indexed
    for check in (check_index(store, chain), check_rows(store, chain, scratch)):
        assert check is not None
        assert (check.differences, check.findings) == (0, [])
        assert check.block_number == chain.final_number()
        assert check.records > 80
        assert check.heads > 10


def test_an_index_of_nothing_has_nothing_to_be_checked(indexed: tuple[Chain, Store], tmp_path: Path) -> None:
    with new_store(tmp_path) as empty:
        assert check_index(empty, indexed[0]) is None
        assert check_rows(empty, indexed[0], empty) is None


@pytest.mark.parametrize(("kind", "column"), COLUMNS, ids=lambda part: part if isinstance(part, str) else part.__name__)
def test_one_changed_value_anywhere_is_found(
    indexed: tuple[Chain, Store], copy: Store, kind: type, column: str
) -> None:
    change(copy, TABLES[kind], column)
    check = compare_rows(copy, indexed[1], 0)
    key = column in TABLES[kind].primary_key.columns
    assert check.differences == (2 if key else 1), check.findings
    assert all(line.startswith(kind.__name__.removesuffix("Row").lower() + " ") for line in check.findings)


@pytest.mark.parametrize("kind", INDEX, ids=lambda kind: kind.__name__)
def test_a_row_too_few_or_too_many_is_found_in_any_table_and_a_rebuild_repairs_it(
    indexed: tuple[Chain, Store], copy: Store, scratch: Store, kind: type
) -> None:
    chain, right = indexed
    table = TABLES[kind]
    key = next(iter(table.primary_key))
    with copy.transaction() as connection:
        row = connection.execute(select(table).order_by(*table.primary_key)).mappings().first()
        assert row is not None
        connection.execute(table.delete().where(*(one == row[one.name] for one in table.primary_key)))
    if kind is not CursorRow:
        assert [line for line in compare_rows(copy, right, 0).findings if line.endswith("is missing")]
    with copy.transaction() as connection:
        connection.execute(table.insert().values(dict(row)))
        other = bent(row[key.name])
        connection.execute(table.delete().where(key == other))
        connection.execute(table.insert().values({**row, key.name: other}))
    assert compare_rows(copy, right, 0).differences
    with copy.transaction() as connection:
        connection.execute(table.delete().where(key == other))
    Follower(chain, copy).rebuild()
    assert compare_rows(copy, right, 0).differences == 0
    assert fetch_status(copy) == fetch_status(right)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("records", name) for name in ("sequence", "topic", "participant", "key", "data", "inner", "subject")),
        *(("records", name) for name in ("block_number", "block_hash", "block_time", "transaction_hash", "log_index")),
        *(("record_histories", name) for name in ("sequence", "subject", "head")),
        *(("heads", name) for name in ("subject", "head", "length", "sequence")),
        *(("cursor", name) for name in ("registry_sequence", "ledger_sequence", "digest", "block_hash")),
    ],
)
def test_the_cheap_check_finds_what_histories_rest_on(
    indexed: tuple[Chain, Store], copy: Store, table: str, column: str
) -> None:
    change(copy, next(one for one in TABLES.values() if one.name == table), column)
    check = check_index(copy, indexed[0])
    assert check is not None
    assert check.differences


def test_who_repairs_everything_around_a_changed_record_is_found_by_the_chain(
    indexed: tuple[Chain, Store], copy: Store
) -> None:
    """The whole index replayed from a record that the chain never had: only the chain's own head tells."""
    chain, _ = indexed
    with copy.transaction() as connection:
        connection.exec_driver_sql(
            "UPDATE records SET block_time = block_time + 1 WHERE contract = 'ledger' AND sequence = "
            "(SELECT max(sequence) FROM record_histories)"
        )
    first = check_index(copy, chain)
    assert first is not None
    repair(copy, chain)
    check = check_index(copy, chain)
    assert check is not None
    assert check.findings == [line for line in check.findings if "on the chain" in line]
    assert check.differences == 1


def repair(store: Store, chain: Chain) -> None:
    """Recomputes inner, links, heads and digest, as somebody would who knows how they are made."""
    with store.transaction() as connection:
        rows = Rows(connection)
        identity, cursor = rows.find(ChainIdentityRow)[0], rows.find(CursorRow)[0]
        cursor.digest = start_digest(identity)
        records = list(rows.scan(RecordRow, "block_number", "log_index"))
        for row in records:
            row.inner = inner_of(
                sequence=row.sequence,
                participant=row.participant,
                key=row.key,
                data=row.data,
                block_time=row.block_time,
            )
            cursor.digest = extend_digest(cursor.digest, Contract(row.contract), row)
        by_sequence = {row.sequence: row for row in records if row.contract == "ledger"}
        heads = {row.subject: row for row in rows.find(HeadRow)}
        for head in heads.values():
            head.head = start_of(identity.chain_id, identity.ledger, identity.ledger_id, head.subject)
        links = rows.find(RecordHistoryRow)
        for one in links:
            row = by_sequence[one.sequence]
            one.head = heads[one.subject].head = link(heads[one.subject].head, row.topic, row.inner)
        for changed in (records, links, list(heads.values()), [cursor]):
            rows.update(changed)


def test_a_head_that_is_missing_altogether_is_found(indexed: tuple[Chain, Store], copy: Store) -> None:
    with copy.transaction() as connection:
        connection.exec_driver_sql("DELETE FROM heads")
        connection.exec_driver_sql("DELETE FROM record_histories")
    check = check_index(copy, indexed[0])
    assert check is not None
    assert check.differences


def test_records_that_no_chain_can_hold_are_findings_too(indexed: tuple[Chain, Store], copy: Store) -> None:
    with copy.transaction() as connection:
        connection.exec_driver_sql("UPDATE records SET participant = -1 WHERE sequence = 3 AND contract = 'ledger'")
        connection.exec_driver_sql("UPDATE records SET contract = 'nothing' WHERE sequence = 4 AND contract = 'ledger'")
    check = check_index(copy, indexed[0])
    assert check is not None
    assert any("cannot be of a chain" in line for line in check.findings)


def test_findings_are_counted_and_told_up_to_a_bound(indexed: tuple[Chain, Store], copy: Store) -> None:
    with copy.transaction() as connection:
        for kind in INDEX:
            connection.execute(TABLES[kind].delete())
    check = compare_rows(copy, indexed[1], 0)
    assert check.differences > 100
    assert len(check.findings) == 100


def test_a_node_that_gives_no_proofs_checks_nothing(
    indexed: tuple[Chain, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, store = indexed

    def refuse(*_: object) -> None:
        raise ChainUnreachableError("no such state")

    monkeypatch.setattr(chain.node, "proof", refuse)
    with pytest.raises(ChainUnreachableError):
        check_index(store, chain)
