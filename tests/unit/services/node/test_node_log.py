"""The log on disk: torn, damaged, full, failing; and what it must never do, which is to lose what it acknowledged."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import SettingsError, StoreDamagedError, StoreError
from millmark.services.node.events import LogError, LogFullError
from millmark.services.node.streamlog import (
    FILE_HEADER_BYTES,
    DedupIndex,
    LogEntry,
    StreamLog,
    build_frame,
    parse_frame,
)

STREAM = bytes(range(32))


def _entry(number: int, size: int = 20) -> LogEntry:
    return LogEntry(number, bytes([number % 256]) * 32, b'{"data":{},"id":"%d%s"}' % (number, b"x" * size))


def _contents(log: StreamLog) -> list[bytes]:
    return [entry.content for frame in log.frames(log.start) for entry in frame.entries]


def _written(path: Path, groups: list[int]) -> list[int]:
    """A log of as many entries in each frame; gives where each frame ends."""
    log, ends, number = StreamLog(path, STREAM), [FILE_HEADER_BYTES], 0
    for count in groups:
        log.append([_entry(number + place) for place in range(count)])
        number += count
        ends.append(log.end.offset)
    log.close()
    return ends


def test_entries_are_there_after_reopening(tmp_path: Path) -> None:
    _written(tmp_path / "log", [1, 3, 2])
    log = StreamLog(tmp_path / "log", STREAM)
    assert _contents(log) == [_entry(number).content for number in range(6)]
    assert log.append([_entry(6)]) == 6
    assert log.torn_bytes == 0


def test_a_tail_torn_at_any_byte_is_cut_off_and_set_aside(tmp_path: Path) -> None:
    ends = _written(tmp_path / "log", [2, 1, 2])
    whole = (tmp_path / "log").read_bytes()
    for size in range(FILE_HEADER_BYTES, len(whole)):
        path = tmp_path / f"torn-{size}"
        path.write_bytes(whole[:size])
        log = StreamLog(path, STREAM)
        sound = max(end for end in ends if end <= size)
        assert log.end.offset == sound
        assert log.torn_bytes == size - sound
        if size > sound:
            assert path.with_name(f"{path.name}.torn-{sound}").read_bytes() == whole[sound:size]
        first = log.append([_entry(99)])
        assert first == [0, 2, 3][ends.index(sound)]
        assert _contents(log)[-1] == _entry(99).content
        log.close()


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    spoiled=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=6),
)
def test_a_last_frame_of_which_any_sectors_never_arrived_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int], spoiled: list[tuple[float, int]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    ends = _written(path, groups)
    data = bytearray(path.read_bytes())
    for where, mask in spoiled:
        data[ends[-2] + int(where * (ends[-1] - ends[-2]))] ^= mask
    if bytes(data) == path.read_bytes():
        return  # two of them undid each other
    path.write_bytes(data)
    log = StreamLog(path, STREAM)
    assert log.end.index == sum(groups[:-1])
    log.close()


def test_damage_before_a_sound_frame_is_refused_and_names_the_last_good_entry(tmp_path: Path) -> None:
    ends = _written(tmp_path / "log", [2, 1, 2])
    whole = (tmp_path / "log").read_bytes()
    for at in range(ends[1], ends[2]):
        path = tmp_path / "damaged"
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(StoreDamagedError, match=rf"byte {ends[1]}; the last good entry is 1;"):
            StreamLog(path, STREAM)
        assert path.read_bytes()[:at] == whole[:at]


def test_a_frame_that_was_taken_out_is_damage(tmp_path: Path) -> None:
    ends = _written(tmp_path / "log", [2, 1, 2])
    whole = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(whole[: ends[1]] + whole[ends[2] :])
    with pytest.raises(StoreDamagedError):
        StreamLog(tmp_path / "log", STREAM)


def test_more_rubbish_than_any_frame_is_no_torn_tail(tmp_path: Path) -> None:
    _written(tmp_path / "log", [1])
    with (tmp_path / "log").open("ab") as file:
        file.truncate((17 << 20) + 500)
    with pytest.raises(StoreDamagedError, match="last good entry is 0"):
        StreamLog(tmp_path / "log", STREAM)


@pytest.mark.parametrize("at", [0, 20, 50, FILE_HEADER_BYTES - 1])
def test_a_file_with_another_header_is_no_log(tmp_path: Path, at: int) -> None:
    _written(tmp_path / "log", [1])
    data = bytearray((tmp_path / "log").read_bytes())
    data[at] ^= 1
    (tmp_path / "log").write_bytes(data)
    with pytest.raises(StoreDamagedError, match="not a log"):
        StreamLog(tmp_path / "log", STREAM)


def test_another_streams_log_is_refused(tmp_path: Path) -> None:
    _written(tmp_path / "log", [1])
    with pytest.raises(SettingsError, match="is the log of stream"):
        StreamLog(tmp_path / "log", bytes(32))


def test_an_events_bytes_cannot_pose_as_a_frame(tmp_path: Path) -> None:
    """Somebody sends an event that holds a frame of another file; a torn tail with it stays a torn tail."""
    _written(tmp_path / "log", [1])
    log = StreamLog(tmp_path / "log", STREAM)
    posing = build_frame(bytes(16), bytes(16), 0, [_entry(0)])
    log.append([LogEntry(0, bytes(32), posing)])
    log.close()
    data = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(data[:-1])
    assert StreamLog(tmp_path / "log", STREAM).end.index == 1


@contextmanager
def _file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_takes_nothing_and_the_log_goes_on_when_there_is_room(tmp_path: Path) -> None:
    log = StreamLog(tmp_path / "log", STREAM)
    log.append([_entry(0)])
    with _file_size_limit(log.end.offset + 100):  # room for a part of the frame: a short write, then an error
        for _ in range(2):
            with pytest.raises(LogFullError, match="free space"):
                log.append([_entry(1, 500)])
    assert log.end.index == 1
    assert log.append([_entry(1)]) == 1
    log.close()
    reopened = StreamLog(tmp_path / "log", STREAM)
    assert _contents(reopened) == [_entry(0).content, _entry(1).content]
    assert reopened.torn_bytes == 0


class _Sync:
    """fdatasync that fails as often as it is told."""

    def __init__(self) -> None:
        self.failures = 0

    def __call__(self, descriptor: int) -> None:
        os.fdatasync(descriptor)
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_what_a_failed_synchronisation_left_behind_is_not_in_the_log(tmp_path: Path) -> None:
    sync = _Sync()
    log = StreamLog(tmp_path / "log", STREAM, sync=sync)
    log.append([_entry(0)])
    sync.failures = 2  # the second hits the mending
    for _ in range(2):
        with pytest.raises(LogError, match="send the batch again"):
            log.append([_entry(1)])
    assert log.append([_entry(2)]) == 1
    assert _contents(log) == [_entry(0).content, _entry(2).content]
    log.close()
    assert _contents(StreamLog(tmp_path / "log", STREAM)) == [_entry(0).content, _entry(2).content]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_log_that_lost_its_name_takes_no_more(tmp_path: Path, replaced: bool) -> None:
    path, away = tmp_path / "log", tmp_path / "away"
    log = StreamLog(path, STREAM)
    log.append([_entry(0)])
    path.rename(away)
    if replaced:
        StreamLog(path, STREAM).close()
    with pytest.raises(LogError, match="log was removed or replaced while it was in use"):
        log.append([_entry(1)])
    away.rename(path)
    log.append([_entry(1)])
    log.close()
    assert len(_contents(StreamLog(path, STREAM))) == 2


def test_a_log_that_lost_its_last_entries_while_open_takes_no_more(tmp_path: Path) -> None:
    sync = _Sync()
    log = StreamLog(tmp_path / "log", STREAM, sync=sync)
    log.append([_entry(0)])
    sync.failures = 1
    with pytest.raises(LogError):
        log.append([_entry(1)])
    with (tmp_path / "log").open("r+b") as file:
        file.seek(FILE_HEADER_BYTES + 60)
        file.write(b"\xff")
    with pytest.raises(LogError, match="has lost its latest entries"):
        log.append([_entry(1)])


@given(st.binary(max_size=300), st.integers(0, 20))
def test_no_bytes_make_the_parser_fail(data: bytes, at: int) -> None:
    assert parse_frame(data, at, b"m" * 16) is None


# The index of known events


def test_the_index_is_rebuilt_when_it_is_lost_or_broken(tmp_path: Path) -> None:
    _written(tmp_path / "log", [2, 2])
    log = StreamLog(tmp_path / "log", STREAM)
    name = "3" + "x" * 20
    path = tmp_path / "known"
    DedupIndex(path, log).close()
    for spoil in (path.unlink, lambda: path.write_bytes(b"rubbish" * 1000), lambda: None):
        spoil()
        known = DedupIndex(path, log)
        assert known.find([name, "absent"]) == {name: _entry(3).content}
        known.close()


def test_the_index_catches_up_with_what_a_killed_process_left_out(tmp_path: Path) -> None:
    log = StreamLog(tmp_path / "log", STREAM)
    known = DedupIndex(tmp_path / "known", log)
    log.append([_entry(0)])
    known.close()
    reopened = DedupIndex(tmp_path / "known", log)
    assert reopened.find(["0" + "x" * 20]) == {"0" + "x" * 20: _entry(0).content}
    reopened.close()


def test_a_damaged_or_cut_index_is_not_trusted(tmp_path: Path) -> None:
    _written(tmp_path / "log", [2])
    log, path = StreamLog(tmp_path / "log", STREAM), tmp_path / "known"
    DedupIndex(path, log).close()
    whole, ids = path.read_bytes(), ["0" + "x" * 20, "1" + "x" * 20]
    for data in (whole[:20] + bytes(1) + whole[21:], whole[:100], whole[:-4096], b""):
        path.write_bytes(data)
        known = DedupIndex(path, log)
        assert list(known.find(ids)) == ids
        known.close()


def test_an_index_is_trusted_until_the_next_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was never synchronised, a power cut leaves anything."""
    _written(tmp_path / "log", [2])
    log, path, name = StreamLog(tmp_path / "log", STREAM), tmp_path / "known", "1" + "x" * 20
    DedupIndex(path, log).close()
    header = path.read_bytes()[:4096]
    lost = header + bytes(path.stat().st_size - len(header))
    for boot, found in (("/proc/sys/kernel/random/boot_id", []), (str(tmp_path / "other"), [name])):
        path.write_bytes(lost)
        (tmp_path / "other").write_text("another boot")
        monkeypatch.setattr("millmark.services.node.streamlog._BOOT_ID", Path(boot))
        known = DedupIndex(path, log)
        assert list(known.find([name])) == found
        known.close()


