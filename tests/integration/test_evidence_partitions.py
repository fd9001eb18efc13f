"""On PostgreSQL, a stream's log is in partitions by month, whatever is read at the same time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from millmark.ledger.errors import StoreError
from millmark.ledger.provenance.retention import Rule, drop_evidence
from millmark.ledger.store import Book, Rows, Store, open_store, postgresql
from millmark.ledger.store.book import move_content
from millmark.ledger.store.evidence_files import EvidenceFiles
from millmark.ledger.store.postgresql import Partition, list_partitions
from millmark.ledger.store.rows import AnchorRow
from tests.integration.test_postgresql import drop_everything
from tests.support import cluster
from tests.support.fake_ledger import digest
from tests.unit.ledger.test_evidence_files import _OTHER, _STREAM, add, expected, files_in, read_all

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(cluster.describe_missing() is not None, reason=str(cluster.describe_missing())),
]
LIMITS = ("lock_timeout", "statement_timeout")
_TABLE = f"evidence_{_STREAM[:16].hex()}"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with cluster.running_cluster() as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "evidence").mkdir()
    return tmp_path / "evidence"


@pytest.fixture
def store(url: str, folder: Path) -> Iterator[Store]:
    with open_store(url, evidence=folder) as opened:
        yield opened
        drop_everything(opened)


def add_in(store: Store, month: str, monkeypatch: pytest.MonkeyPatch, first: int, count: int) -> None:
    monkeypatch.setattr("millmark.ledger.store.book.month_of", lambda _: month)
    add(store, first=first, count=count)


def partitions_of(store: Store, stream: bytes = _STREAM) -> list[Partition]:
    with store.reading() as connection:
        return list_partitions(connection, stream)


def count_in(store: Store, table: str) -> int:
    with store.reading() as connection:
        found: int = connection.execute(text(f"SELECT count(*) FROM ONLY {table}")).scalar_one()  # noqa: S608 - no input
        return found


def test_a_month_begins_where_the_one_before_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_in(store, "2026-10", monkeypatch, 0, 300)
    add_in(store, "2026-10", monkeypatch, 300, 10)
    add_in(store, "2026-12", monkeypatch, 310, 20)
    add_in(store, "2026-11", monkeypatch, 330, 5)  # a clock that was set back
    add_in(store, "2027-01", monkeypatch, 335, 5)
    assert partitions_of(store) == [
        Partition(f"{_TABLE}_202610", "MINVALUE", "310"),
        Partition(f"{_TABLE}_202612", "310", "335"),
        Partition(f"{_TABLE}_202701", "335", "MAXVALUE"),
    ]
    assert [count_in(store, one.name) for one in partitions_of(store)] == [3, 2, 1]
    assert read_all(store) == expected(340)
    with pytest.raises(StoreError, match="exists already"):
        add_in(store, "2027-02", monkeypatch, 310, 1)
    assert len(partitions_of(store)) == 3, "nothing of a write that failed is left"


def test_a_lookup_reads_one_partition(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, month in enumerate(("2026-10", "2026-11", "2026-12")):
        add_in(store, month, monkeypatch, 10 * place, 10)
    add(store, _OTHER, count=10)
    query = 'EXPLAIN (ANALYZE) SELECT * FROM evidence WHERE stream = %s AND "index" <= 12 ORDER BY "index" DESC LIMIT 1'
    with store.reading() as connection:
        plan = [row[0] for row in connection.exec_driver_sql(query, (_STREAM,))]
    scanned = [line for line in plan if "Scan" in line]
    assert len([line for line in scanned if "never executed" not in line]) == 1, plan
    assert f"{_TABLE}_202611" in "".join(line for line in scanned if "never executed" not in line)
    assert not any("202612" in line or _OTHER[:16].hex() in line for line in plan)


def test_a_month_waits_for_a_reader_only_briefly_and_begins_with_a_later_write(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_in(store, "2026-10", monkeypatch, 0, 10)
    with store.reading() as connection:
        assert Book(connection).evidence_size(_STREAM) == 10
        add_in(store, "2026-11", monkeypatch, 10, 10)
        assert Book(connection).evidence_size(_STREAM) == 10
        add(store, _OTHER, count=10)  # a new stream waits for no reader
    assert [one.end for one in partitions_of(store)] == ["MAXVALUE"]
    began_s = time.monotonic()
    add_in(store, "2026-11", monkeypatch, 20, 5)
    assert len(partitions_of(store)) == 1, "tried again after a minute only"
    assert time.monotonic() - began_s < 30
    postgresql._again_s.clear()
    add_in(store, "2026-11", monkeypatch, 25, 5)
    assert [(one.first, one.end) for one in partitions_of(store)] == [("MINVALUE", "25"), ("25", "MAXVALUE")]
    assert read_all(store) == expected(30)
    with store.transaction() as connection:
        add_in_month = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in LIMITS]
    assert add_in_month == ["10s", "5min"]


def test_limits_in_time_are_as_before_after_a_month_began(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add_in(store, "2026-10", monkeypatch, 0, 10)
    with store.transaction() as connection:
        postgresql.prepare_partition(connection, _STREAM, 10, "2026-11")
        assert [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in LIMITS] == ["10s", "5min"]
    assert len(partitions_of(store)) == 2


def test_a_month_that_takes_long_to_end_does_not_begin_and_stops_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_SCAN", "1ms")
    add_in(store, "2026-10", monkeypatch, 0, 10)
    with store.transaction() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        values = "SELECT stream, 10 + n, 1, salts, entries, leaf_hashes, kinds, file"
        values += " FROM evidence, generate_series(1, 200000) AS n"
        connection.exec_driver_sql(f"INSERT INTO evidence {values}")
    add_in(store, "2026-11", monkeypatch, 300_000, 5)
    assert len(partitions_of(store)) == 1
    with store.reading() as connection:
        assert Book(connection).evidence_size(_STREAM) == 300_005


def test_no_plan_locks_the_partitions_of_other_streams(store: Store) -> None:
    """PostgreSQL makes a plan for all values of a statement that comes often: its locks would not suffice for years of
    many machines."""
    add(store, count=10)
    for number in range(20):
        add(store, digest("machine", number), count=10)
    for _ in range(3):
        with store.reading() as connection:
            for index in range(20):  # a plan for all values would come with the eleventh
                Book(connection).evidence_entry(_STREAM, index % 10)
            query = "SELECT count(DISTINCT relation) FROM pg_locks WHERE pid = pg_backend_pid()"
            query += " AND relation::regclass::text LIKE 'evidence%%'"
            assert connection.exec_driver_sql(query).scalar_one() <= 6


def test_a_slow_disk_is_not_taken_for_a_process_that_hangs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While files are read within a write, whose session PostgreSQL ends when it pauses for too long: here after 2 s
    instead of 10 s, and a file takes 0.04 s instead of 0.2 s."""
    monkeypatch.setattr("millmark.ledger.store.book._RUN", 1)
    add(store, count=65)
    with store.transaction() as connection:
        Rows(connection).insert([AnchorRow(1, _STREAM, 65, bytes(32), 1)])
    monkeypatch.setattr(postgresql, "_WRITER_IDLE_S", 2)
    read = EvidenceFiles.read

    def slowly(files: EvidenceFiles, stream: bytes, name: str) -> bytes:
        time.sleep(0.04)
        return read(files, stream, name)

    monkeypatch.setattr(EvidenceFiles, "read", slowly)
    assert [one.now for one in drop_evidence(store, Rule(before_s=2))] == [64]


def test_content_moves_between_partitions_and_files(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_in(store, "2026-10", monkeypatch, 0, 300)
    add_in(store, "2026-11", monkeypatch, 300, 300)
    assert len(files_in(folder)) == 4
    assert move_content(store, into_files=False) == 600
    assert (files_in(folder), read_all(store)) == ([], expected())
    assert move_content(store, into_files=True) == 600
    assert (len(files_in(folder)), read_all(store)) == (4, expected())
