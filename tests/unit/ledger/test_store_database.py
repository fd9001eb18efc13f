"""The store: schema, set-up of connections, what it refuses to open."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import millmark.ledger.store.outbox  # declares its tables
import millmark.ledger.store.repository  # noqa: F401  # declares its table
from millmark.ledger.canonical import canonical_json
from millmark.ledger.errors import SettingsError, StoreDamagedError, StoreError
from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.store import Book, Rows, Store, open_store
from millmark.ledger.store.database import build_engine
from millmark.ledger.store.rows import AnchorRow, CursorRow, EvidenceRow, HeadRow
from millmark.ledger.store.schema import LEDGER, read_revisions
from millmark.services.backup import copy_sqlite
from tests.support.schemas import find_differences


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{path}") as opened:
        yield opened


def test_migrations_make_what_the_tables_say(store: Store) -> None:
    assert find_differences(store, LEDGER) == []


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 10_000)]
)
def test_every_connection_is_set_up(store: Store, pragma: str, value: object) -> None:
    for opened in (store.reading(), store.transaction()):
        with opened as connection:
            assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() == value


def test_the_newest_schema_is_alembics(store: Store) -> None:
    """It is told from file names, so that a database of this version opens without Alembic."""
    with store.reading() as connection:
        assert [LEDGER.newest()] == read_revisions(connection, LEDGER)


def test_the_file_is_its_owners_alone(store: Store, path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("replaced", [False, True])
def test_nothing_is_done_in_a_file_that_lost_its_name(store: Store, path: Path, replaced: bool) -> None:
    away = path.with_name("away")
    path.rename(away)
    if replaced:
        path.write_bytes(away.read_bytes())
    for use in (store.transaction, store.reading):
        with pytest.raises(StoreDamagedError, match="was removed or replaced while it was in use"), use():
            pass
    away.rename(path)  # put back: as if nothing had been
    with store.transaction(), store.reading():
        pass


def test_a_backup_copied_over_the_file_is_noticed(store: Store, path: Path, tmp_path: Path) -> None:
    copy_sqlite(path, tmp_path / "backup")
    own = path.read_bytes()
    path.write_bytes((tmp_path / "backup").read_bytes())
    for use in (store.transaction, store.reading):
        with pytest.raises(StoreDamagedError, match="was removed or replaced while it was in use"), use():
            pass
    path.write_bytes(own)
    with store.transaction(), store.reading():
        pass


@pytest.mark.parametrize("name", ["plant #2", "100%25", "what?"])
def test_a_backup_is_of_the_file_whatever_its_name(tmp_path: Path, name: str) -> None:
    """SQLite has it in a URI. With `#` as it is, an empty file beside it was copied."""
    folder = tmp_path / name
    folder.mkdir()
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        database.execute("CREATE TABLE kept (number)")
    copy_sqlite(folder / "ledger.db", folder / "copy")
    with closing(sqlite3.connect(folder / "copy")) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("kept",)]
    assert list(tmp_path.iterdir()) == [folder]


def test_an_earlier_copy_over_the_file_is_noticed(store: Store, path: Path) -> None:
    store.scrub()  # everything is in the file
    earlier = path.read_bytes()
    _grow(store)
    store.scrub()
    _grow(store)
    path.write_bytes(earlier)
    with pytest.raises(StoreDamagedError, match="replaced"), store.reading():
        pass


def test_what_sqlite_writes_to_the_file_is_no_replacement(store: Store, path: Path) -> None:
    """Growth, another process' writes and its emptying of the log, and a rewriting that makes the file smaller."""
    with open_store(f"sqlite:///{path}") as other:
        for _ in range(3):
            _grow(other)
            _grow(store)
            with store.transaction() as connection:
                connection.exec_driver_sql("DROP TABLE much")
            other.scrub()
            with other.reading(), store.reading():
                pass
    with store.transaction():
        pass


def _grow(store: Store) -> None:
    with store.transaction() as connection:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS much (content BLOB)")
        connection.exec_driver_sql("INSERT INTO much VALUES (randomblob(5000000))")


def test_opening_it_again_keeps_the_locks_of_the_first(store: Store, path: Path) -> None:
    """Without them, another process that closes the database last would remove the log, which this one still writes."""
    with store.reading():
        before = _locks(path)
        assert before
        build_engine(f"sqlite:///{path}").dispose()
        assert _locks(path) == before


def _locks(path: Path) -> list[str]:
    """The locks on a file, by Linux (proc_locks(5))."""
    inode = f":{path.stat().st_ino} "
    return sorted(line.partition(": ")[2] for line in Path("/proc/locks").read_text().splitlines() if inode in line)


def test_opens_again_with_everything_in_it(store: Store, path: Path) -> None:
    with store.transaction() as connection:
        Book(connection).set_names({1: "Acme"})
    with open_store(f"sqlite:///{path}") as again, again.reading() as connection:
        assert Book(connection).names() == {1: "Acme"}


