"""What a gateway says of itself, and whom it lets in, while something does not work."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from sqlalchemy.exc import DatabaseError

from millmark.ledger.errors import ChainUnreachableError, StoreDamagedError, StoreError, WrongChainError
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry
from millmark.ledger.store.process_identity import describe_process
from millmark.services.audit import Access, AuditLog, read_audit
from millmark.services.audit.log import RESUMED
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway import follower as follower_module
from millmark.services.gateway import readiness as readiness_module
from millmark.services.gateway.follower import FollowerThread
from millmark.services.gateway.readiness import HANGS_S, Readiness
from millmark.services.serving.loop import FailedRecords, Loop
from millmark.services.settings import Auth
from tests.support.broken_log import dead_standard_error, full_standard_error
from tests.support.figures import Judge
from tests.support.gateway_client import running
from tests.support.monitored import OTHER, OWNER, Ask, Site
from tests.support.patience import wait_until
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.stores import new_store

FORGED = "Bearer mmk_0123456789ab_" + "A" * 43
PASSPORT = "/01/09506000134352/21/A-1?salt=" + "A" * 43
DOWN = ChainUnreachableError("the chain at http://secret@node does not answer", hint="start it")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with new_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def site(store: Store) -> Site:
    return Site(store)


def test_a_gateway_that_works_says_so(site: Site) -> None:
    with site.open() as ask:
        wait_until(lambda: ask.codes() == ([], []))
        answer = ask("/ready", Authorization="")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")


def test_a_suspended_company_is_kept_out_although_the_index_stands(
    site: Site, monkeypatch: pytest.MonkeyPatch, judge: Judge
) -> None:
    """The follower's node stops answering; the company is suspended; its credentials are still in the index as they
    were."""
    monkeypatch.setattr(follower_module, "STALE_S", 0.5)
    with site.open() as ask:
        site.chain.broken = DOWN
        site.suspend(OTHER)
        wait_until(lambda: ask("/v1/session", OTHER).status_code == 503)
        for answer in (
            ask("/v1/session", OTHER),
            ask("/v1/lots", OWNER),
            ask("/v1/session", Authorization=FORGED),
            ask("/portal", Authorization="", Cookie="__Host-millmark-session-443=mms_0123456789ab_" + "A" * 43),
        ):
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
            if answer.url.path == "/portal":
                assert answer.headers["content-type"].startswith("text/html")
            else:
                assert answer.json()["type"] == "urn:millmark:problem:index-stale"
        message = ask(f"/v1/sign-in?address=0x{'11' * 20}", Authorization="").json()["message"]
        body = {"message": message, "signature": "0x" + "11" * 65}
        assert ask("/v1/sessions", Authorization="", method="POST", body=body).status_code == 503
        assert ask("/v1/session", Authorization="").status_code == 401, "no credential, nothing to check"
        assert ask("/health", Authorization="").status_code == 200
        assert ask(PASSPORT, Authorization="").status_code == 404, "looked up, not refused"
        wait_until(lambda: ask("/ready", Authorization="").status_code == 503)
        [trouble] = ask.ready()["troubles"]
        assert (trouble["where"], trouble["code"]) == ("index", "index-stale")
        assert "(chain-unreachable); no credential is accepted" in trouble["detail"]
        shown = ask("/metrics").text
        assert "millmark_gateway_ready 0.0" in shown
        assert 'millmark_gateway_troubles{code="index-stale",level="trouble",where="index"} 1.0' in shown
        site.chain.broken = None
        wait_until(lambda: ask("/v1/session", OTHER).status_code == 401)
        assert ask("/v1/session", OWNER).status_code == 200
        wait_until(lambda: ask.codes() == ([], []))
        judge("503 with Retry-After for every credential, index-stale; then 401")


def test_before_the_first_look_nobody_is_let_in(site: Site) -> None:
    """However short the start was ago: the gateway may have been away for long."""
    site.chain.broken = DOWN
    with running(site.build()) as caller:
        ask = Ask(caller, site.keys)
        assert ask("/v1/session").status_code == 503
        wait_until(lambda: "index: index-stale" in ask.codes()[0])


@pytest.mark.parametrize("broken", [dead_standard_error, full_standard_error])
def test_a_dead_log_keeps_nobody_in(site: Site, broken: Callable[[], Any], judge: Judge) -> None:
    """Each record that is indexed, and each request, logs a line that nobody can take."""
    with broken(), site.open() as ask:
        site.suspend(OTHER)
        wait_until(lambda: ask("/v1/session", OTHER).status_code == 401)
        wait_until(lambda: ask.codes() == ([], ["log: log-lost"]))
        assert ask("/ready", Authorization="").status_code == 200
        lost = re.search(r"^millmark_gateway_log_lines_lost (\S+)$", ask("/metrics").text, re.MULTILINE)
        assert lost is not None
        assert float(lost[1]) > 2
        judge(f"suspended company kept out, ready, {float(lost[1]):.0f} lost log lines counted")


def test_a_frozen_head_is_an_alarm_and_refuses_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness_module, "HEAD_S", 0.3)
    site.chain.profile = SimpleNamespace(timed_blocks=True)  # type: ignore[attr-defined]  # as a real chain has
    with site.open() as ask:
        wait_until(lambda: ask.codes() == ([], ["chain: head-frozen"]))
        assert ask("/ready", Authorization="").status_code == 200
        assert ask("/v1/session", OTHER).status_code == 200


def test_blocks_that_take_several_rounds_are_an_alarm_with_its_remedy(site: Site) -> None:
    def is_told() -> bool:
        site.chain.mine()
        site.chain.headers[-1] = replace(site.chain.headers[-1], round=1)
        return bool(ask.codes() == ([], ["chain: rounds-late"]))

    with site.open() as ask:
        wait_until(is_told)
        assert "millmark network status" in ask("/ready").text
        # Blocks come while the follower reads, and its first complete look may be after the alarm.
        wait_until(lambda: ask("/v1/session", OTHER).status_code == 200)


def test_a_chain_that_ends_before_the_index_is_an_alarm_until_it_has_caught_up(site: Site) -> None:
    with site.open() as ask:
        lost = site.chain.headers.pop()
        wait_until(lambda: ask.codes() == ([], ["chain: chain-behind"]))
        assert "the index is at block" in ask.ready()["alarms"][0]["detail"]
        site.chain.headers.append(lost)
        wait_until(lambda: ask.codes() == ([], []))


def test_an_index_that_cannot_go_on_is_told_at_once_and_by_its_cause(site: Site) -> None:
    """Another network answers at the node's address: its contracts are not there, so the head cannot be read either."""
    with site.open() as ask:
        site.chain.broken = WrongChainError("the node serves another chain", hint="use a node of the right one")
        wait_until(lambda: ask.codes() == (["index: chain-wrong"], []))
        [trouble] = ask.ready()["troubles"]
        assert trouble["detail"] == "the index does not follow the chain: the node serves another chain"
        assert trouble["hint"] == "use a node of the right one"
        assert ask("/v1/session", OTHER).status_code == 200, "it is not stale yet"
        site.chain.broken = None
        wait_until(lambda: ask.codes() == ([], []))


