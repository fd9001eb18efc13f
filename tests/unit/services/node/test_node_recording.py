"""From log to outbox: whatever dies in between, each anchor and each certificate is queued once, and rightly."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.chain import call_data
from millmark.ledger.errors import SettingsError, StoreDamagedError, StoreError
from millmark.ledger.evidence import LeafKind, build_leaf_data
from millmark.ledger.merkle import EMPTY_ROOT, Tree, leaf_hash
from millmark.ledger.records import Anchor
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.book import prune_files
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry
from millmark.ledger.store.rows import EvidenceRow
from millmark.services.node.config import AnchorRule
from millmark.services.node.evidence_recorder import MerkleFrontier, read_resume_point
from millmark.services.node.streamlog import LogEntry, StreamLog
from millmark.services.node.windows import Draft, Drafts, Windows
from tests.support.node_recording import (
    LOTS,
    SIGNER,
    STREAM,
    WIDTH,
    DiedError,
    Site,
    part,
    plain,
)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.store, closing(made.log):
        yield made


@pytest.fixture(params=["rows", "files"])
def either(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    """With the content of the log in the database, and in files."""
    made = Site(tmp_path, tmp_path / "evidence" if request.param == "files" else None)
    with made.store, closing(made.log):
        yield made


def test_anchors_come_by_count(site: Site) -> None:
    site.add(*[plain(number) for number in range(25)])
    site.recorder(AnchorRule(count=10, seconds=1000)).step()
    assert site.anchors() == site.expected_anchors(10, 20)


def test_anchors_come_by_size(site: Site) -> None:
    large: list[Json] = [{"data": {"text": "x" * 500}, "id": str(number)} for number in range(5)]
    site.add(*large)
    site.recorder(AnchorRule(count=1000, seconds=1000, bytes=1024)).step()
    assert site.anchors() == site.expected_anchors(2, 4)


def test_anchors_come_by_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("millmark.services.node.evidence_recorder.time.monotonic", lambda: now[0])
    site.add(plain(0))
    recorder = site.recorder(AnchorRule(seconds=5))
    for seconds, anchors in ((4.0, 0), (1.0, 1), (5.0, 1)):
        recorder.step()
        now[0] += seconds
        recorder.step()
        assert len(site.anchors()) == anchors


@pytest.mark.parametrize(
    "die", ["before drafts", "after drafts", "before queueing", "while queueing", "after queueing"]
)
def test_a_death_at_any_step_leaves_nothing_out_and_doubles_nothing(
    either: Site, die: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The recorder dies at each anchor, again and again; the next one goes on from the disk alone. The three windows
    come after all events, in the last anchor."""
    rule, site = AnchorRule(count=4, seconds=1000), either
    for number, lot in enumerate(LOTS):
        site.add(*[plain(10 * number + place) for place in range(3)], part(number, lot))
    site.add(plain(99))
    for _ in range(4):
        with pytest.raises(DiedError):
            site.recorder(rule, die).step()
    site.recorder(rule).step()
    assert site.anchors() == site.expected_anchors(4, 8, 12, 16)
    assert site.windows() == [("window/3/0", 13), ("window/7/0", 14), ("window/11/0", 15)]
    kinds = [(record.kind, record.depends_on) for record in site.queued()]
    last = [record.idempotency_key for record in site.queued() if record.kind == "Anchor"][-1]
    assert kinds == [("Anchor", None)] * 4 + [("IssueCertificate", last)] * 3
    drafts = [draft.key for _, found in Drafts(site.folder / "drafts", site.store)._all() for draft in found]
    certificates = [record.idempotency_key for record in site.queued() if record.kind == "IssueCertificate"]
    assert sorted(drafts) == sorted(certificates)
    if site.store.evidence is not None:
        with site.store.reading() as connection:
            named = {row.file for row in Rows(connection).find(EvidenceRow, stream=STREAM)}
        monkeypatch.setattr("millmark.ledger.store.book._AGE_S", -1)
        prune_files(site.store)
        assert set(site.store.evidence.names(STREAM)) == named, "what the deaths left is gone, and nothing else"


