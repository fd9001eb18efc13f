"""Content of logs in files: written before the row that names it, read back whole, moved, and removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.errors import SettingsError, StoreDamagedError, StoreError
from millmark.ledger.evidence import LeafKind, build_leaf_data_of
from millmark.ledger.index import check_book
from millmark.ledger.merkle import leaf_hash
from millmark.ledger.store import Book, Rows, Store, open_store
from millmark.ledger.store.book import EvidenceRows, move_content, prune_files, remove_files
from millmark.ledger.store.evidence_files import MARKER, EvidenceFiles
from millmark.ledger.store.rows import EvidenceRow
from tests.support.fake_ledger import digest
from tests.support.stores import new_store

_STREAM, _OTHER = digest("stream"), digest("other stream")
_ENTRIES = 600
"""Three rows."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "evidence"


@pytest.fixture
def store(tmp_path: Path, folder: Path) -> Iterator[Store]:
    with new_store(tmp_path, evidence=folder) as made:
        yield made


def text_of(index: int) -> bytes:
    return f'{{"data":{{"value":{index}}},"id":"event {index}"}}'.encode()


def leaf_of(index: int) -> bytes:
    return leaf_hash(build_leaf_data_of(LeafKind.EVENT, digest("salt", index), text_of(index)))


def add(store: Store, stream: bytes = _STREAM, first: int = 0, count: int = _ENTRIES) -> None:
    salts = [digest("salt", index) for index in range(first, first + count)]
    texts = [text_of(index) for index in range(first, first + count)]
    leaves = [leaf_of(index) for index in range(first, first + count)]
    with store.transaction() as connection:
        Book(connection).add_evidence_run(stream, first, salts, texts, leaves, bytes([LeafKind.EVENT] * count))


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*/*/*") if path.is_file())


def rows_of(store: Store) -> list[EvidenceRow]:
    with store.reading() as connection:
        return list(Rows(connection).scan(EvidenceRow))


def read_all(store: Store, stream: bytes = _STREAM) -> list[tuple[bytes, object]]:
    with store.reading() as connection:
        book = Book(connection)
        found = [book.evidence_entry(stream, index) for index in range(book.evidence_size(stream))]
    return [(one.salt, one.entry) for one in found if one is not None]


def expected(count: int = _ENTRIES) -> list[tuple[bytes, object]]:
    return [(digest("salt", index), {"data": {"value": index}, "id": f"event {index}"}) for index in range(count)]


def test_rows_name_files_and_have_no_content(store: Store, folder: Path) -> None:
    add(store)
    assert check_book(store) == []
    rows = rows_of(store)
    assert [(row.index, row.count, row.salts, row.entries) for row in rows] == [
        (0, 256, b"", ""),
        (256, 256, b"", ""),
        (512, 88, b"", ""),
    ]
    assert sorted(folder / _STREAM.hex() / row.file for row in rows) == files_in(folder)
    for path in files_in(folder):
        assert (path.stat().st_mode & 0o077, path.parent.stat().st_mode & 0o077) == (0, 0)
    assert read_all(store) == expected()
    with store.reading() as connection:
        book = Book(connection)
        assert book.find_event(_STREAM, "event 300") == 300
        assert book.find_event(_STREAM, "event 300", 301) is None
        assert [index for index, *_ in book.entries_with(_STREAM, '"value":59')] == [59, *range(590, 600)]
        assert book.latest_evidence(_STREAM) == expected()[-1][1]
        assert book.evidence_counts() == {_STREAM: (_ENTRIES, 0, _ENTRIES)}


def test_a_file_is_there_before_the_row_that_names_it(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which they reach the disk: content, name, and only then the commit."""
    seen: list[str] = []
    synchronise = os.fsync

    def note(descriptor: int) -> None:
        seen.append("fsync")
        synchronise(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(
        "millmark.ledger.store.repository.Rows.insert", lambda *_: seen.append(f"rows {len(files_in(folder))}")
    )
    add(store, count=1)
    assert seen[-1] == "rows 1"
    assert seen.count("fsync") >= 2


def test_a_transaction_that_fails_leaves_files_that_are_removed_after_a_day(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store)
    with pytest.raises(StoreError, match="exists already"):
        add(store, count=1)
    kept = {folder / _STREAM.hex() / row.file for row in rows_of(store)}
    assert len(files_in(folder)) == 4
    (files_in(folder)[0].parent / ".3f9a.half").write_bytes(b"a crash left this")
    assert prune_files(store) == 0
    for path in files_in(folder):
        os.utime(path, (1, 1))
    assert prune_files(store) == 2
    assert set(files_in(folder)) == kept
    assert prune_files(store) == 0


def test_what_is_written_anew_while_it_is_looked_for_stays(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content that was moved back, whose file a crash left, and that moves out again."""
    add(store, count=1)
    monkeypatch.setattr("millmark.ledger.store.book.remove_files", lambda *_: None)
    move_content(store, into_files=False)
    [path] = files_in(folder)
    os.utime(path, (1, 1))
    named = "millmark.ledger.store.book.EvidenceRows.named"
    monkeypatch.setattr(named, lambda *_: (move_content(store, into_files=True), set())[1])
    assert prune_files(store) == 0
    assert read_all(store) == expected(1)


def test_dropping_removes_the_files_of_what_is_dropped_and_no_other(store: Store, folder: Path) -> None:
    add(store)
    (folder / _STREAM.hex() / "2026-01").mkdir()
    first, *rest = rows_of(store)
    with store.transaction() as connection:
        Book(connection).drop(_STREAM, [0])
    remove_files(store, _STREAM, {row.index: row.file for row in (first, rest[0])})
    assert files_in(folder) == sorted(folder / _STREAM.hex() / row.file for row in rest)


def test_content_moves_out_of_the_database_and_back(tmp_path: Path, folder: Path) -> None:
    with new_store(tmp_path) as plain:
        add(plain)
        add(plain, _OTHER, count=10)
        with pytest.raises(SettingsError, match="no folder"):
            move_content(plain, into_files=True)
    folder.mkdir()
    with open_store(f"sqlite:///{tmp_path / 'ledger.db'}", evidence=folder) as store:
        assert read_all(store) == expected(), "rows from before are read as they were"
        assert move_content(store, into_files=True) == _ENTRIES + 10
        assert move_content(store, into_files=True) == 0
        assert (len(files_in(folder)), read_all(store)) == (4, expected())
        assert not any(row.entries or row.salts for row in rows_of(store))
        assert move_content(store, into_files=False) == _ENTRIES + 10
        assert (files_in(folder), read_all(store), read_all(store, _OTHER)) == ([], expected(), expected(10))


def test_what_cannot_be_read_stays_where_it_is_and_is_counted(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store)
    monkeypatch.setattr("millmark.ledger.store.book._ROWS_AT_ONCE", 1)
    kept = [row.file for row in rows_of(store)]
    (folder / _STREAM.hex() / kept[1]).rename(folder / "away")
    with pytest.raises(StoreError, match="344 entries were moved, and 256 are in files that cannot be read"):
        move_content(store, into_files=False)
    assert [bool(row.file) for row in rows_of(store)] == [False, True, False]
    (folder / "away").rename(folder / _STREAM.hex() / kept[1])
    assert move_content(store, into_files=False) == 256
    assert read_all(store) == expected()


def test_a_file_that_was_written_since_is_not_removed(store: Store, folder: Path) -> None:
    """Another process had the lock while this one stood still in its transaction, and moved the same row out again."""
    add(store, count=1)
    [path] = files_in(folder)
    [row] = rows_of(store)
    move_content(store, into_files=False)
    path.write_bytes(b"as if written by the other")
    os.utime(path, (2e9, 2e9))
    remove_files(store, _STREAM, {0: row.file})
    assert files_in(folder) == [path]


def test_a_folder_that_was_removed_by_hand_is_made_again(store: Store, folder: Path) -> None:
    add(store, count=1)
    move_content(store, into_files=False)
    for path in sorted((folder / _STREAM.hex()).rglob("*"), reverse=True):
        path.rmdir()
    assert move_content(store, into_files=True) == 1
    assert read_all(store) == expected(1)


def test_a_file_that_was_changed_is_damage_and_one_that_is_missing_is_said(store: Store, folder: Path) -> None:
    add(store, count=1)
    [path] = files_in(folder)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b" ")
    with pytest.raises(StoreDamagedError, match="was changed"):
        read_all(store)
    path.unlink()
    with pytest.raises(StoreError, match="cannot be read") as missing:
        read_all(store)
    assert not isinstance(missing.value, StoreDamagedError)
    assert any("cannot be read from entry 0 on" in one for one in check_book(store))
    path.write_bytes(content)
    assert read_all(store) == expected(1)


def test_a_store_without_the_folder_says_so(tmp_path: Path, store: Store) -> None:
    add(store, count=1)
    with open_store(f"sqlite:///{tmp_path / 'ledger.db'}") as plain:
        with pytest.raises(SettingsError, match="are in files"):
            read_all(plain)
        with plain.reading() as connection:
            assert Book(connection).leaves(_STREAM, 1) == [leaf_of(0)], "proofs of others need no file"


def test_a_folder_with_other_things_in_it_is_refused(tmp_path: Path) -> None:
    """A home, for instance, whose keys a backup would then copy."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with pytest.raises(SettingsError, match="is not empty"):
        open_store(url, evidence=tmp_path)
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    open_store(url, evidence=tmp_path / "disk").close()


def test_of_two_databases_that_take_a_folder_at_once_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "evidence"
    folder.mkdir()
    verify, urls = EvidenceFiles._verify_new, [f"sqlite:///{tmp_path / name}.db" for name in "ab"]

    def late(*arguments: Any, **more: Any) -> None:
        verify(*arguments, **more)
        monkeypatch.setattr(EvidenceFiles, "_verify_new", verify)
        open_store(urls[1], evidence=folder).close()

    monkeypatch.setattr(EvidenceFiles, "_verify_new", late)
    with pytest.raises(SettingsError, match="belongs to another database"):
        open_store(urls[0], evidence=folder)
    open_store(urls[1], evidence=folder).close()


def test_a_folder_that_was_left_for_another_is_refused(tmp_path: Path, store: Store, folder: Path) -> None:
    """Files would be in both. The same keeps what was written while a disk was not mounted from being lost unseen."""
    url, other = f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "other"
    other.mkdir()
    with open_store(url, evidence=other) as later:
        add(later, count=1)
        with pytest.raises(StoreError, match="no longer that of the database"):
            add(store, _OTHER, count=1)  # a process that still has the earlier one
        assert read_all(later) == expected(1)
    with pytest.raises(SettingsError, match="or is one that this one left"):
        open_store(url, evidence=folder)


def test_a_folder_is_not_left_that_gets_its_first_file_meanwhile(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another program waits for the write lock, to give the database the folder of its own settings."""
    other, transaction = tmp_path / "other", Store.transaction
    other.mkdir()

    def late(waiting: Store) -> Any:
        if waiting is not store and not rows_of(store):
            add(store, count=1)
        return transaction(waiting)

    monkeypatch.setattr(Store, "transaction", late)
    with pytest.raises(StoreError, match="not the one with this database's files"):
        open_store(f"sqlite:///{tmp_path / 'ledger.db'}", evidence=other)
    add(store, first=1, count=1)
    assert read_all(store) == expected(2)
    assert list(other.iterdir()) == []


def test_another_databases_folder_is_refused(tmp_path: Path, store: Store, folder: Path) -> None:
    for name in ("new.db", "with a folder of its own.db"):
        url = f"sqlite:///{tmp_path / name}"
        if name != "new.db":
            (tmp_path / "own").mkdir()
            open_store(url, evidence=tmp_path / "own").close()
        with pytest.raises(SettingsError, match="belongs to another database"):
            open_store(url, evidence=folder)
    open_store(f"sqlite:///{tmp_path / 'ledger.db'}", evidence=folder).close()


def test_the_empty_place_of_a_disk_is_not_taken_for_the_folder(tmp_path: Path, store: Store, folder: Path) -> None:
    add(store, count=1)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    folder.rename(tmp_path / "away")
    with pytest.raises(StoreError, match="is not a folder"):
        add(store, first=1, count=1)
    with pytest.raises(StoreError, match="is not a folder"):
        open_store(url, evidence=folder)
    folder.mkdir()
    with pytest.raises(StoreError, match="not the one with this database's files"):
        open_store(url, evidence=folder)
    with pytest.raises(StoreError, match="unmounted"):
        add(store, first=1, count=1)
    assert list(folder.iterdir()) == []


def test_a_folder_whose_files_are_lost_is_made_again_with_the_name_that_the_database_prints(
    tmp_path: Path, store: Store, folder: Path
) -> None:
    add(store, count=1)
    shutil.rmtree(folder)
    folder.mkdir()
    with store.reading() as connection:
        name = connection.exec_driver_sql("SELECT hex(name) FROM evidence_folders").scalar_one()
    (folder / MARKER).write_text(f"{name}\n")
    with open_store(f"sqlite:///{tmp_path / 'ledger.db'}", evidence=folder) as again:
        add(again, first=1, count=1)
        with again.reading() as connection:
            assert Book(connection).leaves(_STREAM, 2) == [leaf_of(0), leaf_of(1)]
    with pytest.raises(StoreError, match="cannot be read: No such file"):
        read_all(store)


def test_a_folder_that_may_not_be_looked_into_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, is_dir = tmp_path / "evidence", Path.is_dir

    def refuse(path: Path) -> bool:
        if path == folder:
            raise PermissionError(13, "Permission denied")
        return is_dir(path)

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(StoreError, match="cannot be read: Permission denied"):
        open_store(f"sqlite:///{tmp_path / 'ledger.db'}", evidence=folder)


def test_a_name_that_is_none_is_not_followed(store: Store, folder: Path) -> None:
    add(store, count=1)
    [row] = rows_of(store)
    row.file = "../../../../etc/passwd"
    with store.transaction() as connection:
        Rows(connection).update([row])
    with pytest.raises(StoreDamagedError, match="is no file of evidence"):
        read_all(store)


def test_what_is_moved_while_the_book_is_checked_is_no_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, count=1)
    every = EvidenceRows.every

    def moving(rows: EvidenceRows) -> Iterator[EvidenceRow]:
        for row in every(rows):
            move_content(store, into_files=False)
            yield row

    monkeypatch.setattr(EvidenceRows, "every", moving)
    assert check_book(store) == []


def test_a_disk_that_is_full_is_said_and_nothing_is_recorded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("millmark.ledger.store.evidence_files.write_new", full)
    with pytest.raises(StoreError, match="No space left"):
        add(store, count=1)
    assert rows_of(store) == []