def test_damage_that_a_request_met_stays_told(site: Site) -> None:
    """The rows that the gateway looks at every second are sound."""
    with site.open() as ask:
        with pytest.raises(StoreDamagedError), site.store.reading():
            raise DatabaseError("SELECT", {}, sqlite3.DatabaseError("database disk image is malformed"))
        wait_until(lambda: ask.codes() == (["database: store-damaged"], []))
        [trouble] = ask.ready()["troubles"]
        assert trouble["detail"] == "a part of the database is damaged; requests that need it are refused"
        assert "restore a backup" in trouble["hint"]
        assert ask("/v1/session").status_code == 200


def test_where_blocks_do_not_come_by_themselves_an_old_head_is_no_alarm(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness_module, "HEAD_S", -1.0)
    with site.open() as ask:
        wait_until(lambda: ask.codes() == ([], []))


def test_a_failed_record_is_told_until_somebody_deals_with_it(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    signer, outbox = b"\x05" * 20, Outbox(site.store)
    [number] = outbox.enqueue(signer, [Entry("order-17", "ledger", "PlaceOrder", b"x")])
    writer = outbox.take_lease(signer, None, f"{socket.gethostname()}/0/0", 1)  # a command's, which has ended
    with site.open() as ask:
        wait_until(lambda: ask.codes() == ([], []))
        writer.fail_record(number, "OrderKnown", "OrderKnown(order=0x22)")
        wait_until(lambda: ask("/ready", Authorization="").status_code == 503)
        [trouble] = ask.ready()["troubles"]
        assert (trouble["where"], trouble["code"]) == ("outbox", "record-failed")
        assert trouble["detail"] == "1 record failed; the first was of kind PlaceOrder, with OrderKnown"
        assert trouble["hint"] == "see `millmark outbox list`; then resume or cancel each"
        shown = ask("/metrics").text
        assert 'millmark_gateway_failed_records_total{kind="PlaceOrder"} 1.0' in shown
        assert 'millmark_gateway_outbox_records{state="failed"} 1.0' in shown
        outbox.resume(["order-17"])
        wait_until(lambda: ask.codes() == ([], []))
        writer.fail_record(number, "OrderKnown", "OrderKnown(order=0x22)")
        wait_until(lambda: ask.codes()[0] == ["outbox: record-failed"])
        outbox.cancel(["order-17"])
        wait_until(lambda: ask.codes() == ([], []))
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    told = [one for one in lines if one["event"] == "record failed"]
    assert [(one["level"], one["record"], one["code"]) for one in told] == [("error", "order-17", "OrderKnown")] * 2
    changes = [(one["ready"], one["troubles"]) for one in lines if one["event"] == "readiness changed"]
    assert changes.count((False, ["outbox: record-failed"])) == 2


def test_each_process_on_a_database_tells_the_failed_records_of_its_own_keys(store: Store) -> None:
    """A gateway and a node counted the same record twice."""
    outbox, told = Outbox(store), {"gateway": [""][:0], "node": [""][:0]}
    ended, here = f"{socket.gethostname()}/0/0", describe_process(os.getpid())
    for at, holder in enumerate((here, here, ended)):
        signer = bytes([at]) * 20
        [number] = outbox.enqueue(signer, [Entry(f"order-{at}", "ledger", f"Kind{at}", b"x")])
        outbox.take_lease(signer, None, holder, 1).fail_record(number, "OrderKnown", "OrderKnown()")
    logger = structlog.get_logger()
    gateway = FailedRecords(outbox, logger, told["gateway"].append, signers=[b"\0" * 20], abandoned=True)
    node = FailedRecords(outbox, logger, told["node"].append, signers=[b"\1" * 20])
    assert gateway.look() is not None
    assert node.look() is not None
    assert told == {"gateway": ["Kind0", "Kind2"], "node": ["Kind1"]}


def test_an_audit_log_that_cannot_be_written_is_told_and_tried_again_by_itself(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit = AuditLog(tmp_path / "audit", lambda: NOW_S)
    site = Site(store, audit)
    with site.open() as ask:

        def fail(_: Access) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr(audit, "_append", fail)
            assert ask("/v1/session").status_code == 503
            wait_until(lambda: ask.codes()[0] == ["audit: audit-failed"])
            assert ask("/ready", Authorization="").status_code == 503
        wait_until(lambda: ask.codes() == ([], []))
        assert ask("/v1/session").status_code == 200
    audit.close()
    assert [one["action"] for one in read_audit(tmp_path / "audit")].count(RESUMED) == 1


class _Broken(Store):
    """A database that does not answer."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._engine)
        self.is_broken = False

    @contextmanager
    def reading(self) -> Iterator[Any]:
        if self.is_broken:
            raise StoreError("postgresql at db.internal:5432 does not answer", hint="start it")
        with super().reading() as connection:
            yield connection


def _readiness(store: Store, *loops: Loop, clock_s: Callable[[], float] = lambda: 0.0) -> Readiness:
    logger = structlog.get_logger()
    return Readiness(
        store, None, loops, FailedRecords(Outbox(store), logger, signers=(), abandoned=True), logger, clock_s
    )


def test_a_database_that_does_not_answer_is_told_without_its_address(store: Store) -> None:
    broken, now = _Broken(store), [0.0]
    readiness = _readiness(broken, clock_s=lambda: now[0])
    readiness.look()
    assert not readiness.seen().troubles
    broken.is_broken = True
    readiness.look()
    [trouble] = readiness.seen().troubles
    assert (trouble.where, trouble.code) == ("database", StoreError.code)
    assert "internal" not in trouble.cause
    now[0] = 1000.0
    readiness.look()
    [later] = readiness.seen().troubles
    assert later.since_s < trouble.since_s - 500, "since it was first seen, and not since the latest look"
    broken.is_broken = False
    readiness.look()
    assert not readiness.seen().troubles


def test_a_database_that_hangs_is_told(store: Store) -> None:
    """Its look never ends, so the latest one that did gets old."""
    now = [0.0]
    readiness = _readiness(store, clock_s=lambda: now[0])
    assert [one.code for one in readiness.seen().troubles] == ["starting"]
    readiness.look()
    assert not readiness.seen().troubles
    now[0] = HANGS_S + 1
    [trouble] = readiness.seen().troubles
    assert (trouble.where, trouble.code) == ("database", "database-hangs")


def test_a_look_that_fails_is_not_called_a_database_that_hangs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    readiness = _readiness(store, clock_s=lambda: now[0])
    readiness.look()

    def look() -> None:
        raise OSError("out of memory")

    monkeypatch.setattr(readiness, "look", look)
    readiness.start()
    try:
        wait_until(lambda: readiness.loop.trouble() is not None)
        now[0] = HANGS_S + 1
        assert [one.where for one in readiness.seen().troubles] == ["millmark-readiness"]
    finally:
        readiness.stop()


def test_a_thread_that_does_not_do_its_work_is_told(store: Store) -> None:
    outcomes: list[BaseException] = [DOWN, StoreError("at db.internal", hint=""), SystemExit()]

    def step() -> float:
        raise outcomes[0]

    loop = Loop("millmark-recorder", step, structlog.get_logger(), failed="recording failed", retry_s=0.02)
    readiness = _readiness(store, loop)
    loop.start()

    def told() -> tuple[list[str], list[str]]:
        readiness.look()
        found = readiness.seen()
        return [one.code for one in found.troubles], [one.code for one in found.alarms]

    away = "chain-not-configured"
    wait_until(lambda: told() == ([], [away, "chain-unreachable"]))
    outcomes.pop(0)
    wait_until(lambda: told() == ([StoreError.code], [away]))
    outcomes.pop(0)
    wait_until(lambda: told() == (["thread-died"], [away]))
    outcomes[0] = DOWN
    loop.stop()
    assert told() == ([], [away]), "stopped on purpose"


def test_a_gateway_without_a_chain_lets_in_and_says_so(store: Store, site: Site) -> None:
    FollowerThread(site.chain, store, 1.0, structlog.get_logger()).step()
    policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=OWNER)
    with running(create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S))) as caller:
        ask = Ask(caller, site.keys)
        assert ask("/v1/session").status_code == 200
        wait_until(lambda: ask.codes() == ([], ["chain: chain-not-configured"]))
