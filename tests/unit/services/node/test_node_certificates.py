"""Which windows a node certifies, for which order, and when: each once, and rightly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from millmark.ledger.canonical import Json, canonical_json
from millmark.ledger.evidence import LeafKind, build_window_commitment
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import LotRow
from millmark.services.node.config import AnchorRule
from millmark.services.node.events import read_dead_letters
from millmark.services.node.streamlog import LogEntry, StreamLog
from millmark.services.node.windows import Drafts
from tests.support.node_recording import (
    FAULTY,
    LOTS,
    SOUND,
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


def test_a_lot_that_failed_is_not_certified_again(site: Site) -> None:
    """Once its failing certificate is final. Also over a restart after each anchor, and over one that made that
    certificate anew."""
    rule = AnchorRule(count=4, seconds=1000)
    turns = [(SOUND, SOUND), (FAULTY, SOUND), (SOUND, FAULTY), (SOUND, SOUND)]
    for turn, periods in enumerate(turns):
        site.add(*[part(2 * turn + place, LOTS[place], period) for place, period in enumerate(periods)])
        with pytest.raises(DiedError):
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
    site.add(part(0, LOTS[0], FAULTY), part(1, LOTS[0]), part(2, LOTS[1]))
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
    site.add(part(0, LOTS[0], FAULTY), part(1, LOTS[0]))
    site.recorder(rule).step()
    site.settle(0, "final")
    for _ in range(2):
        site.recorder(rule).step()
    assert site.certified() == [0]
    assert site.letters() == [("lot-failed", "leaf-3")]


def test_a_lot_that_was_reworked_since_it_failed_is_certified_again(site: Site) -> None:
    """By the contract at that moment, also just after it was asked; and if it fails once more, not again."""
    rule = AnchorRule(count=1, seconds=1000)
    for number, period in enumerate((FAULTY, SOUND, FAULTY, SOUND)):
        if number == 2:
            site.ledger.reworks[LOTS[0]] = 1
        site.add(part(number, LOTS[0], period))
        site.recorder(rule).step()
        for leaf in site.certified():
            site.settle(leaf, "final")
    assert site.letters() == [("lot-failed", "leaf-3"), ("lot-failed", "leaf-7")]
    assert len(site.certified()) == 2


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
    bad = {**part(0, LOTS[0], FAULTY), **({} if stated is None else {"order": stated})}  # type: ignore[dict-item]  # Json is invariant
    site.add(bad)
    site.recorder(AnchorRule(count=1)).step()
    assert site.certified() == []
    assert site.letters() == [(reason, "leaf-1")]
    good: Json = {**part(1, LOTS[0], FAULTY), "order": ORDER}  # type: ignore[dict-item]  # Json is invariant
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
    site.add(part(0, LOTS[0]))
    site.recorder(AnchorRule(count=1)).step()
    payload = next(record.payload for record in site.queued() if record.kind == "IssueCertificate")
    assert order in payload


def test_windows_wait_for_a_chain_that_does_not_answer(site: Site) -> None:
    """Their anchor does not. After a restart, too, each is certified once, when the chain answers."""
    rule = AnchorRule(count=2, seconds=1000)
    site.ledger.silent = True
    site.add(part(0, LOTS[0]), part(1, LOTS[1]))
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
    monkeypatch.setattr("millmark.services.node.inspection._MAX_HELD", 3)
    site.ledger.silent = True
    rule = AnchorRule(count=2, seconds=1000)
    recorder = site.recorder(rule)
    for number in range(8):
        site.add(part(number, LOTS[number % 3]), plain(number))
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
    monkeypatch.setattr("millmark.services.node.inspection.time.monotonic", lambda: now[0])
    site.add(part(0, LOTS[0]), part(1, LOTS[1]))
    recorder = site.recorder(AnchorRule(count=2, seconds=1000))
    recorder.step()
    now[0] += 500
    recorder.step()
    assert (site.certified(), site.letters()) == ([1], [])
    now[0] += 101
    recorder.step()
    assert (site.certified(), site.letters()) == ([1], [("lot-unknown", "leaf-2")])


def test_a_lot_that_nobody_knows_gets_no_certificate_and_is_listed(site: Site) -> None:
    site.add(part(0, "https://id.gs1.org/01/09506000134352/10/X"))
    site.recorder(AnchorRule(count=1)).step()
    assert [record.kind for record in site.queued()] == ["Anchor"]
    assert [letter.reason for letter in read_dead_letters(site.folder / "dead", 9)] == ["lot-unknown"]


def test_h3_a_certificate_names_the_window_of_its_lot(site: Site) -> None:
    """A leaf that commits to lot and samples, and an input commitment that is the same."""
    half: dict[str, Json] = {"data": {"samples": [1] * (WIDTH - 100)}, "lot": LOTS[0]}
    site.add(plain(0), {**half, "id": "first"}, part(0, LOTS[1]), {**half, "id": "second"})
    site.recorder(AnchorRule(count=6, seconds=1000)).step()
    with site.store.reading() as connection:
        entries = Book(connection).evidence(STREAM).entries
    first, second = entries[4:]
    places = [[one.entry[name] for name in ("lot", "first", "start", "last")] for one in (first, second)]  # type: ignore[index,call-overload]  # Json
    assert places == [[LOTS[1], 2, 0, 2], [LOTS[0], 1, 0, 3]]
    assert [one.kind for one in (first, second)] == [LeafKind.WINDOW] * 2
    assert "salt" not in json.dumps(second.entry)
    payloads = [record.payload for record in site.queued() if record.kind == "IssueCertificate"]
    assert [one.leaf_hash in payload for one, payload in zip((first, second), payloads, strict=True)] == [True, True]
    ((_, drafts),) = Drafts(site.folder / "drafts", site.store)._all()
    commitments = ["0x" + build_window_commitment(draft.salt, draft.window).hex() for draft in drafts]
    assert commitments == [one.entry["commitment"] for one in (first, second)]  # type: ignore[index,call-overload]  # Json


def test_a_window_cut_with_other_settings_is_not_certified(site: Site) -> None:
    site.add(part(0, LOTS[0]))
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