def test_an_index_that_is_ahead_of_its_place_doubles_nothing(tmp_path: Path) -> None:
    """As a kill between the slots and the place leaves it."""
    log, path = StreamLog(tmp_path / "log", STREAM), tmp_path / "known"
    log.append([_entry(0)])
    DedupIndex(path, log).close()
    before = path.read_bytes()[:4096]
    log.append([_entry(number) for number in range(1, 100)])
    DedupIndex(path, log).close()
    filled = path.read_bytes()
    path.write_bytes(before + filled[4096:])
    DedupIndex(path, log).close()
    assert path.read_bytes() == filled


def test_the_index_grows_and_still_knows_the_first_and_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("millmark.services.node.streamlog._FIRST_SLOTS", 1 << 13)
    log, path, many, each = StreamLog(tmp_path / "log", STREAM), tmp_path / "known", 4500, 900
    known = DedupIndex(path, log)
    small = path.stat().st_size
    for start in range(0, many, each):
        entries = [LogEntry(0, bytes(32), b'{"data":{},"id":"%d"}' % number) for number in range(start, start + each)]
        log.append(entries)
        with _file_size_limit(small if start + each == many else resource.RLIM_INFINITY):
            if (
                start + each == many
            ):  # no room for the larger table: the log has the entries, and the index takes them later
                with pytest.raises(OSError, match="too large"):
                    known.find(["0"])
        ids = [str(number) for number in (0, start, start + each - 1, many)]
        assert set(known.find(ids)) == set(ids[:3])
    assert path.stat().st_size == small + 4 * (small - (64 << 10))
    known.close()
    again = DedupIndex(path, log)
    assert again.find(["4499"]) == {"4499": b'{"data":{},"id":"4499"}'}
    again.close()


