"""The audit log: whole, chained, bounded; and every way to tamper with it is found where it was done."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.canonical import canonical_json
from millmark.ledger.errors import StoreError
from millmark.services.audit import Access, AuditError, AuditLog, AuditTamperedError, Decision, read_audit, verify_audit
from millmark.services.audit.entries import first_number, hash_entry
from millmark.services.audit.log import DELETED, LEFT_OUT, Quota
from tests.support.patience import MAX_S
from tests.support.sign_in import NOW_S


def access(target: str = "/v1/documents/x", status: int = 200) -> Access:
    return Access(3, "4f1c09aa27de", "GET /v1/documents/{id}", target, status, "r-1", b"\x11" * 32)


def fill(folder: Path, count: int, **bounds: Any) -> AuditLog:
    log = AuditLog(folder, lambda: NOW_S, **bounds)
    for at in range(count):
        log.append(access(f"/v1/documents/{at}"))
    return log


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("audit-*.jsonl"))


def test_what_is_appended_is_there_in_order(tmp_path: Path) -> None:
    fill(tmp_path, 5).close()
    entries = list(read_audit(tmp_path))
    assert [one["number"] for one in entries] == [1, 2, 3, 4, 5]
    assert [one["target"] for one in entries] == [f"/v1/documents/{at}" for at in range(5)]
    assert entries[0]["decision"] == "allowed"
    report = verify_audit(tmp_path)
    assert (report.first, report.last, report.files, report.follows) == (1, 5, 1, bytes(32))
    assert report.head.hex() == entries[-1]["hash"]
    assert files(tmp_path)[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        (200, "allowed"),
        (304, "allowed"),
        (401, "denied"),
        (403, "denied"),
        (404, "absent"),
        (409, "refused"),
        (503, "failed"),
    ],
)
def test_each_status_is_one_decision(status: int, decision: str) -> None:
    assert Decision.of(status).value == decision


def test_an_empty_log_is_whole_and_no_log_is_said(tmp_path: Path) -> None:
    fill(tmp_path, 0).close()
    assert verify_audit(tmp_path).last == 0
    with pytest.raises(AuditError, match="contains no audit log"):
        verify_audit(tmp_path / "none")


def test_it_goes_on_after_a_restart_and_beside_another_writer(tmp_path: Path) -> None:
    first, second = fill(tmp_path, 2), fill(tmp_path, 2)
    for log in (first, second, second, first):
        log.append(access())
    first.close()
    second.close()
    assert verify_audit(tmp_path).last == 8


def test_half_an_entry_is_cut_off_and_the_log_goes_on(tmp_path: Path) -> None:
    fill(tmp_path, 3).close()
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    for torn in (whole[:-1], whole[:-40], whole + b'{"number":4'):
        path.write_bytes(torn)
        with pytest.raises(AuditTamperedError):
            verify_audit(tmp_path)
        left = torn.count(b"\n")
        fill(tmp_path, 1).close()
        assert verify_audit(tmp_path).last == left + 1


@pytest.mark.parametrize("how", ["removed", "moved", "replaced", "cut"])
def test_nothing_is_written_under_the_numbers_of_entries_that_are_gone(tmp_path: Path, how: str) -> None:
    log = fill(tmp_path, 3)
    [path] = files(tmp_path)
    content, away = path.read_bytes(), tmp_path / "away"
    if how == "cut":
        os.truncate(path, content.index(b"\n") + 1)
    else:
        path.rename(away)
    if how == "replaced":
        path.write_bytes(content[: content.index(b"\n") + 1])
    for _ in range(2):  # nor at the next attempt
        with pytest.raises(AuditError, match="entry 3 is not in its files any more") as caught:
            log.append(access())
        assert "put the files back" in caught.value.hint
    assert log.failing_since_s is not None
    path.write_bytes(content)
    log.append(access())
    log.close()
    assert verify_audit(tmp_path).last == 4


def test_files_are_bounded_and_the_oldest_goes(tmp_path: Path) -> None:
    log = fill(tmp_path, 60, most_file_bytes=2000, keep_files=3)
    assert len(files(tmp_path)) == 3
    assert all(path.stat().st_size <= 2000 for path in files(tmp_path))
    report = verify_audit(tmp_path)
    assert (report.first > 1, report.files) == (True, 3)
    told = [one["target"] for one in read_audit(tmp_path) if one["action"] == DELETED]
    assert told, "an entry tells which file was deleted"
    assert not any((tmp_path / str(name)).exists() for name in told)
    last = report.last
    log.append(access())
    log.close()
    fill(tmp_path, 1, most_file_bytes=2000, keep_files=3).close()
    assert verify_audit(tmp_path).last >= last + 2


def test_no_file_is_deleted_before_it_is_anchored(tmp_path: Path) -> None:
    anchored = 0

    def read_anchored() -> int:
        if anchored < 0:
            raise StoreError("the database is away")
        return anchored

    log = AuditLog(tmp_path, lambda: NOW_S, most_file_bytes=2000, keep_files=3, read_anchored=read_anchored)

    def add(count: int) -> list[Path]:
        for at in range(count):
            log.append(access(f"/v1/documents/{at}"))
        return files(tmp_path)

    assert len(add(60)) > 10
    assert (verify_audit(tmp_path).first, verify_audit(tmp_path).last) == (1, 60)
    anchored = -1
    assert add(5)[0].name == "audit-000000000001.jsonl"
    anchored = first_number(files(tmp_path)[4]) - 2
    assert first_number(add(5)[0]) == first_number(files(tmp_path)[0]) > 1
    assert verify_audit(tmp_path).first <= anchored + 1, "the file in which the anchor ends is kept"
    anchored = 1000
    assert len(add(5)) == 3
    log.close()
    verify_audit(tmp_path)


def stranger(target: str = "/v1/trace/x") -> Access:
    return Access(None, "", "GET /v1/trace/{identifier:path}", target, 401, "r-1", None, anonymous=True)


@pytest.mark.parametrize("target", ["/v1/trace/" + "中" * 880, "/" + "\x01" * 500, "/" + "\ud800" * 200, '/"\\' * 100])
def test_what_strangers_write_is_short(tmp_path: Path, target: str) -> None:
    log = AuditLog(tmp_path, lambda: NOW_S)
    log.append(stranger(target))
    log.close()
    (entry,) = read_audit(tmp_path)
    assert len(str(entry["target"]).encode()) <= 128
    assert files(tmp_path)[0].stat().st_size < 700
    verify_audit(tmp_path)


def test_strangers_cannot_push_out_what_others_did(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, lambda: NOW_S, most_file_bytes=2000, keep_files=3, anonymous_per_day=5)
    log.append(access("/v1/documents/kept"))
    for _ in range(1000):
        log.append(stranger())
    log.append(access("/v1/documents/last"))
    log.close()
    entries = list(read_audit(tmp_path))
    assert [one["target"] for one in entries if one["participant"]] == ["/v1/documents/kept", "/v1/documents/last"]
    assert sum(one["status"] == 401 for one in entries) == 5
    assert sum(int(str(one["target"])) for one in entries if one["action"] == LEFT_OUT) == 995
    assert verify_audit(tmp_path).last == len(entries) <= 9


def test_a_quota_is_refilled_and_what_was_left_out_is_told_once_a_minute() -> None:
    now = 0.0
    quota = Quota(2 * 24, lambda: now)
    assert [quota.take() for _ in range(50)].count(True) == 48
    assert (quota.left_out(), quota.take(), quota.left_out()) == (2, False, 0)
    now = 3600.0
    assert [quota.take() for _ in range(3)] == [True, True, False]
    assert (quota.left_out(), quota.left_out(all_told=True)) == (2, 0)


def test_a_full_file_goes_on_in_the_next_after_a_restart(tmp_path: Path) -> None:
    fill(tmp_path, 4, most_file_bytes=1200).close()
    newest = files(tmp_path)[-1]
    lost = newest.read_bytes().count(b"\n")
    newest.write_bytes(b"")  # a power cut after the file was made and before its first entry
    fill(tmp_path, 3, most_file_bytes=1200).close()
    assert verify_audit(tmp_path).last == 4 - lost + 3


Tamper = Callable[[list[bytes]], None]


def edit(at: int, member: str, value: object, *, rehash: bool) -> Tamper:
    def tamper(lines: list[bytes]) -> None:
        entry = json.loads(lines[at])
        entry[member] = value
        if rehash:
            entry["hash"] = hash_entry(entry).hex()
        lines[at] = canonical_json(entry)

    return tamper


def drop(at: int) -> Tamper:
    return lambda lines: lines.__delitem__(at)


def swap(lines: list[bytes]) -> None:
    lines[3], lines[4] = lines[4], lines[3]


TAMPERINGS: dict[str, tuple[Tamper, int]] = {
    "a target changed": (edit(4, "target", "/v1/other", rehash=False), 5),
    "a decision changed": (edit(0, "decision", "denied", rehash=False), 1),
    "a participant changed, and the hash": (edit(4, "participant", 4, rehash=True), 5),
    "the first entry changed, and its hash": (edit(0, "participant", 4, rehash=True), 1),
    "the last entry changed": (edit(9, "status", 404, rehash=False), 10),
    "a number changed": (edit(4, "number", 7, rehash=True), 5),
    "a hash changed": (edit(4, "hash", "0" * 64, rehash=False), 5),
    "what it follows changed": (edit(4, "previous", "0" * 64, rehash=False), 5),
    "an entry left out": (drop(4), 5),
    "the first entry left out": (drop(0), 1),
    "two entries swapped": (swap, 4),
    "an entry doubled": (lambda lines: lines.insert(4, lines[3]), 5),
    "an entry put in": (lambda lines: lines.insert(4, b"{}"), 5),
    "an empty line": (lambda lines: lines.insert(4, b""), 5),
    "another spelling": (lambda lines: lines.__setitem__(4, lines[4].replace(b",", b", ", 1)), 5),
    "no JSON": (lambda lines: lines.__setitem__(4, b"\xff" * 40), 5),
    "a member more": (edit(4, "note", "", rehash=True), 5),
    "a line without end": (lambda lines: lines.__setitem__(4, b" " * 40_000), 5),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_where_it_was_done(tmp_path: Path, name: str) -> None:
    tamper, number = TAMPERINGS[name]
    fill(tmp_path, 10).close()
    (path,) = files(tmp_path)
    lines = path.read_bytes().splitlines()
    tamper(lines)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(AuditTamperedError) as caught:
        verify_audit(tmp_path)
    assert caught.value.number == number


def test_a_file_left_out_is_found(tmp_path: Path) -> None:
    fill(tmp_path, 30, most_file_bytes=2000).close()
    _, second, third, *_ = files(tmp_path)
    second.unlink()
    with pytest.raises(AuditTamperedError) as caught:
        verify_audit(tmp_path)
    assert f"audit-{caught.value.number:012}.jsonl" == second.name
    assert third.exists()


def test_a_known_head_tells_that_the_end_is_missing_or_all_is_new(tmp_path: Path) -> None:
    fill(tmp_path, 5).close()
    head = verify_audit(tmp_path).head
    fill(tmp_path, 5).close()
    assert verify_audit(tmp_path, head).last == 10
    (path,) = files(tmp_path)
    path.write_bytes(b"".join(line + b"\n" for line in path.read_bytes().splitlines()[:4]))
    assert verify_audit(tmp_path).last == 4, "nothing in the log itself says that its end is gone"
    with pytest.raises(AuditTamperedError, match="does not contain the known head"):
        verify_audit(tmp_path, head)
    path.unlink()
    log = AuditLog(tmp_path, lambda: NOW_S + 1)
    for at in range(6):
        log.append(access(str(at)))
    log.close()
    with pytest.raises(AuditTamperedError):
        verify_audit(tmp_path, head)


def test_nothing_is_written_behind_what_cannot_be_read(tmp_path: Path) -> None:
    fill(tmp_path, 2).close()
    (path,) = files(tmp_path)
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    log = AuditLog(tmp_path, lambda: NOW_S)
    with pytest.raises(AuditError, match="cannot be read"):
        log.append(access())


def test_no_writer_waits_for_the_disk_and_a_disk_that_fails_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk hangs until all is written, then fails: the next entry says so, the one after it is taken again."""
    hangs, failed = threading.Event(), threading.Event()
    whole = os.fdatasync

    def fails(descriptor: int) -> None:
        assert hangs.wait(MAX_S)
        failed.set()
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fails)
    log = fill(tmp_path, 50)
    assert not failed.is_set()
    hangs.set()
    assert failed.wait(MAX_S)
    monkeypatch.setattr(os, "fdatasync", whole)
    with pytest.raises(AuditError, match="cannot be written: Input/output error"):
        _append_until_it_fails(log)
    log.append(access())
    log.close()
    verify_audit(tmp_path)