def test_a_failing_transaction_leaves_nothing(store: Store) -> None:
    def fail() -> None:
        with store.transaction() as connection:
            Book(connection).set_names({1: "Acme"})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with store.reading() as connection:
        assert Book(connection).names() == {}


def test_a_reader_sees_one_state_and_writes_nothing(store: Store) -> None:
    with store.reading() as reader:
        assert Book(reader).names() == {}
        with store.transaction() as writer:
            Book(writer).set_names({1: "Acme"})
        assert Book(reader).names() == {}
    with store.reading() as reader:
        Rows(reader).insert([HeadRow(bytes(32), bytes(32), 1, 1)])
    with store.reading() as reader:
        assert Rows(reader).find(HeadRow) == []


def test_writers_wait_for_each_other(store: Store) -> None:
    def add(number: int) -> None:
        for place in range(5):
            with store.transaction() as connection:
                rows = Rows(connection)
                count = len(rows.find(AnchorRow))
                rows.insert([AnchorRow(1 + count, bytes(32), number, bytes(32), place)])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as connection:
        assert [row.sequence for row in Rows(connection).find(AnchorRow)] == list(range(1, 21))


def test_a_commit_is_seen_once_by_whoever_looks_and_nothing_else_is(store: Store) -> None:
    one, other = store.changes(), store.changes()
    assert one.look(), "whoever has not looked yet knows nothing"
    assert not one.look()
    for number in (1, 2):
        with store.reading() as reader:
            Book(reader).names()
        assert not one.look()
        with store.transaction() as writer:
            Book(writer).set_names({number: "Acme"})
            assert not one.look(), "not before it is committed"
        assert (one.look(), one.look()) == (True, False)
    assert (other.look(), other.look()) == (True, False)
    one.close()
    assert (one.look(), one.look()) == (True, False), "a new connection knows nothing of what was"
    one.close()
    other.close()


