"""Schemas of programs beside the library's in one database: made, migrated, refused, and left alone."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from millmark.ledger.errors import MillmarkError, StoreError
from millmark.ledger.store import Book, Connection, Rows, Schema, open_store
from millmark.ledger.store.schema import LEDGER, read_revisions
from tests.support.schemas import find_differences, write_schema

FIRST = 'create_table("recipes", "id:int name:str", "id", "name")'
SECOND = 'create_table("steps", "recipe:int place:int text:str?", "recipe place")'
CRASHING = f"{SECOND}; raise KeyboardInterrupt"


@dataclass
class RecipeRow:
    id: int
    name: str


@dataclass
class StepRow:
    recipe: int
    place: int
    text: str | None


@pytest.fixture
def new_url(tmp_path: Path) -> str:
    """Of a database that is empty, or not there yet."""
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path, for a schema."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def revisions(connection: Connection, schema: Schema) -> tuple[list[str], list[str]]:
    return read_revisions(connection, LEDGER), read_revisions(connection, schema)


def test_a_database_of_the_librarys_user_is_opened_by_a_program_with_tables_of_its_own(
    new_url: str, package: Path
) -> None:
    recipes = write_schema(package, [FIRST])
    recipes.table("recipes", RecipeRow, "id", "name")
    with open_store(new_url) as store:
        assert find_differences(store, LEDGER) == []
        with store.transaction() as connection:
            Book(connection).set_names({1: "Acme"})
    with open_store(new_url, recipes) as store:
        assert find_differences(store, LEDGER, recipes) == []
        with store.transaction() as connection:
            Rows(connection).insert([RecipeRow(1, "bread")])
    with open_store(new_url) as store, store.reading() as connection:
        assert Book(connection).names() == {1: "Acme"}
        assert Rows(connection).get(RecipeRow, 1) == RecipeRow(1, "bread")


def test_a_database_of_the_version_before_is_brought_up_to_date(new_url: str, package: Path) -> None:
    old = write_schema(package, [FIRST])
    old.table("recipes", RecipeRow, "id", "name")
    with open_store(new_url, old) as store, store.transaction() as connection:
        assert revisions(connection, old) == ([LEDGER.newest()], ["0001"])
        Rows(connection).insert([RecipeRow(1, "bread")])
    new = write_schema(package, [FIRST, SECOND])
    new.table("recipes", RecipeRow, "id", "name")
    new.table("steps", StepRow, "recipe place")
    with open_store(new_url, new) as store:
        assert find_differences(store, LEDGER, new) == []
        with store.transaction() as connection:
            assert revisions(connection, new) == ([LEDGER.newest()], ["0002"])
            Rows(connection).insert([StepRow(1, 1, None)])
            assert Rows(connection).find(RecipeRow) == [RecipeRow(1, "bread")]


def test_a_crash_in_the_middle_of_a_migration_leaves_the_version_before(new_url: str, package: Path) -> None:
    old = write_schema(package, [FIRST])
    open_store(new_url, old).close()
    with pytest.raises(KeyboardInterrupt):
        open_store(new_url, write_schema(package, [FIRST, CRASHING]))
    (package / old.package / "migrations" / "versions" / "0002_change.py").unlink()
    old.table("recipes", RecipeRow, "id", "name")
    with open_store(new_url, old) as store:
        assert find_differences(store, LEDGER, old) == []
        with store.reading() as connection:
            assert revisions(connection, old) == ([LEDGER.newest()], ["0001"])


def test_a_crash_before_a_new_database_has_all_tables_leaves_none(new_url: str, package: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        open_store(new_url, write_schema(package, [CRASHING]))
    schema = write_schema(package, [FIRST])
    schema.table("recipes", RecipeRow, "id", "name")
    with open_store(new_url, schema) as store:
        assert find_differences(store, LEDGER, schema) == []


def test_a_newer_version_of_one_schema_is_refused_and_does_not_concern_others(new_url: str, package: Path) -> None:
    new = write_schema(package, [FIRST, SECOND])
    open_store(new_url, new).close()
    (package / new.package / "migrations" / "versions" / "0002_change.py").unlink()
    with pytest.raises(StoreError, match=r"newer version \(schema 0002\)"):
        open_store(new_url, new)
    open_store(new_url).close()


def test_programs_that_open_a_new_database_at_once_take_turns(new_url: str, package: Path) -> None:
    schema = write_schema(package, [FIRST, SECOND])
    schema.table("recipes", RecipeRow, "id", "name")
    schema.table("steps", StepRow, "recipe place")
    failures: list[BaseException] = []

    def open_and_close(*schemas: Schema) -> None:
        try:
            open_store(new_url, *schemas).close()
        except MillmarkError as error:
            failures.append(error)

    threads = [threading.Thread(target=open_and_close, args=[schema] * (number % 2)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with open_store(new_url, schema) as store:
        assert find_differences(store, LEDGER, schema) == []
