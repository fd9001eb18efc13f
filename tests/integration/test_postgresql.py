"""The store on a real PostgreSQL: the same schema, the same walks, the same answers as on SQLite."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import psycopg
import pytest
from sqlalchemy import create_engine, text

from millmark.ledger.errors import (
    MillmarkError,
    NotFoundError,
    Retry,
    StoreBusyError,
    StoreDamagedError,
    StoreError,
)
from millmark.ledger.provenance import participants, recall, trace
from millmark.ledger.store import Book, Lineage, Rows, Store, postgresql
from millmark.ledger.store.database import build_engine, explain_exhausted
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import HeadRow
from millmark.ledger.submit.submitter import Lease
from millmark.services.documents.encryption import open_sealed
from millmark.services.documents.views import Mode
from millmark.services.gateway.http.problems import build_problem
from millmark.services.interop.epcis.capture import Behaviour, Sender, parse_capture, run_capture_job
from millmark.services.interop.epcis.event_queries import EventQueries, parse_query
from millmark.services.interop.epcis.mapping import Known
from millmark.services.store import open_store
from tests.bench.capture import build_batch
from tests.proofs.frozen_writer import HOLDER, KEY, holds
from tests.proofs.rotations import rotate_side_by_side
from tests.support import cluster
from tests.support.fake_world import World, build_world
from tests.support.patience import wait_until
from tests.support.plant_store import draw_plant, write_plant
from tests.support.shared_world import CONTENT, OWNER, SIBLING, SUPPLIER, build_shared_world
from tests.support.sign_in import NOW_S
from tests.unit.ledger import test_retention as retention
from tests.unit.ledger import test_store_database as on_sqlite
from tests.unit.ledger import test_store_lineage as walks
from tests.unit.ledger import test_store_schemas as schemas
from tests.unit.services import test_migrations as migrations
from tests.unit.services import test_store as own_tables
from tests.unit.services.documents.test_documents_erasure import secrets_of

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(cluster.describe_missing() is not None, reason=str(cluster.describe_missing())),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with cluster.running_cluster() as found:
        yield found


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """Empty but for its tables."""
    with open_store(url) as opened:
        yield opened
        drop_everything(opened)


@pytest.fixture
def new_url(url: str, store: Store) -> str:
    """Of a database without a table."""
    drop_everything(store)
    return url


def drop_everything(store: Store) -> None:
    with store.transaction() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))


package = schemas.package
test_migrations_make_what_the_tables_say = own_tables.test_migrations_make_what_the_tables_say
test_a_database_of_the_librarys_user = (
    schemas.test_a_database_of_the_librarys_user_is_opened_by_a_program_with_tables_of_its_own
)
test_a_database_of_the_version_before = schemas.test_a_database_of_the_version_before_is_brought_up_to_date
test_a_crash_in_the_middle = schemas.test_a_crash_in_the_middle_of_a_migration_leaves_the_version_before
test_a_crash_before_all_tables_are_there = schemas.test_a_crash_before_a_new_database_has_all_tables_leaves_none
test_a_newer_version_of_one_schema = schemas.test_a_newer_version_of_one_schema_is_refused_and_does_not_concern_others
test_rows_outlive_the_migration = migrations.test_rows_outlive_the_migration
test_an_outbox_takes_numbers = migrations.test_an_outbox_takes_numbers_of_64_bits
test_programs_take_turns = schemas.test_programs_that_open_a_new_database_at_once_take_turns
test_a_failing_transaction_leaves_nothing = on_sqlite.test_a_failing_transaction_leaves_nothing
test_a_commit_is_seen_once = on_sqlite.test_a_commit_is_seen_once_by_whoever_looks_and_nothing_else_is
test_writers_wait_for_each_other = on_sqlite.test_writers_wait_for_each_other
test_rows_go_in_and_out_whole = on_sqlite.test_rows_go_in_and_out_whole
test_among_takes_any_number_of_values = on_sqlite.test_among_takes_any_number_of_values
test_a_row_is_not_added_twice = on_sqlite.test_a_row_is_not_added_twice
test_an_identity_is_found = on_sqlite.test_an_identity_is_found_by_subject_and_by_any_spelling
test_a_document_can_be_replaced = on_sqlite.test_a_document_can_be_replaced
test_walks_stop_at_depth_and_breadth = walks.test_walks_stop_at_depth_and_breadth
test_walks_start_from_any_number_of_lots = walks.test_walks_start_from_any_number_of_lots
test_contents_are_what_is_packed_now = walks.test_contents_are_what_is_packed_now


test_what_is_old_is_dropped = retention.test_what_is_old_and_not_needed_is_dropped
test_proofs_of_dropped_entries = retention.test_proofs_of_dropped_and_other_entries_verify
site = retention.site


def test_a_transaction_that_ends_after_a_younger_one_is_seen(store: Store, url: str) -> None:
    changes = store.changes()
    with closing(changes), closing(psycopg.connect(url.replace("+psycopg", ""))) as older:
        older.execute("CREATE TABLE of_the_older (number INTEGER)")
        with store.transaction() as younger:
            Book(younger).set_names({1: "Acme"})
        changes.look()
        assert not changes.look()
        older.commit()
        assert (changes.look(), changes.look()) == (True, False)


def test_a_look_over_a_connection_that_ended_is_told_and_the_next_one_is_over_another(store: Store) -> None:
    changes = store.changes()
    with closing(changes):
        changes.look()
        with store.transaction() as connection:
            ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_current_snapshot%'"
            connection.execute(text(ended + " AND pid <> pg_backend_pid()"))
        with pytest.raises(StoreError):
            changes.look()
        assert (changes.look(), changes.look()) == (True, False)


def test_answers_are_the_same_as_on_sqlite(store: Store, tmp_path: Path) -> None:
    here = build_world(store)
    with open_store(f"sqlite:///{tmp_path / 'ledger.db'}") as other:
        there = build_world(other)
        for subject in [*here.lots.values(), *here.orders.values()]:
            assert trace(store, subject).to_json() == trace(other, subject).to_json()
            assert trace(store, "urn:example:hip-3") == trace(other, "urn:example:hip-3")
        for asked in _recalls(here):
            assert recall(store, **asked).to_json() == recall(other, **asked).to_json()
        assert participants(store) == participants(other)
        assert there.lots == here.lots


def _recalls(world: World) -> list[dict[str, Any]]:
    span = {"since": datetime(2025, 1, 1, tzinfo=UTC), "until": datetime(2026, 1, 1, tzinfo=UTC)}
    return [{"model": world.model}, {"lot": "urn:example:bar"}, {"machine": world.machine, **span}]


def test_walks_over_a_plant_are_the_same_as_on_sqlite(store: Store, tmp_path: Path) -> None:
    plant = draw_plant(600, 5)
    with open_store(f"sqlite:///{tmp_path / 'ledger.db'}") as other:
        for one in (store, other):
            write_plant(one, plant)
        with store.reading() as here, other.reading() as there:
            for lot in range(0, plant.lots, 11):
                start = [plant.subject(lot)]
                assert Lineage(here).upstream(start, 64, 500) == Lineage(there).upstream(start, 64, 500)
                assert Lineage(here).downstream(start, 64, 500) == Lineage(there).downstream(start, 64, 500)


def test_opens_again_with_everything_in_it(store: Store, url: str) -> None:
    with store.transaction() as connection:
        Book(connection).set_names({1: "Acme"})
    with open_store(url) as again, again.reading() as connection:
        assert Book(connection).names() == {1: "Acme"}


def test_several_programs_open_a_new_database_at_once(new_url: str) -> None:
    failures: list[BaseException] = []

    def open_and_close() -> None:
        try:
            open_store(new_url).close()
        except MillmarkError as error:
            failures.append(error)

    threads = [threading.Thread(target=open_and_close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_reader_sees_one_state_and_cannot_write(store: Store) -> None:
    with store.reading() as reader:
        assert Book(reader).names() == {}
        with store.transaction() as writer:
            Book(writer).set_names({1: "Acme"})
        assert Book(reader).names() == {}
    with pytest.raises(StoreError), store.reading() as reader:
        Rows(reader).insert([HeadRow(bytes(32), bytes(32), 1, 1)])


def test_a_database_that_takes_no_writes_is_named_so(store: Store) -> None:
    """A transaction that may only read stands for a standby: the server answers with the same state."""
    with pytest.raises(StoreError, match=r"takes no writes.*target_session_attrs"), store.reading() as reader:
        Rows(reader).insert([HeadRow(bytes(32), bytes(32), 1, 1)])


def test_refuses_a_newer_schema_and_the_database_of_another_program(store: Store, url: str) -> None:
    with store.transaction() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer version"):
        open_store(url)
    with store.transaction() as connection:
        connection.execute(text("DROP TABLE alembic_version"))
    with pytest.raises(StoreError, match="another program"):
        open_store(url)


@pytest.mark.parametrize("wrong", ["postgresql://nobody@/postgres?host=/nowhere", "{url}&port=1"])
def test_a_server_that_does_not_answer_is_named_in_one_line_without_a_password(url: str, wrong: str) -> None:
    with pytest.raises(StoreError, match="cannot be used") as refused:
        open_store(wrong.format(url=url).replace("@", ":canary@"))
    assert "\n" not in str(refused.value)
    assert "canary" not in str(refused.value)


def test_documents_are_shared_and_erased(store: Store, url: str, tmp_path: Path) -> None:
    """Nothing of what is erased is in the tables' files; the server's own log is the operator's to age out."""
    shared = build_shared_world(store, tmp_path)
    id_ = shared.add(Mode.LINKED).document
    assert open_sealed(shared.fetch(id_, SUPPLIER, SUPPLIER), shared.private_keys[SUPPLIER]).content == CONTENT
    with pytest.raises(NotFoundError):
        shared.documents.get(id_, SIBLING)
    kept = shared.add(Mode.PRIVATE, content=b"kept", name="kept.txt").document
    secrets = secrets_of(shared, id_)
    tables = Path(unquote(url.partition("host=")[2])) / "data" / "base"
    assert traces(store, tables, secrets) == set(secrets)
    shared.documents.erase(id_, NOW_S)
    assert traces(store, tables, secrets) == set()
    assert shared.documents.rotate() == 1
    assert open_sealed(shared.fetch(kept, OWNER, None), shared.private_keys[OWNER]).content == b"kept"