def test_a_disk_that_cannot_take_files_delays_records_and_loses_none(tmp_path: Path) -> None:
    site = Site(tmp_path, tmp_path / "evidence")
    with site.store, closing(site.log):
        assert site.store.evidence is not None
        site.add(*[plain(number) for number in range(9)])
        recorder = site.recorder(AnchorRule(count=4, seconds=1000))
        site.store.evidence.folder.rename(tmp_path / "away")
        for _ in range(2):
            with pytest.raises(StoreError, match="is not a folder"):
                recorder.step()
            site.add(plain(99))  # captured all the same
        (tmp_path / "away").rename(site.store.evidence.folder)
        recorder.step()
        assert site.anchors() == site.expected_anchors(4, 8)


def test_a_step_that_failed_is_made_up_for_by_the_same_recorder(site: Site) -> None:
    site.add(*[plain(number) for number in range(9)])
    recorder = site.recorder(AnchorRule(count=4, seconds=1000), "while queueing")
    for _ in range(2):
        with pytest.raises(DiedError):
            recorder.step()
    recorder._store = site.store
    recorder.step()
    assert site.anchors() == site.expected_anchors(4, 8)


def test_a_log_shorter_than_its_anchors_is_refused(site: Site) -> None:
    site.add(*[plain(number) for number in range(4)])
    site.recorder(AnchorRule(count=4)).step()
    site.log.close()
    (site.folder / "log").unlink()
    site.log = StreamLog(site.folder / "log", STREAM)
    with pytest.raises(StoreDamagedError, match="has 0 entries, but 4 are anchored"):
        site.recorder(AnchorRule())


def test_a_start_reads_what_came_after_the_resume_point(site: Site) -> None:
    """Entries before it can be gone from the disk unnoticed; what is in front of any frame is chained to them."""
    rule = AnchorRule(count=10, seconds=1000)
    for start in range(0, 40, 4):
        site.add(*[plain(number) for number in range(start, start + 4)])
    site.recorder(rule).step()
    expected = site.expected_anchors(10, 20, 30, 40)
    whole = site.log.path.read_bytes()
    known = read_resume_point(site.resume_path)
    assert known is not None
    assert (known.peaks.size, known.position.index) == (40, 40)
    site.log.path.write_bytes(whole[:200] + bytes(8) + whole[208:])
    with pytest.raises(StoreDamagedError):
        StreamLog(site.log.path, STREAM)
    site.log = StreamLog(site.log.path, STREAM, known=known.position)
    site.add(*[plain(number) for number in range(40, 50)])
    site.recorder(rule).step()
    assert site.anchors()[:4] == expected
    tree = Tree([leaf_hash(build_leaf_data(LeafKind.EVENT, b"s" * 32, plain(number))) for number in range(50)])
    assert site.anchors()[4:] == [call_data(Anchor(STREAM, 50, tree.root()))]


def test_a_resume_point_within_a_frame_goes_on_within_it(site: Site) -> None:
    rule = AnchorRule(count=10, seconds=1000)
    site.add(*[plain(number) for number in range(25)])
    site.recorder(rule).step()
    known = read_resume_point(site.resume_path)
    assert known is not None
    assert (known.peaks.size, known.position) == (20, site.log.start)
    site.add(*[plain(number) for number in range(25, 31)])
    site.recorder(rule).step()
    assert site.anchors() == site.expected_anchors(10, 20, 30)


@pytest.mark.parametrize("harm", ["other position", "other peak", "other size", "cut off", "no JSON", "empty"])
def test_a_resume_point_that_is_not_as_it_was_written_counts_for_nothing(site: Site, harm: str) -> None:
    rule = AnchorRule(count=10, seconds=1000)
    site.add(*[plain(number) for number in range(12)])
    site.recorder(rule).step()
    found = json.loads(site.resume_path.read_bytes())
    changed = {
        "other position": json.dumps({**found, "index": found["index"] + 1}),
        "other peak": json.dumps({**found, "peaks": ["00" * 32, *found["peaks"][1:]]}),
        "other size": json.dumps({**found, "size": 8}),
        "cut off": json.dumps(found)[:-9],
        "no JSON": "resume",
        "empty": "",
    }
    site.resume_path.write_text(changed[harm])
    assert read_resume_point(site.resume_path) is None
    site.add(*[plain(number) for number in range(12, 20)])
    site.recorder(rule).step()
    assert site.anchors() == site.expected_anchors(10, 20)