def _append_until_it_fails(log: AuditLog) -> None:
    for _ in range(1_000_000):
        log.append(access())


def test_the_log_is_read_while_it_is_written(tmp_path: Path) -> None:
    """Whoever reads keeps no writer out, and sees the log as it was when they began."""
    log = fill(tmp_path, 3)
    reading = read_audit(tmp_path)
    assert next(reading)["number"] == 1
    log.append(access())
    assert [one["number"] for one in reading] == [2, 3]
    log.close()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(AuditError, match="cannot be opened in"):
        AuditLog(tmp_path / "file", lambda: NOW_S)


def test_odd_texts_are_written_and_long_ones_cut(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, lambda: NOW_S)
    for target in ("/a\nb", "/\ud800", "/" + "x" * 9000, '/"\\'):
        log.append(access(target))
    log.close()
    assert verify_audit(tmp_path).last == 4
    assert max(map(len, (str(one["target"]) for one in read_audit(tmp_path)))) == 1024
    assert files(tmp_path)[0].stat().st_size < 4000


def test_after_a_failed_synchronisation_nothing_passes_as_synchronised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel tells of it once: asked again, it would say that all is well."""
    log = fill(tmp_path, 1)
    log.flush()
    log.append(access())
    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        with pytest.raises(AuditError, match="check the disk"):
            log.flush()
    with pytest.raises(AuditError, match="cannot be written"):
        log.flush()
    with pytest.raises(AuditError, match="cannot be written"):
        log.append(access())
    log.append(access())
    with pytest.raises(AuditError, match="cannot be written"):
        log.flush()


def fail(_: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))
