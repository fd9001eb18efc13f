"""The audit log's head on the ledger: anchored by count and time, across crashes; and what somebody rewrites who has
the folder, is found where it was done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from millmark.ledger.canonical import Json
from millmark.ledger.errors import ChainUnreachableError, SettingsError
from millmark.ledger.keys import LocalSigner
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import StreamRow
from millmark.services.audit import Access, AuditError, AuditLog, AuditReport, AuditTamperedError, verify_audit
from millmark.services.audit.entries import list_files
from millmark.services.gateway import GatewayParts, build_policy, create_gateway, own_records
from millmark.services.gateway.http.problems import TryLaterError
from millmark.services.gateway.own_records import AnchorRule, AuditAnchors, verify_audit_stream
from millmark.services.gateway.recording import Recorder
from tests.support.audited_world import open_audit_stream, read_anchored, rewrite
from tests.support.crash import CrashError, CrashingStore, CrashPoint
from tests.support.gateway_client import Caller, running
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.patience import wait_until
from tests.support.rpc import lost
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.stores import new_store

Entries = list[dict[str, Json]]
DAY_S = 86_400


@dataclass
class Site:
    """A company, its log, and what the gateway's thread does."""

    world: LedgerWorld
    store: Store
    folder: Path
    signer: LocalSigner
    number: int
    stream: bytes
    now_s: int = NOW_S
    log: AuditLog = field(init=False)

    def __post_init__(self) -> None:
        self.log = AuditLog(self.folder / "audit", lambda: self.now_s, most_file_bytes=4_000, keep_files=1_000)

    def ask(self, count: int) -> None:
        for at in range(count):
            self.log.append(Access(3, "4f1c09aa27de", "GET /v1/lots", f"/v1/lots/{at}", 200, "r-1", None))

    def anchors(self, store: Store | None = None, entries: int = 10) -> AuditAnchors:
        store, logger = store or self.store, structlog.get_logger()
        recorder = Recorder(store, self.world.chain, self.signer, logger)
        rule = AnchorRule(self.stream, entries, DAY_S)
        verify = partial(verify_audit_stream, self.world.chain, self.stream, self.number)
        return AuditAnchors(store, recorder, self.log, rule, lambda: self.now_s, logger, verify)

    def anchor(self) -> bool:
        """One step of the thread, and what it queued on the ledger."""
        due = self.anchors().step()
        self.world.submitter(Outbox(self.store), self.signer).drain()
        return due

    def verify(self) -> AuditReport:
        return verify_audit(self.folder / "audit", anchored=read_anchored(self.world.chain, self.store, self.stream))

    def anchored(self) -> int:
        return read_anchored(self.world.chain, self.store, self.stream).last


@pytest.fixture(scope="module")
def world() -> LedgerWorld:
    return build_world()


@pytest.fixture
def site(world: LedgerWorld, tmp_path: Path) -> Iterator[Site]:
    with new_store(tmp_path) as store:
        site = Site(world, store, tmp_path, *open_audit_stream(world, store))
        yield site
        site.log.close()


def test_the_head_is_anchored_by_count_and_by_time(site: Site) -> None:
    assert not site.anchor(), "an empty log has no head"
    site.ask(3)
    assert site.anchor(), "nothing was ever anchored"
    site.ask(9)
    assert (site.anchor(), site.anchored()) == (False, 3)
    site.ask(1)
    assert (site.anchor(), site.anchored()) == (True, 13)
    site.ask(1)
    site.now_s += DAY_S - 1
    assert (site.anchor(), site.anchored()) == (False, 13)
    site.now_s += 1
    assert (site.anchor(), site.anchored()) == (True, 14)
    site.now_s += 9 * DAY_S
    assert (site.anchor(), site.anchored()) == (False, 14), "nothing is new"
    report = site.verify()
    assert (report.first, report.last) == (1, 14)


