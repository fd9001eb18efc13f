"""From log to outbox: whatever dies in between, each anchor and each certificate is queued once, and rightly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

from ledger.canonical import Json, canonical_json
from ledger.chain import Chain, call_data
from ledger.errors import ChainUnreachableError, SettingsError, StoreDamagedError
from ledger.evidence import LeafKind, build_leaf_data, build_window_commitment
from ledger.merkle import EMPTY_ROOT, Tree, leaf_hash
from ledger.records import Anchor, Contract
from ledger.store import Book, Rows, Store
from ledger.store.outbox import Entry, Outbox, QueuedRecord
from ledger.store.rows import LotRow
from services.node.config import AnchorRule, ModelSource
from services.node.dead_letters import DeadLetters, read_dead_letters
from services.node.drafts import Draft, Drafts
from services.node.events import Event
from services.node.evidence_recorder import StreamRecorder
from services.node.frames import LogEntry
from services.node.inspection import Certifier, load_inspector
from services.node.lots import Lots
from services.node.merkle_frontier import MerkleFrontier
from services.node.metrics import Metrics
from services.node.resume import read_resume_point
from services.node.streamlog import StreamLog
from services.node.windows import Windows, is_window, parse_window
from services.serving.logs import build_logger
from tests.support.stores import new_store

STREAM, SIGNER = bytes(range(32)), b"k" * 20
WIDTH = 500
MODELS = Path(__file__).parents[4] / "quality" / "models"
MODEL = ModelSource(
    file=MODELS / "forda.bin", number=1, field="samples", width=WIDTH, hop=WIDTH, stream="bench", validity_days=1
)
LOTS = ["0x" + bytes([number] * 32).hex() for number in (1, 2, 3)]


class _Ledger:
    """What the contract says of lots and orders: by default, the lots are there, and belong to no order."""

    def __init__(self) -> None:
        self.orders: dict[str, int] = dict.fromkeys(LOTS, 0)
        """Sequence of each lot's order."""
        self.sequences: dict[str, int] = {}
        """Sequence of each order."""
        self.silent = False

    def read_struct(self, _: Contract, function: str, subject: bytes) -> dict[str, int]:
        if self.silent:
            raise ChainUnreachableError("the node does not answer")
        name = "0x" + subject.hex()
        if function == "orderOf":
            return {"sequence": self.sequences.get(name, 0)}
        return {"number": 64 if name in self.orders else 0, "order": self.orders.get(name, 0)}


class _DiedError(Exception):
    pass


class _Drafts(Drafts):
    """Dies before or after it put something away, as often as it is told."""

    die: str = ""

    def put(self, name: str, drafts: object) -> None:
        if self.die == "before drafts":
            raise _DiedError
        super().put(name, drafts)  # type: ignore[arg-type]  # as it came
        if self.die == "after drafts":
            raise _DiedError


class _Store(Store):
    """Dies around the transaction in which an anchor is queued, or in it."""

    def __init__(self, store: Store, die: str) -> None:
        super().__init__(store._engine)
        self.die = die

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        if self.die == "before queueing":
            raise _DiedError
        with super().transaction() as connection:
            yield connection
            if self.die == "while queueing":
                raise _DiedError
        if self.die == "after queueing":
            raise _DiedError