def test_an_index_for_which_there_is_no_room_is_told(tmp_path: Path) -> None:
    log = StreamLog(tmp_path / "log", STREAM)
    with _file_size_limit(1 << 20), pytest.raises(StoreError, match="check the disk of the data folder"):
        DedupIndex(tmp_path / "known", log)
    DedupIndex(tmp_path / "known", log).close()


def test_ids_of_one_hash_are_told_apart_by_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot that says what another id's would say."""
    log, path = StreamLog(tmp_path / "log", STREAM), tmp_path / "known"
    known = DedupIndex(path, log)
    log.append([_entry(0), _entry(1)])
    names = ["0" + "x" * 20, "1" + "x" * 20]
    known.find(names)
    monkeypatch.setattr(known, "_hash", lambda _: 7 << 44)  # two such ids would take years to find
    log.append([_entry(2), _entry(3)])
    more = ["2" + "x" * 20, "3" + "x" * 20]
    assert known.find([*more, "4"]) == {more[0]: _entry(2).content, more[1]: _entry(3).content}
    known.close()


@pytest.mark.parametrize("offset", [1, 5, FILE_HEADER_BYTES + 49, 1 << 40])
def test_a_slot_that_points_at_no_entry_is_passed_over(tmp_path: Path, offset: int) -> None:
    log = StreamLog(tmp_path / "log", STREAM)
    known = DedupIndex(tmp_path / "known", log)
    log.append([_entry(0)])
    name = "0" + "x" * 20
    table, number = known._tables[0], known._hash(name)
    table.slots[number & table.mask] = number >> 44 << 44 | offset
    assert known.find([name]) == {name: _entry(0).content}
    known.close()


def test_a_log_shorter_than_what_was_acknowledged_is_refused(tmp_path: Path) -> None:
    """The last frame damaged on the disk looks like a torn one; the index knows better."""
    _written(tmp_path / "log", [2, 1])
    log = StreamLog(tmp_path / "log", STREAM)
    DedupIndex(tmp_path / "known", log).close()
    log.close()
    data = (tmp_path / "log").read_bytes()
    (tmp_path / "log").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    cut = StreamLog(tmp_path / "log", STREAM)
    with pytest.raises(StoreDamagedError, match="has 2 entries, but 3 were acknowledged"):
        DedupIndex(tmp_path / "known", cut)