def test_a_commit_of_another_process_is_seen(store: Store, path: Path) -> None:
    changes = store.changes()
    with closing(changes):
        changes.look()
        with closing(sqlite3.connect(path)) as other, other:
            other.execute("CREATE TABLE of_another_process (number INTEGER)")
        assert (changes.look(), changes.look()) == (True, False)


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_refuses_a_file_that_is_no_database(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreDamagedError, match="move it away"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_refuses_a_damaged_database(path: Path) -> None:
    with open_store(f"sqlite:///{path}") as store, store.transaction() as connection:
        Rows(connection).insert([HeadRow(bytes([n % 256, n // 256] * 16), bytes(32), 1, 1) for n in range(5000)])
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 4096 * 20] = b"\xa5" * 4096 * 20
    path.write_bytes(content)
    with pytest.raises(StoreDamagedError, match="move it away"):
        open_store(f"sqlite:///{path}")


def test_what_the_driver_raises_is_told_as_a_failure_of_the_store(store: Store) -> None:
    """Queries go to the driver itself, past what SQLAlchemy makes of its errors."""
    with store.transaction() as connection:
        connection.exec_driver_sql("DROP TABLE heads")
    with store.reading() as connection, pytest.raises(sqlite3.OperationalError):
        Rows(connection).find(HeadRow)
    with pytest.raises(StoreError, match="no such table: heads"):
        _read_heads(store)


def _read_heads(store: Store) -> None:
    with store.reading() as connection:
        Rows(connection).find(HeadRow)


def test_evidence_of_one_entry_a_row_is_read_with_that_of_many(store: Store) -> None:
    log, stream = EvidenceLog(), bytes(32)
    for number in range(600):
        log.append({"n": number})
    single = [
        EvidenceRow(stream, one.index, 1, one.salt, canonical_json(one.entry).decode(), one.leaf_hash, b"\x01")
        for one in log.entries[:3]
    ]
    with store.transaction() as connection:
        Rows(connection).insert(single)
        book = Book(connection)
        assert book.evidence(stream).entries == log.entries[:3]
        book.add_evidence(stream, log.entries[3:])
        assert book.evidence(stream).entries == log.entries
        assert book.leaves(stream, 500) == [one.leaf_hash for one in log.entries[:500]]
        assert (book.evidence_size(stream), book.latest_evidence(stream)) == (600, {"n": 599})
        assert [book.evidence_entry(stream, at) for at in (0, 2, 3, 300, 599)] == [
            log.entries[at] for at in (0, 2, 3, 300, 599)
        ]
        assert book.evidence_entry(stream, 600) is None
        assert book.evidence_entry(b"x" * 32, 0) is None


def test_evidence_with_a_gap_or_damage_is_not_taken_for_whole(store: Store) -> None:
    log, stream = EvidenceLog(), bytes(32)
    for number in range(9):
        log.append({"n": number})
    with store.transaction() as connection:
        book = Book(connection)
        book.add_evidence(stream, log.entries[:3])
        book.add_evidence(stream, log.entries[4:])
        assert book.evidence(stream).entries == log.entries[:3]
        assert len(book.leaves(stream, 9)) == 3
        assert book.evidence_entry(stream, 3) is None
        assert book.evidence_entry(stream, 4) == log.entries[4]
        with pytest.raises(StoreError, match="exists already"):
            book.add_evidence(stream, log.entries[4:])
        connection.exec_driver_sql("UPDATE evidence SET entries = '{}'")
        for read in (book.evidence, book.latest_evidence):
            with pytest.raises(StoreDamagedError, match="damaged from entry"):
                read(stream)


def test_refuses_a_newer_schema(store: Store, path: Path) -> None:
    with store.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer version"):
        open_store(f"sqlite:///{path}")


def test_refuses_the_database_of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE recipes (id INTEGER)")
    raw.close()
    with pytest.raises(StoreError, match="another program"):
        open_store(f"sqlite:///{path}")


@pytest.mark.parametrize("url", ["nonsense", "sqlite+nonsense:///x", "martian://host/x"])
def test_refuses_a_url_without_a_driver(url: str) -> None:
    with pytest.raises(SettingsError):
        open_store(url)


def test_refuses_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_store(f"sqlite:///{tmp_path}")


def test_rows_go_in_and_out_whole(store: Store) -> None:
    row = CursorRow(1, 5, b"\x01" * 32, 7, 8, 9, b"\x02" * 32)
    with store.transaction() as connection:
        rows = Rows(connection)
        rows.insert([row])
        row.block_number = 2**62
        rows.update([row])
        assert rows.get(CursorRow, 1) == row
        assert rows.get(CursorRow, 2) is None
        rows.put(CursorRow(1, 6, bytes(32), 0, 0, 0, bytes(32)))
        assert [found.block_number for found in rows.find(CursorRow)] == [6]


def test_among_takes_any_number_of_values(store: Store) -> None:
    with store.transaction() as connection:
        rows = Rows(connection)
        rows.insert([AnchorRow(n, bytes(32), n, bytes(32), 0) for n in range(1, 1201)])
        assert len(rows.among(AnchorRow, "sequence", range(1100))) == 1099
        assert rows.among(AnchorRow, "sequence", []) == []


def test_a_row_is_not_added_twice(store: Store) -> None:
    with store.transaction() as connection:
        rows = Rows(connection)
        rows.insert([AnchorRow(1, bytes(32), 1, bytes(32), 0)])
        with pytest.raises(StoreError, match="exists already"):
            rows.insert([AnchorRow(1, bytes(32), 1, bytes(32), 0)])


def test_an_identity_is_found_by_subject_and_by_any_spelling(store: Store) -> None:
    identity = Identity(SubjectKind.LOT, 1, "urn:example:1", bytes(32))
    namesake = Identity(SubjectKind.LOT, 2, "urn:example:1", bytes(32), (bytes(114), b"\x01" * 114))
    with store.transaction() as connection:
        book = Book(connection)
        for _ in range(2):
            book.add_identity(identity)
        book.add_identity(namesake)
        assert book.identity(identity.subject) == identity
        assert book.identity(bytes(32)) is None
        found = book.identities("URN:EXAMPLE:1")
        assert sorted(found, key=lambda one: one.creator) == [identity, namesake]
        assert book.identities("urn:example:2") == []
        assert book.identifiers([identity.subject, bytes(32)]) == {identity.subject: "urn:example:1"}


def test_missing_proofs_of_a_name_are_added_and_kept(store: Store) -> None:
    bare = Identity(SubjectKind.LOT, 1, "urn:example:1", bytes(32))
    proved = replace(bare, proofs=(bytes(114),))
    with store.transaction() as connection:
        book = Book(connection)
        for one, expected in ((bare, bare), (proved, proved), (bare, proved)):
            book.add_identity(one)
            assert book.identity(bare.subject) == expected


def test_a_document_can_be_replaced(store: Store) -> None:
    with store.transaction() as connection:
        book = Book(connection)
        assert book.document(bytes(32)) is None
        book.put_document(bytes(32), "{}")
        book.put_document(bytes(32), "[]")
        assert book.document(bytes(32)) == "[]"


def test_copies_of_the_database_stay_in_its_folder(tmp_path: Path) -> None:
    """VACUUM's, in /var/tmp by default: on another disk, and shared by all users."""
    folder = tmp_path / "it's here"
    with open_store(f"sqlite:///{folder / 'ledger.db'}") as store:
        store.scrub()
        with store.reading() as connection:
            [[found]] = connection.exec_driver_sql("PRAGMA temp_store_directory").all()
    assert found == str(folder)


@pytest.mark.parametrize("url", ["postgresql://user@host:se/cret", "se cret"])
def test_a_url_that_cannot_be_parsed_is_refused_in_one_line_without_a_piece_of_it(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        open_store(url)
    assert "cret" not in str(refused.value)
    assert refused.value.__cause__ is None