def traces(store: Store, folder: Path, secrets: dict[str, bytes]) -> set[str]:
    """Large values are stored in pieces and perhaps compressed, so names, keys and salts are looked for."""
    with store._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return {name for name, secret in secrets.items() if any(secret in content for content in contents)}


def test_epcis_events_come_in_once_and_are_found(store: Store) -> None:
    sender = Sender(0, lambda _: Known())
    for _ in range(2):
        row = run_capture_job(
            store, parse_capture(build_batch(0, 30)), sender, Behaviour.ROLLBACK, now_ms=1_700_000_000_000
        )
    assert {one["status"] for one in json.loads(row.outcome)} == {"duplicate"}
    library = EventQueries(store, 0, None)
    asked = [("MATCH_epc", "urn:epc:id:sgtin:9506000.001345.A7"), ("EQ_bizStep", "inspecting")]
    found = library.find(parse_query(asked, most_per_page=200, per_page=30).query, None, 30)
    assert len(found.events) == 1
    for pattern, count in (("9506000.001345.*", 30), ("9506000.*.*", 30), ("9506001.*.*", 0)):
        question = parse_query([("MATCH_epc", f"urn:epc:idpat:sgtin:{pattern}")], most_per_page=200, per_page=30)
        assert len(library.find(question.query, None, 30).events) == count
    everything = parse_query([], most_per_page=200, per_page=30).query
    first = library.find(everything, None, 20)
    assert (len(first.events), len(library.find(everything, first.last, 20).events)) == (20, 10)


