"""The services' own tables, beside the library's."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark import services
from millmark.ledger import store as library
from millmark.ledger.store import Book, Store
from millmark.ledger.store.schema import LEDGER, TABLES, read_revisions
from millmark.services.access.repository import AccessRepository
from millmark.services.store import SERVICES, open_store
from tests.support.schemas import find_differences

ROOT = Path(services.__file__).parent


def declare_tables() -> None:
    """Imports every module that declares tables."""
    for path in ROOT.rglob("repository.py"):
        importlib.import_module(".".join(["millmark", *path.relative_to(ROOT.parent).with_suffix("").parts]))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def test_migrations_make_what_the_tables_say(store: Store) -> None:
    declare_tables()
    assert find_differences(store, LEDGER, SERVICES) == []


def test_the_library_has_no_table_of_services(tmp_path: Path) -> None:
    declare_tables()
    of_services = {kind for kind, table in TABLES.items() if table.metadata is SERVICES.metadata}
    assert {kind.__module__.split(".")[1] for kind in of_services} == {"services"}
    with library.open_store(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        assert find_differences(opened, LEDGER) == []


def test_the_newest_schema_is_alembics(store: Store) -> None:
    with store.reading() as connection:
        assert [SERVICES.newest()] == read_revisions(connection, SERVICES)


def test_a_gateway_opens_what_a_user_of_the_library_made_and_the_other_way_round(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with library.open_store(url) as store, store.transaction() as connection:
        Book(connection).set_names({1: "Acme"})
    with open_store(url) as store, store.transaction() as connection:
        assert Book(connection).names() == {1: "Acme"}
        assert AccessRepository(connection).spend_nonce("once", 2, now_s=1)
    with library.open_store(url) as store, store.transaction() as connection:
        assert not AccessRepository(connection).spend_nonce("once", 2, now_s=1)


def test_services_open_the_store_with_their_tables() -> None:
    """A database without them fails at the first sign-in only."""
    direct = []
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("millmark.ledger"):
                direct += [str(path) for alias in node.names if alias.name == "open_store"]
    assert direct == []