def test_an_outbox_that_is_still_being_compared_is_no_failure(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def undecided(_: Recorder) -> None:
        raise TryLaterError("the outbox is being compared", retry_after_s=5)

    site.ask(20)
    monkeypatch.setattr(Recorder, "verify_current", undecided)
    assert site.anchors()._round() > 0, "the next look is later, and nothing was raised"


def test_a_long_log_is_one_anchor_over_several_entries(site: Site) -> None:
    site.ask(2_500)
    assert site.anchor()
    assert site.anchored() == 2_500
    assert site.verify().last == 2_500


def test_how_far_it_is_anchored_is_what_the_index_has(site: Site) -> None:
    site.ask(25)
    site.anchor()
    assert own_records.read_anchored(site.store, site.stream) == 0, "queued is not anchored"
    with site.store.transaction() as connection:
        size = Book(connection).evidence_size(site.stream)
        Rows(connection).insert([StreamRow(site.stream, 1, 1, site.number, size, bytes(32), NOW_S, bytes(32))])
    assert own_records.read_anchored(site.store, site.stream) == 25


def test_a_crash_leaves_evidence_and_anchor_or_neither(site: Site) -> None:
    site.ask(12)
    for stored in (False, True):
        point = CrashPoint(at=1, stored=stored)
        with pytest.raises(CrashError):
            site.anchors(CrashingStore(site.store, point)).step()
        assert (Outbox(site.store).latest_key("audit/anchor/") is not None) is stored
        with site.store.reading() as connection:
            assert Book(connection).evidence_size(site.stream) == (1 if stored else 0)
    assert not site.anchor(), "what was stored is not queued again; it goes out"
    assert site.anchored() == 12
    site.verify()


def test_two_gateways_anchor_once(site: Site) -> None:
    site.ask(12)
    first, second = site.anchors(), site.anchors()
    assert first.step()
    assert not second.step()
    site.ask(12)
    assert second.step()
    site.anchor()
    assert site.anchored() == 24


def _edit(at: int, name: str, value: Json) -> Callable[[Entries], None]:
    def tamper(entries: Entries) -> None:
        entries[at][name] = value

    return tamper


def _swap(entries: Entries) -> None:
    entries[4], entries[5] = entries[5], entries[4]


def _all(entries: Entries) -> None:
    for entry in entries:
        entry["status"], entry["decision"] = 404, "absent"


REWRITTEN: dict[str, tuple[Callable[[Entries], object], int]] = {
    "one entry": (_edit(6, "target", "/v1/lots/other"), 7),
    "the first entry": (_edit(0, "participant", 9), 1),
    "the last that is anchored": (_edit(24, "status", 404), 25),
    "one left out": (lambda entries: entries.pop(11), 12),
    "one put in": (lambda entries: entries.insert(11, dict(entries[3])), 12),
    "two swapped": (_swap, 5),
    "all of it": (_all, 1),
    "the end cut off": (lambda entries: entries.__delitem__(slice(20, None)), 21),
    "the end cut off in the middle of what an anchor tells of": (
        lambda entries: entries.__delitem__(slice(24, None)),
        25,
    ),
    "everything cut off": (lambda entries: entries.clear(), 1),
}
"""Each with the whole chain made to fit again; and the first entry that is wrong then. Entries 1 to 25 are anchored."""


@pytest.mark.parametrize("name", REWRITTEN)
def test_what_is_rewritten_is_found_where_it_was_done(site: Site, name: str) -> None:
    tamper, number = REWRITTEN[name]
    for count in (10, 15):
        site.ask(count)
        assert site.anchor()
    site.ask(5)
    assert site.verify().last == 30
    rewrite(site.folder / "audit", tamper)
    verify_audit(site.folder / "audit")  # by itself the log is whole
    with pytest.raises(AuditTamperedError) as caught:
        site.verify()
    assert caught.value.number == number


def test_what_no_anchor_tells_of_can_be_rewritten(site: Site) -> None:
    """As AUDIT.md says."""
    site.ask(12)
    assert site.anchor()
    site.ask(3)
    rewrite(site.folder / "audit", _edit(13, "status", 404))
    assert site.verify().last == 15
    rewrite(site.folder / "audit", lambda entries: entries.__delitem__(slice(12, None)))
    assert site.verify().last == 12


def test_older_files_may_be_gone_but_not_replaced(site: Site) -> None:
    site.ask(40)
    assert site.anchor()
    first, second, *_ = list_files(site.folder / "audit")
    first.unlink()
    assert site.verify().first == int(second.stem.removeprefix("audit-"))
    text = second.read_bytes()
    start = text.index(b'"previous":"') + 12
    second.write_bytes(text[:start] + b"0" * 64 + text[start + 64 :])
    with pytest.raises(AuditTamperedError):
        site.verify()


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM evidence", "UPDATE evidence SET entries = replace(entries, '\"first\":1,', '\"first\":2,')"],
)
def test_a_database_that_was_changed_as_well_is_said(site: Site, statement: str) -> None:
    site.ask(12)
    assert site.anchor()
    with closing(sqlite3.connect(site.store.url.removeprefix("sqlite:///"))) as connection:
        connection.execute(statement)
        connection.commit()
    with pytest.raises(AuditError, match="does not hold the 1 audit heads") as caught:
        site.verify()
    assert not isinstance(caught.value, AuditTamperedError)


def test_a_stream_that_is_not_the_companys_is_refused_at_start(site: Site) -> None:
    verify_audit_stream(site.world.chain, site.stream, site.number)
    verify_audit_stream(site.world.chain, site.stream, None)
    with pytest.raises(SettingsError, match="belongs to another company"):
        verify_audit_stream(site.world.chain, site.stream, site.number + 1)
    with pytest.raises(SettingsError, match="not on the ledger"):
        verify_audit_stream(site.world.chain, b"\x07" * 32, site.number)


def test_a_wrong_stream_is_told_once_the_node_answers_and_nothing_is_written(site: Site) -> None:
    """The command cannot compare it while the node is away."""
    site.ask(12)
    right, site.stream = site.stream, b"\x07" * 32
    anchors = site.anchors()
    site.world.line.handlers["eth_call"] = _fail
    assert anchors._round() > 0, "what cannot be compared is no failure yet"
    with pytest.raises(ChainUnreachableError):
        anchors.step()
    site.world.line.handlers.clear()
    for _ in range(2):
        with pytest.raises(SettingsError, match="audit_stream is not on the ledger"):
            anchors.step()
    with site.store.reading() as connection:
        assert Book(connection).evidence_size(site.stream) == 0
    assert Outbox(site.store).latest_key("audit/anchor/") is None
    site.stream = right
    assert site.anchor()


def test_a_gateway_is_not_ready_while_its_audit_stream_is_another_companys(site: Site) -> None:
    rule = AnchorRule(site.stream, 10, DAY_S)
    parts = GatewayParts(
        site.store,
        build_policy("required", url=ORIGIN, owner=site.number + 1),
        chain=site.world.chain,
        recording=(site.world.chain, site.signer),
        audit=site.log,
        anchoring=rule,
        follow_interval_s=0.01,
    )
    with running(create_gateway(parts)) as caller:
        wait_until(lambda: _troubles(caller) == [("millmark-audit-anchors", "settings-refused")])
        assert caller.ask("/ready").status_code == 503


def _troubles(caller: Caller) -> list[tuple[str, str]]:
    return [(one["where"], one["code"]) for one in caller.ask("/ready").json()["troubles"]]


def _fail(_: list[Any]) -> Any:
    raise lost()
