"""Notes that an index had before it kept them by kind are found after the migration, without a rebuild."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import event

from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.cases import find_cases
from millmark.ledger.records import NoteKind
from millmark.ledger.store import Rows, open_store
from millmark.ledger.store.database import Store, build_engine
from millmark.ledger.store.rows import NoteRow
from millmark.ledger.store.schema import LEDGER, read_revisions
from tests.support.fake_world import SMITH, build_world
from tests.support.schemas import find_differences


def migrate(store: Store, revision: str, *, down: bool = False) -> None:
    with store.transaction() as connection:
        if down:
            later = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'outbox_done%'"
            for trigger in connection.exec_driver_sql(later).scalars().all():
                connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
            connection.exec_driver_sql("DROP TABLE outbox_done")
            connection.exec_driver_sql("DROP TABLE evidence_folders")
            connection.exec_driver_sql("ALTER TABLE evidence DROP COLUMN file")
            connection.exec_driver_sql("DROP TABLE notes")
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0007'")
        else:
            config = Config(attributes={"connection": connection, "schema": LEDGER})
            config.set_main_option("script_location", "millmark.ledger.store:migrations")
            config.set_main_option("version_locations", "millmark.ledger.store:migrations/versions")
            config.set_main_option("path_separator", "newline")
            command.upgrade(config, revision)
        assert read_revisions(connection, LEDGER) == [revision]


def test_notes_from_before_are_kept_by_kind(tmp_path: Path) -> None:
    path = f"sqlite:///{tmp_path / 'old.db'}"
    with open_store(path) as store:
        world = build_world(store)
        notice = world.fake.note(SMITH, world.lots["bar"], kind=int(NoteKind.RECALL_NOTICE), root=b"\7" * 32)
        world.fake.note(SMITH, world.lots["bar"], world.lots["melt"], kind=40_000)
        world.follow()
        with store.reading() as connection:
            before = Rows(connection).find(NoteRow)
    assert [one.note_kind for one in before] == [2, 40_000]
    engine, at_once = build_engine(path), []

    def note(_connection: object, _cursor: object, statement: str, *rest: Any) -> None:
        if statement.startswith("SELECT records.sequence"):
            at_once.append(rest[1].execution_options.get("yield_per"))

    event.listen(engine, "before_cursor_execute", note)
    with Store(engine) as old:
        migrate(old, "0007", down=True)
        migrate(old, "0008")
    assert at_once == [500]
    with open_store(path) as store:
        assert find_differences(store, LEDGER) == []
        with store.reading() as connection:
            assert Rows(connection).find(NoteRow) == before
        with open_reader(store) as reader:
            assert [one.number for one in find_cases(reader, 10).items] == [notice]