class Site:
    """A log and a store; recorders come and go."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store: Store = new_store(folder)
        self.log = StreamLog(folder / "log", STREAM)
        (folder / "drafts").mkdir()
        self.resume_path = folder / "resume"
        self.ledger = _Ledger()
        self.refused = Metrics().refused
        self.told: list[str] = []
        """Reasons why entries got no certificate."""

    def tell(self, _: int, reason: str) -> None:
        self.told.append(reason)

    def recorder(self, rule: AnchorRule, die: str = "") -> StreamRecorder:
        dead = DeadLetters(self.folder / "dead", self.refused)
        lots = Lots(self.store)
        lots.connect(cast(Chain, self.ledger))
        certifier = Certifier(
            STREAM, (1, b"l" * 20), MODEL, load_inspector(MODEL), self.store, self.folder, dead, lots, self.tell
        )
        drafts = _Drafts(self.folder / "drafts", self.store)
        drafts.drop_orphans()
        drafts.die = die
        logger = build_logger()
        store = _Store(self.store, die)
        return StreamRecorder(
            "bench", STREAM, self.log, store, SIGNER, rule, drafts, logger, certifier, self.resume_path, self.write
        )

    def write(self, windows: Sequence[Event]) -> None:
        self.log.append([LogEntry(10**12, b"w" * 32, window.content) for window in windows])

    def add(self, *contents: Json) -> None:
        self.log.append([LogEntry(10**12, b"s" * 32, canonical_json(content)) for content in contents])

    def windows(self) -> list[tuple[str, int]]:
        """Id and index of each window in the log."""
        entries = [entry for frame in self.log.frames(self.log.start) for entry in frame.entries]
        return [
            (parse_window(entry.content).id, index) for index, entry in enumerate(entries) if is_window(entry.content)
        ]

    def queued(self) -> list[QueuedRecord]:
        return Outbox(self.store).unfinished(1000)

    def certified(self) -> list[int]:
        """Leaf of each certificate's window's last event, in the order of the outbox, of all states."""
        found = reversed(Outbox(self.store).page(2**40, 1000, None))
        return [int(one.idempotency_key.split("/")[3]) for one in found if one.kind == "IssueCertificate"]

    def settle(self, leaf: int, state: str) -> None:
        """Lets the certificate of an event's window become final, or fail."""
        with self.store.transaction() as connection:
            connection.exec_driver_sql(
                f"UPDATE outbox_records SET state = '{state}' WHERE idempotency_key LIKE '%/{leaf:013d}/0000'"  # noqa: S608 - of this test
            )

    def letters(self) -> list[tuple[str, str]]:
        return [(one.reason, one.request_id) for one in read_dead_letters(self.folder / "dead", 100)]

    def anchors(self) -> list[bytes]:
        return [record.payload for record in self.queued() if record.kind == "Anchor"]

    def expected_anchors(self, *sizes: int) -> list[bytes]:
        entries = [entry for frame in self.log.frames(self.log.start) for entry in frame.entries]
        with self.store.reading() as connection:
            kept = Book(connection).evidence(STREAM)
        contents = [entry.content for entry in entries[: kept.tree.size]]
        plain = [parse_window(one).entry if is_window(one) else json.loads(one) for one in contents]
        assert plain == [one.entry for one in kept.entries]
        return [call_data(Anchor(STREAM, size, kept.tree.root(size))) for size in sizes]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    with made.store, closing(made.log):
        yield made


def _plain(number: int) -> Json:
    return {"data": {"n": number}, "id": f"e{number}"}


SOUND, FAULTY = 5, 35
"""Periods of a tone, in samples, that the model passes and fails."""


def _part(number: int, lot: str, period: int = SOUND) -> Json:
    samples = [int(1_000_000 * math.sin(2 * math.pi * place / period)) for place in range(WIDTH)]
    return {"data": {"samples": samples}, "id": f"p{number}", "lot": lot}


def test_anchors_come_by_count(site: Site) -> None:
    site.add(*[_plain(number) for number in range(25)])
    site.recorder(AnchorRule(count=10, seconds=1000)).step()
    assert site.anchors() == site.expected_anchors(10, 20)


def test_anchors_come_by_size(site: Site) -> None:
    large: list[Json] = [{"data": {"text": "x" * 500}, "id": str(number)} for number in range(5)]
    site.add(*large)
    site.recorder(AnchorRule(count=1000, seconds=1000, bytes=1024)).step()
    assert site.anchors() == site.expected_anchors(2, 4)


def test_anchors_come_by_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("services.node.evidence_recorder.time.monotonic", lambda: now[0])
    site.add(_plain(0))
    recorder = site.recorder(AnchorRule(seconds=5))
    for seconds, anchors in ((4.0, 0), (1.0, 1), (5.0, 1)):
        recorder.step()
        now[0] += seconds
        recorder.step()
        assert len(site.anchors()) == anchors


@pytest.mark.parametrize(
    "die", ["before drafts", "after drafts", "before queueing", "while queueing", "after queueing"]
)
def test_a_death_at_any_step_leaves_nothing_out_and_doubles_nothing(site: Site, die: str) -> None:
    """The recorder dies at each anchor, again and again; the next one goes on from the disk alone. The three windows
    come after all events, in the last anchor."""
    rule = AnchorRule(count=4, seconds=1000)
    for number, lot in enumerate(LOTS):
        site.add(*[_plain(10 * number + place) for place in range(3)], _part(number, lot))
    site.add(_plain(99))
    for _ in range(4):
        with pytest.raises(_DiedError):
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


def test_a_step_that_failed_is_made_up_for_by_the_same_recorder(site: Site) -> None:
    site.add(*[_plain(number) for number in range(9)])
    recorder = site.recorder(AnchorRule(count=4, seconds=1000), "while queueing")
    for _ in range(2):
        with pytest.raises(_DiedError):
            recorder.step()
    recorder._store = site.store
    recorder.step()
    assert site.anchors() == site.expected_anchors(4, 8)