def test_a_resume_point_of_another_log_is_not_believed(site: Site, tmp_path: Path) -> None:
    site.add(*[plain(number) for number in range(10)])
    site.recorder(AnchorRule(count=10, seconds=1000)).step()
    known = read_resume_point(site.resume_path)
    assert known is not None
    with closing(StreamLog(tmp_path / "other", STREAM)) as other:
        other.append([LogEntry(0, b"t" * 32, canonical_json(plain(number))) for number in range(10)])
    with closing(StreamLog(tmp_path / "other", STREAM, known=known.position)) as again:
        assert not again.holds(known.position)
        assert again.end.index == 10, "it was read from its beginning"


def test_unfinished_windows_keep_the_resume_point_before_them(site: Site) -> None:
    """Or the next start would cut the lot's windows elsewhere."""
    rule = AnchorRule(count=2, seconds=1000)
    half: dict[str, Json] = {"data": {"samples": [1] * (WIDTH // 2)}, "lot": LOTS[0]}
    site.add(plain(0), plain(1), {**half, "id": "first"}, plain(2))
    site.recorder(rule).step()
    known = read_resume_point(site.resume_path)
    assert known is not None
    assert known.peaks.size == 2
    site.add({**half, "id": "second"}, plain(3))
    site.recorder(rule).step()
    assert site.windows() == [("window/4/0", 6)]
    known = read_resume_point(site.resume_path)
    assert known is not None
    assert known.peaks.size == 2, "the window is not certified yet"
    site.add(plain(4))
    site.recorder(rule).step()
    assert [record.kind for record in site.queued()].count("IssueCertificate") == 1
    assert len(site.windows()) == 1
    known = read_resume_point(site.resume_path)
    assert known is not None
    assert known.peaks.size == 8


def test_the_ledgers_anchor_has_to_be_of_this_log(site: Site) -> None:
    site.add(*[plain(number) for number in range(6)])
    recorder = site.recorder(AnchorRule(count=3))
    recorder.step()
    recorder.verify_anchored(0, EMPTY_ROOT)
    with site.store.reading() as connection:
        tree = Book(connection).evidence(STREAM).tree
    for size in range(1, 7):
        recorder.verify_anchored(size, tree.root(size))
        with pytest.raises(StoreDamagedError, match="differ from those anchored on the ledger"):
            recorder.verify_anchored(size, tree.root(size - 1))
    with pytest.raises(SettingsError, match="older than the ledger"):
        recorder.verify_anchored(7, bytes(32))


def test_inferences_move_into_the_book_when_their_certificates_are_final(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, drafts = Outbox(site.store), Drafts(site.folder / "drafts", site.store)
    drafts.put("a", [Draft("one", b"s" * 32, b"windows.", (1, -2))])
    outbox.enqueue(SIGNER, [Entry("one", "ledger", "IssueCertificate", b"payload")])
    drafts.drop_orphans()
    drafts.settle()
    assert len(list((site.folder / "drafts").iterdir())) == 1
    with site.store.transaction() as connection:
        connection.exec_driver_sql("UPDATE outbox_records SET state = 'final', sequence = 41")
    drafts.settle()
    with site.store.reading() as connection:
        row = Book(connection).inference(41)
    assert row is not None
    assert (row.salt, row.window, json.loads(row.logits)) == (b"s" * 32, b"windows.", [1, -2])
    assert list((site.folder / "drafts").iterdir()) == []


# What is pure


@given(st.lists(st.integers(0, 40), max_size=6))
def test_peaks_have_the_root_of_the_whole_tree(groups: list[int]) -> None:
    peaks = MerkleFrontier()
    leaves: list[bytes] = []
    for group in groups:
        some = [leaf_hash(bytes([len(leaves) + number])) for number in range(group)]
        peaks.extend(some)
        leaves += some
        assert (peaks.size, peaks.root()) == (len(leaves), Tree(leaves).root())
        assert MerkleFrontier(peaks.size, peaks.peaks).root() == peaks.root()


@given(
    width=st.integers(1, 9),
    hop=st.integers(1, 15),
    cuts=st.lists(st.integers(1, 7), max_size=20),
    build=st.just(lambda start, count: list(range(start, start + count))),
)
def test_windows_are_those_of_the_whole_signal(
    width: int, hop: int, cuts: list[int], build: Callable[[int, int], list[int]]
) -> None:
    windows, found, start = Windows(width, hop), [], 0
    for leaf, count in enumerate(cuts):
        found += [window.samples for window in windows.feed(leaf, "a", None, build(start, count))]
        windows.feed(leaf, "b", None, [7] * count)  # another lot's are its own
        start += count
    assert found == [tuple(range(at, at + width)) for at in range(0, start - width + 1, hop)]
