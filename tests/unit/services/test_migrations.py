"""A database of each schema, with a row in every table, is brought to the newest one by opening it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import BigInteger, Boolean, Column, Connection, Float, LargeBinary, MetaData, func, insert, select

from millmark.ledger.plans.file import build_part
from millmark.ledger.store import Book, Schema
from millmark.ledger.store.database import Store, build_engine
from millmark.ledger.store.postgresql import prepare_partition
from millmark.ledger.store.schema import LEDGER, read_revisions
from millmark.services.directory import DirectoryRepository
from millmark.services.directory.repository import DirectoryState
from millmark.services.planning.reading import find_claims
from millmark.services.planning.stream_entries import list_shown, parse_seal, read_part, read_plan
from millmark.services.store import SERVICES, open_store
from tests.support.schemas import find_differences, list_partition_names, list_partitioned
from tests.unit.services.test_store import declare_tables

ROOT = Path(__file__).parents[3]


def _revisions(schema: Schema) -> list[str]:
    folder = ROOT.joinpath(*schema.package.split(".")[1:]) / "migrations" / "versions"
    return sorted(path.name[:4] for path in folder.glob("[0-9]*.py"))


LATEST = (_revisions(LEDGER)[-1], _revisions(SERVICES)[-1])
EARLIER = [
    *((revision, _revisions(SERVICES)[0]) for revision in _revisions(LEDGER)),
    *((LATEST[0], revision) for revision in _revisions(SERVICES)[1:]),
]
"""Revisions of the library's tables and of the services', oldest first."""

COUNTERS = {"outbox_done"}
"""Tables that a migration itself fills, from those that they count."""

Rows = dict[str, list[dict[str, object]]]


@pytest.fixture
def new_url(tmp_path: Path) -> str:
    """Of a database that is not there yet."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def _make(connection: Connection, schema: Schema, revision: str) -> None:
    config = Config(attributes={"connection": connection, "schema": schema})
    config.set_main_option("script_location", "millmark.ledger.store:migrations")
    config.set_main_option("version_locations", f"{schema.package}:migrations/versions")
    config.set_main_option("path_separator", "newline")
    command.upgrade(config, revision)


def _value(column: Column[object]) -> object:
    """The same number everywhere, so that references lead to a row."""
    if isinstance(column.type, Boolean):
        return True
    if isinstance(column.type, LargeBinary):
        return bytes([7]) * 32
    if isinstance(column.type, Float):
        return 7.5
    return 7 if column.type.python_type is int else "seven"


def _reflect(connection: Connection) -> MetaData:
    metadata, parts = MetaData(), list_partition_names(connection)
    metadata.reflect(connection, only=lambda name, _: name not in parts)
    return metadata


def _fill(connection: Connection) -> None:
    if "evidence" in list_partitioned(connection):
        prepare_partition(connection, bytes([7]) * 32, 0, "2026-10")
    for table in _reflect(connection).sorted_tables:
        if not table.name.startswith("alembic_version"):
            connection.execute(insert(table).values({column.name: _value(column) for column in table.columns}))


def _read(connection: Connection) -> Rows:
    tables = _reflect(connection).sorted_tables
    return {
        table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
        for table in tables
        if not table.name.startswith("alembic_version") and table.name not in COUNTERS
    }


def _columns_of(row: dict[str, object], later: dict[str, object]) -> dict[str, object]:
    """The values now of the columns that the row had; a migration may add others, which are empty or 0."""
    return {name: later[name] for name in row}


@pytest.mark.parametrize(("library", "services"), EARLIER)
def test_rows_outlive_the_migration(new_url: str, library: str, services: str) -> None:
    declare_tables()
    with Store(build_engine(new_url)) as old:
        with old.transaction() as connection:
            _make(connection, LEDGER, library)
            _make(connection, SERVICES, services)
            _fill(connection)
        with old.reading() as connection:
            before = _read(connection)
    assert len(before) > 50
    assert {name for name, rows in before.items() if len(rows) != 1} <= COUNTERS
    with open_store(new_url) as store:
        assert find_differences(store, LEDGER, SERVICES) == []
        with store.reading() as connection:
            assert read_revisions(connection, LEDGER) + read_revisions(connection, SERVICES) == list(LATEST)
            after = _read(connection)
    kept = {
        name: [_columns_of(row, after[name][place]) for place, row in enumerate(rows)] for name, rows in before.items()
    }
    assert kept == before
    added = {name: after[name][0].keys() - rows[0].keys() for name, rows in before.items() if rows}
    assert {
        name for name, columns in added.items() if any(after[name][0][one] not in ("", 0) for one in columns)
    } == set()
    assert {name for name, rows in after.items() if rows and name not in before} <= COUNTERS


def test_documents_that_an_earlier_version_kept_are_read(new_url: str) -> None:
    """A directory from before there were contacts, and a plan from before there was rework, whole and in part."""
    declare_tables()
    kept = json.loads((ROOT / "tests" / "vectors" / "kept_documents.json").read_text("utf-8"))
    old, seal, document = kept["directory"], kept["plan"]["seal"], json.dumps(kept["plan"]["document"])
    digest, claims = (bytes.fromhex(text[2:]) for text in (old["digest"], seal["claims"]))
    with Store(build_engine(new_url)) as store, store.transaction() as connection:
        _make(connection, LEDGER, LATEST[0])
        _make(connection, SERVICES, LATEST[1])
        tables = _reflect(connection).tables
        row = {"state": DirectoryState.IN_FORCE.value, "issued_at": 7, "digest": digest}
        connection.execute(insert(tables["directories"]).values(row | {"content": old["document"].encode()}))
        Book(connection).put_document(claims, document)
    with open_store(new_url) as store, store.reading() as connection:
        signed = DirectoryRepository(connection).signed()
        assert signed is not None
        assert (signed.digest, signed.recover_signer()) == (digest, bytes.fromhex(old["signer"][2:]))
        found = find_claims(Book(connection), claims)
        assert found is not None
    plan = read_plan(found, parse_seal(seal))
    assert plan is not None
    assert "0x" + plan.digest.hex() == kept["plan"]["digest"]
    chosen = set(list_shown(found, 3))
    part = found.erase([path for path in found.paths if path not in chosen])
    assert read_part(part, parse_seal(seal), 3) == build_part(plan, 3)


def test_an_outbox_takes_numbers_of_64_bits(new_url: str) -> None:
    with Store(build_engine(new_url)) as old, old.transaction() as connection:
        _make(connection, LEDGER, "0001")
        _fill(connection)
    with open_store(new_url) as store, store.transaction() as connection:
        table = _reflect(connection).tables["outbox_records"]
        assert isinstance(table.c.id.type, BigInteger) or connection.dialect.name == "sqlite"
        row = {column.name: _value(column) for column in table.columns}
        connection.execute(insert(table).values(row | {"id": 2**40, "idempotency_key": "eight"}))
        assert connection.execute(select(table.c.id).order_by(table.c.id)).scalars().all() == [7, 2**40]
        if connection.dialect.name == "postgresql":  # where a sequence of 32 bits would give out the numbers
            connection.execute(select(func.setval(func.pg_get_serial_sequence("outbox_records", "id"), 2**40)))
        del row["id"]
        connection.execute(insert(table).values(row | {"idempotency_key": "nine"}))
        assert connection.execute(select(func.max(table.c.id))).scalar_one() == 2**40 + 1