def test_a_lot_that_failed_is_not_certified_again(site: Site) -> None:
    """Once its failing certificate is final. Also over a restart after each anchor, and over one that made that
    certificate anew."""
    rule = AnchorRule(count=4, seconds=1000)
    turns = [(SOUND, SOUND), (FAULTY, SOUND), (SOUND, FAULTY), (SOUND, SOUND)]
    for turn, periods in enumerate(turns):
        site.add(*[_part(2 * turn + place, LOTS[place], period) for place, period in enumerate(periods)])
        with pytest.raises(_DiedError):
            site.recorder(rule, "before queueing").step()
        site.recorder(rule).step()
        for leaf in site.certified():
            site.settle(leaf, "final")
    assert site.certified() == [0, 1, 4, 5, 9], "two windows after each two events"
    assert {reason for reason, _ in site.letters()} == {"lot-failed"} == set(site.told)
    told = generate_latest(site.refused).decode()
    assert 'millmark_node_refused_total{reason="lot-failed",source="certificate"} 3.0' in told


def test_while_a_failing_certificate_is_on_its_way_later_windows_of_the_lot_wait(site: Site) -> None:
    """Over a restart, too. Refused by the contract, it is no verdict: they are certified, after all."""
    rule = AnchorRule(count=3, seconds=1000)
    site.add(_part(0, LOTS[0], FAULTY), _part(1, LOTS[0]), _part(2, LOTS[1]))
    site.recorder(rule).step()
    assert site.certified() == [0, 2]
    recorder = site.recorder(rule)
    recorder.step()
    assert site.certified() == [0, 2]
    assert recorder.waiting == 1
    site.settle(0, "failed")
    recorder._look_at_s = 0
    recorder.step()
    assert site.certified() == [0, 2, 1]
    last = [record.idempotency_key for record in site.queued() if record.kind == "Anchor"][-1]
    assert {record.depends_on for record in site.queued() if record.kind == "IssueCertificate"} == {last}
    assert site.letters() == []
    site.recorder(rule).step()
    assert site.certified() == [0, 2, 1], "and not once more"


def test_final_it_refuses_those_that_waited_once(site: Site) -> None:
    rule = AnchorRule(count=2, seconds=1000)
    site.add(_part(0, LOTS[0], FAULTY), _part(1, LOTS[0]))
    site.recorder(rule).step()
    site.settle(0, "final")
    for _ in range(2):
        site.recorder(rule).step()
    assert site.certified() == [0]
    assert site.letters() == [("lot-failed", "leaf-3")]


ORDER = "0x" + "0f" * 32


@pytest.mark.parametrize(
    ("stated", "belongs", "reason"),
    [
        (None, 7, "order-missing"),
        (ORDER, 8, "order-wrong"),
        (ORDER, 0, "order-wrong"),
        ("0x" + "00" * 32, 7, "order-wrong"),
        ("0x" + "11" * 32, 7, "order-wrong"),
    ],
)
def test_no_certificate_is_made_for_the_wrong_order(site: Site, stated: str | None, belongs: int, reason: str) -> None:
    """Nor is the lot remembered as failed: nobody was told of a verdict."""
    site.ledger.orders[LOTS[0]], site.ledger.sequences[ORDER] = belongs, 7
    bad = {**_part(0, LOTS[0], FAULTY), **({} if stated is None else {"order": stated})}  # type: ignore[dict-item]
    site.add(bad)
    site.recorder(AnchorRule(count=1)).step()
    assert site.certified() == []
    assert site.letters() == [(reason, "leaf-1")]
    good: Json = {**_part(1, LOTS[0], FAULTY), "order": ORDER}  # type: ignore[dict-item]
    site.ledger.orders[LOTS[0]] = 7
    site.add(good)
    site.recorder(AnchorRule(count=1)).step()
    assert site.certified() == [2]
    payload = next(record.payload for record in site.queued() if record.kind == "IssueCertificate")
    assert bytes.fromhex(ORDER[2:]) in payload


def test_the_order_is_that_of_the_index_when_the_event_names_none(site: Site) -> None:
    site.ledger.orders[LOTS[0]], site.ledger.sequences[ORDER] = 7, 7
    subject, order = bytes.fromhex(LOTS[0][2:]), bytes.fromhex(ORDER[2:])
    with site.store.transaction() as connection:
        row = LotRow(subject, 64, 1, order, None, 0, 0, 0, 1, 1, b"H87", 1, 1, 1, 0, 0, 0, 0, bytes(32))
        Rows(connection).insert([row])
    site.add(_part(0, LOTS[0]))
    site.recorder(AnchorRule(count=1)).step()
    payload = next(record.payload for record in site.queued() if record.kind == "IssueCertificate")
    assert order in payload