def test_connections_that_the_server_ended_are_replaced_and_counted(store: Store, url: str) -> None:
    """Without an error, so that nobody else would notice: the server may have been replaced meanwhile."""
    with store.reading():
        pass
    before = store.interruptions
    with open_store(url) as other, other.reading() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
        )
    with store.reading():
        pass
    assert store.interruptions > before


def test_limits_in_time_are_set_on_each_connection(store: Store) -> None:
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    with store.reading() as connection:
        assert [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names] == ["10s", "5min", "2min"]
    with store.transaction() as connection:
        assert [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names] == ["10s", "5min", "10s"]


@pytest.fixture
def kept(url: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The database, as if its server were none of those that tests start."""
    monkeypatch.setattr(postgresql, "DISPOSABLE", "another")
    run_alone(store, "ALTER ROLE millmark SET synchronous_commit = on")
    store._engine.dispose()
    yield url
    run_alone(store, "ALTER ROLE millmark RESET ALL")
    run_alone(store, "ALTER DATABASE postgres RESET ALL")


def run_alone(store: Store, statement: str) -> None:
    """Runs a statement on a connection that no setting keeps from being opened."""
    engine = create_engine(store._engine.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_server_without_fsync_is_refused(kept: str) -> None:
    with pytest.raises(StoreError, match="a power cut takes back: fsync is off; set fsync = on in the server's"):
        open_store(kept)


@pytest.mark.parametrize(
    ("statement", "mend"),
    [
        ("ALTER ROLE millmark SET synchronous_commit = off", 'ALTER ROLE "millmark" RESET synchronous_commit'),
        ("ALTER DATABASE postgres SET synchronous_commit = off", 'ALTER DATABASE "postgres" RESET synchronous_commit'),
        (
            "ALTER ROLE millmark IN DATABASE postgres SET synchronous_commit = off",
            'ALTER ROLE "millmark" IN DATABASE "postgres" RESET synchronous_commit',
        ),
        ("", "take synchronous_commit out of the database URL's options"),
    ],
)
def test_a_server_that_acknowledges_before_it_writes_is_refused(
    kept: str, store: Store, statement: str, mend: str
) -> None:
    """Wherever that is set, and named there."""
    for setting in ("ALTER ROLE millmark RESET synchronous_commit", statement):
        run_alone(store, setting or "SELECT 1")
    tried = kept if statement else kept + "&options=-csynchronous_commit%3Doff"
    with pytest.raises(StoreError, match="synchronous_commit is off") as refused:
        open_store(tried)
    assert refused.value.hint == mend
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("option", ["millmark.disposable%3Don", f"cluster_name%3D{postgresql.DISPOSABLE}"])
def test_no_url_says_that_the_data_may_be_lost(kept: str, option: str) -> None:
    with pytest.raises(StoreError):
        open_store(f"{kept}&options=-c{option}")


def test_a_program_that_runs_stops_writing_when_the_server_is_set_so(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting of the server reaches open connections when it reads its configuration again."""
    monkeypatch.setattr(postgresql, "DISPOSABLE", "another")
    with pytest.raises(StoreError, match="synchronous_commit is off"), store.transaction():
        pass
    monkeypatch.undo()
    with store.transaction():
        pass


def test_what_takes_long_waits_for_readers_without_a_limit(store: Store) -> None:
    """A reader may use a table for minutes; a migration that gives up after ten seconds leaves the gateway down."""
    seen = []
    with store.transaction() as connection:
        postgresql.lift_limits(connection)
        seen.append(connection.exec_driver_sql("SHOW lock_timeout").scalar_one())
    with store._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        with postgresql.untimed(connection):
            seen.append(connection.exec_driver_sql("SHOW lock_timeout").scalar_one())
        seen.append(connection.exec_driver_sql("SHOW lock_timeout").scalar_one())
    assert seen == ["0", "0", "10s"]


def test_a_value_that_no_column_holds_is_not_called_damage(store: Store) -> None:
    with pytest.raises(StoreError, match="report this; the database is sound") as refused, store.reading() as reader:
        reader.exec_driver_sql("SELECT 2147483647 + 1")
    assert not isinstance(refused.value, StoreDamagedError)


def test_readers_and_a_503_are_left_when_all_connections_are_in_use(
    store: Store, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"_POOL": 1, "_OVERFLOW": 0, "_POOL_WAIT_S": 0.1}.items():
        monkeypatch.setattr(f"millmark.ledger.store.postgresql.{name}", value)
    small = Store(build_engine(url))
    problem = build_problem(explain_exhausted(small.url), "r")
    assert (problem.status, problem.type) == (503, "urn:millmark:problem:store-busy")
    with small.reading(), pytest.raises(StoreBusyError, match="connections"), small.reading():
        pass
    small.close()


def test_threads_that_wait_to_write_leave_connections_to_readers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("millmark.ledger.store.postgresql._LOCK_WAIT_S", 0.3)
    refused: list[MillmarkError] = []

    def write() -> None:
        try:
            with store.transaction():
                pass
        except MillmarkError as error:
            refused.append(error)

    with store.transaction():
        threads = [threading.Thread(target=write) for _ in range(40)]
        for thread in threads:
            thread.start()
        with store.reading() as connection:
            assert Book(connection).names() == {}
        for thread in threads:
            thread.join()
    assert [type(error) for error in refused] == [StoreBusyError] * 40
    assert refused[0].retry is Retry.UNCHANGED


def test_a_writer_that_is_frozen_is_taken_over(store: Store, url: str) -> None:
    """Reads go on, the first write waits for the server to end the frozen session, then the lease is taken over.
    `scripts/prove frozen` has the limits of real life."""
    with process(HOLDER, url, "1") as frozen:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == "writing\n"
        os.kill(frozen.pid, signal.SIGSTOP)
        with store.reading() as connection:
            assert Book(connection).names() == {}
        # The process stays stopped until the lease is taken: only the server can have ended its session.
        wait_until(lambda: writes(store))
        lease = Lease(Outbox(store), KEY, lease_s=0.5)
        wait_until(lambda: holds(lease))
        os.kill(frozen.pid, signal.SIGCONT)
    with store.reading() as connection:
        assert Book(connection).names() == {1: "Acme"}


@pytest.mark.parametrize("kind", ["PostgreSQL", "SQLite"])
def test_rotations_side_by_side_lose_no_document(kind: str, new_url: str, tmp_path: Path) -> None:
    """`scripts/prove rotations` makes 200 on each."""
    url = new_url if kind == "PostgreSQL" else f"sqlite:///{tmp_path / 'ledger.db'}"
    found = rotate_side_by_side(url, tmp_path, 5)
    assert (found["rotations"], found["lost"], found["keys"]) == (10, 0, 1)


def writes(store: Store) -> bool:
    """Whether a write was possible; one waits for the lock for ten seconds."""
    try:
        with store.transaction() as connection:
            Book(connection).set_names({1: "Acme"})
    except StoreBusyError:
        return False
    return True


@contextmanager
def process(program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as started:
        try:
            yield started
        finally:
            started.kill()
