"""On PostgreSQL, a stream's log is in partitions by month, whatever is read at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ledger.errors import StoreError
from ledger.store import Book, Store, open_store
from ledger.store.evidence_moves import move_content
from ledger.store.partitions import Partition, list_partitions
from services.lab import cluster
from tests.integration.test_postgresql import drop_everything
from tests.unit.ledger.test_evidence_files import _OTHER, _STREAM, add, expected, files_in, read_all

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(cluster.describe_missing() is not None, reason=str(cluster.describe_missing())),
]
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
    monkeypatch.setattr("ledger.store.evidence_rows.month_of", lambda _: month)
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
    add_in(store, "2026-11", monkeypatch, 20, 10)
    assert [(one.first, one.end) for one in partitions_of(store)] == [("MINVALUE", "20"), ("20", "MAXVALUE")]
    assert read_all(store) == expected(30)
    with store.transaction() as connection:
        assert connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "10s"


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