def test_windows_wait_for_a_chain_that_does_not_answer(site: Site) -> None:
    """Their anchor does not. After a restart, too, each is certified once, when the chain answers."""
    rule = AnchorRule(count=2, seconds=1000)
    site.ledger.silent = True
    site.add(_part(0, LOTS[0]), _part(1, LOTS[1]))
    site.recorder(rule).step()
    assert (site.certified(), len(site.anchors())) == ([], 2)
    recorder = site.recorder(rule)
    recorder.step()
    assert (site.certified(), len(site.anchors())) == ([], 2)
    site.ledger.silent = False
    recorder._look_at_s = 0
    recorder.step()
    site.recorder(rule).step()
    assert site.certified() == [0, 1]
    drafts = [draft.key for _, found in Drafts(site.folder / "drafts", site.store)._all() for draft in found]
    assert len(drafts) == 2


def test_windows_that_wait_for_the_chain_are_bounded_and_the_log_keeps_the_rest(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.node.inspection._MAX_HELD", 3)
    site.ledger.silent = True
    rule = AnchorRule(count=2, seconds=1000)
    recorder = site.recorder(rule)
    for number in range(8):
        site.add(_part(number, LOTS[number % 3]), _plain(number))
        recorder.step()
    held = recorder._certifier
    assert held is not None
    assert len(held._due) + len(held._cut) <= 5
    site.ledger.silent = False
    for _ in range(8):
        recorder._look_at_s = 0
        recorder.step()
    assert len(site.certified()) == 8
    assert site.letters() == []


def test_a_window_waits_for_the_record_of_its_lot_and_not_for_ever(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    del site.ledger.orders[LOTS[0]]
    now = [1000.0]
    monkeypatch.setattr("services.node.inspection.time.monotonic", lambda: now[0])
    site.add(_part(0, LOTS[0]), _part(1, LOTS[1]))
    recorder = site.recorder(AnchorRule(count=2, seconds=1000))
    recorder.step()
    now[0] += 500
    recorder.step()
    assert (site.certified(), site.letters()) == ([1], [])
    now[0] += 101
    recorder.step()
    assert (site.certified(), site.letters()) == ([1], [("lot-unknown", "leaf-2")])


def test_a_lot_that_nobody_knows_gets_no_certificate_and_is_listed(site: Site) -> None:
    site.add(_part(0, "https://id.gs1.org/01/09506000134352/10/X"))
    site.recorder(AnchorRule(count=1)).step()
    assert [record.kind for record in site.queued()] == ["Anchor"]
    assert [letter.reason for letter in read_dead_letters(site.folder / "dead", 9)] == ["lot-unknown"]


def test_h3_a_certificate_names_the_window_of_its_lot(site: Site) -> None:
    """A leaf that commits to lot and samples, and an input commitment that is the same."""
    half: dict[str, Json] = {"data": {"samples": [1] * (WIDTH - 100)}, "lot": LOTS[0]}
    site.add(_plain(0), {**half, "id": "first"}, _part(0, LOTS[1]), {**half, "id": "second"})
    site.recorder(AnchorRule(count=6, seconds=1000)).step()
    with site.store.reading() as connection:
        entries = Book(connection).evidence(STREAM).entries
    first, second = entries[4:]
    places = [[one.entry[name] for name in ("lot", "first", "start", "last")] for one in (first, second)]  # type: ignore[index,call-overload]
    assert places == [[LOTS[1], 2, 0, 2], [LOTS[0], 1, 0, 3]]
    assert [one.kind for one in (first, second)] == [LeafKind.WINDOW] * 2
    assert "salt" not in json.dumps(second.entry)
    payloads = [record.payload for record in site.queued() if record.kind == "IssueCertificate"]
    assert [one.leaf_hash in payload for one, payload in zip((first, second), payloads, strict=True)] == [True, True]
    ((_, drafts),) = Drafts(site.folder / "drafts", site.store)._all()
    commitments = ["0x" + build_window_commitment(draft.salt, draft.window).hex() for draft in drafts]
    assert commitments == [one.entry["commitment"] for one in (first, second)]  # type: ignore[index,call-overload]


def test_a_window_cut_with_other_settings_is_not_certified(site: Site) -> None:
    site.add(_part(0, LOTS[0]))
    site.recorder(AnchorRule(count=9, seconds=1000)).step()
    [(identity, _)] = site.windows()
    with closing(StreamLog(site.folder / "other", STREAM)) as log:
        site.log, kept = log, site.log
        samples = [2] * WIDTH
        log.append([LogEntry(0, b"s" * 32, canonical_json({"data": {"samples": samples}, "id": "x", "lot": LOTS[0]}))])
        written = [entry for frame in kept.frames(kept.start) for entry in frame.entries][1:]
        log.append(written)
        site.resume_path.unlink(missing_ok=True)
        site.recorder(AnchorRule(count=2, seconds=1000)).step()
        site.log = kept
    assert identity == "window/0/0"
    assert [record.kind for record in site.queued()] == ["Anchor"]
    assert [letter.reason for letter in read_dead_letters(site.folder / "dead", 9)] == ["window-changed"]


def test_a_log_shorter_than_its_anchors_is_refused(site: Site) -> None:
    site.add(*[_plain(number) for number in range(4)])
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
        site.add(*[_plain(number) for number in range(start, start + 4)])
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
    site.add(*[_plain(number) for number in range(40, 50)])
    site.recorder(rule).step()
    assert site.anchors()[:4] == expected
    tree = Tree([leaf_hash(build_leaf_data(LeafKind.EVENT, b"s" * 32, _plain(number))) for number in range(50)])
    assert site.anchors()[4:] == [call_data(Anchor(STREAM, 50, tree.root()))]


def test_a_resume_point_within_a_frame_goes_on_within_it(site: Site) -> None:
    rule = AnchorRule(count=10, seconds=1000)
    site.add(*[_plain(number) for number in range(25)])
    site.recorder(rule).step()
    known = read_resume_point(site.resume_path)
    assert known is not None
    assert (known.peaks.size, known.position) == (20, site.log.start)
    site.add(*[_plain(number) for number in range(25, 31)])
    site.recorder(rule).step()
    assert site.anchors() == site.expected_anchors(10, 20, 30)


@pytest.mark.parametrize("harm", ["other position", "other peak", "other size", "cut off", "no JSON", "empty"])
def test_a_resume_point_that_is_not_as_it_was_written_counts_for_nothing(site: Site, harm: str) -> None:
    rule = AnchorRule(count=10, seconds=1000)
    site.add(*[_plain(number) for number in range(12)])
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
    site.add(*[_plain(number) for number in range(12, 20)])
    site.recorder(rule).step()
    assert site.anchors() == site.expected_anchors(10, 20)


def test_a_resume_point_of_another_log_is_not_believed(site: Site, tmp_path: Path) -> None:
    site.add(*[_plain(number) for number in range(10)])
    site.recorder(AnchorRule(count=10, seconds=1000)).step()
    known = read_resume_point(site.resume_path)
    assert known is not None
    with closing(StreamLog(tmp_path / "other", STREAM)) as other:
        other.append([LogEntry(0, b"t" * 32, canonical_json(_plain(number))) for number in range(10)])
    with closing(StreamLog(tmp_path / "other", STREAM, known=known.position)) as again:
        assert not again.holds(known.position)
        assert again.end.index == 10, "it was read from its beginning"


def test_unfinished_windows_keep_the_resume_point_before_them(site: Site) -> None:
    """Or the next start would cut the lot's windows elsewhere."""
    rule = AnchorRule(count=2, seconds=1000)
    half: dict[str, Json] = {"data": {"samples": [1] * (WIDTH // 2)}, "lot": LOTS[0]}
    site.add(_plain(0), _plain(1), {**half, "id": "first"}, _plain(2))
    site.recorder(rule).step()
    known = read_resume_point(site.resume_path)
    assert known is not None
    assert known.peaks.size == 2
    site.add({**half, "id": "second"}, _plain(3))
    site.recorder(rule).step()
    assert site.windows() == [("window/4/0", 6)]
    known = read_resume_point(site.resume_path)
    assert known is not None
    assert known.peaks.size == 2, "the window is not certified yet"
    site.add(_plain(4))
    site.recorder(rule).step()
    assert [record.kind for record in site.queued()].count("IssueCertificate") == 1
    assert len(site.windows()) == 1
    known = read_resume_point(site.resume_path)
    assert known is not None
    assert known.peaks.size == 8


def test_the_ledgers_anchor_has_to_be_of_this_log(site: Site) -> None:
    site.add(*[_plain(number) for number in range(6)])
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
