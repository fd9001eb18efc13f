"""What a submitter makes of what a relay tells it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from millmark.ledger.errors import (
    ChainError,
    ChainUnreachableError,
    ContractRefusedError,
    LeaseHeldError,
    RequestError,
    SubmitError,
    WrongChainError,
)
from millmark.ledger.forward_requests import MAX_REQUEST_BYTES, parse_request
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Outcome, RelaySubmitter, relay
from millmark.ledger.submit.relay import _RelayCalls
from tests.support.ledger_world import verify_final
from tests.support.relay_world import HOUR_S, VALIDITY_S, RelaySite, finish, lot, open_relay_world
from tests.support.stores import new_store


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RelaySite]:
    with open_relay_world(tmp_path) as world:
        yield RelaySite(world)


def test_a_record_is_final_once_the_relay_tells_its_block(site: RelaySite) -> None:
    first, before = site.submit("first"), site.world.count()
    assert site.submitter.step() is False
    second = site.submit("second")
    assert site.submitter.step() is False
    assert [site.state(one) for one in (first, second)] == [OutboxState.SENT, OutboxState.QUEUED], "one at a time"
    for _ in range(4):
        site.sending.step()
        site.submitter.step()
    assert site.submitter.step() is True
    assert verify_final(site.outbox, [first, second]) == [before + 1, before + 2]
    with site.own.reading() as connection:
        told = connection.exec_driver_sql("SELECT gas_used, block_number FROM outbox_transactions ORDER BY id").all()
    head = site.world.chain.head_number()
    assert [(row.gas_used > 21_000, row.block_number) for row in told] == [(True, head - 1), (True, head)]


def test_a_record_that_the_relay_tells_in_another_block_is_settled_anew(site: RelaySite) -> None:
    number, [first, second] = site.submit("lot"), [bytes([filling]) * 32 for filling in (1, 2)]
    site.submitter.step()
    site.sending.step()

    def told(block_hash: bytes) -> tuple[OutboxState, bytes | None]:
        site.relay.otherwise = {"state": OutboxState.MINED, "block_hash": block_hash}
        site.submitter.step()
        found = site.open()
        return found.state, found.block_hash

    assert [told(first) for _ in range(2)] == [(OutboxState.MINED, first)] * 2
    assert [told(second) for _ in range(2)] == [(OutboxState.SENT, None), (OutboxState.MINED, second)]
    site.relay.otherwise = {}
    site.submitter.step()
    assert site.state(number) is OutboxState.SENT, "it is not final in the block that it was in before"
    assert site.submitter.step() is True
    verify_final(site.outbox, [number])
    assert [(nonce, state) for nonce, state, _ in site.requests()] == [(0, "final")]


@pytest.mark.parametrize(
    ("passed_s", "unsettled_s"), [(2 * HOUR_S, 2 * HOUR_S), (0, -2 * HOUR_S)], ids=["clock", "final block"]
)
def test_nothing_is_signed_by_a_clock_that_is_far_ahead(site: RelaySite, passed_s: int, unsettled_s: int) -> None:
    """The request could be executed until then."""
    number = site.submit("lot")
    site.relay.passed_s, site.relay.unsettled_s = passed_s, unsettled_s
    with pytest.raises(ChainError, match="the relay's clock is far ahead of this machine's; set this machine's clock"):
        site.submitter.step()
    assert (site.state(number), site.requests(), site.relay.sent) == (OutboxState.QUEUED, [], 0)
    site.relay.passed_s = site.relay.unsettled_s = 0
    site.submitter.step()
    assert site.state(number) is OutboxState.SENT


def test_what_was_recorded_is_not_signed_again_if_the_relay_has_forgotten_it(site: RelaySite) -> None:
    number = site.submit("lot")
    site.submitter.step()
    site.sending.step()
    before = site.open()
    site.relay.lost, site.relay.passed_s = True, 2 * VALIDITY_S
    with pytest.raises(ChainError, match=r"nonce 0 of 0x[0-9a-f]{40} is used, but the relay does not know the request"):
        site.submitter.step()
    assert (site.open(), site.state(number)) == (before, OutboxState.SENT)


@pytest.mark.parametrize(("told", "kept"), [("OrderUnknown()", "OrderUnknown()"), (None, "")])
def test_what_the_ledger_refused_waits_again_once_it_has_run_out(site: RelaySite, told: str | None, kept: str) -> None:
    number = site.submit("lot")
    site.relay.outcome = Outcome(OutboxState.FAILED, None, told, None, None, None, ())
    for _ in range(2):
        site.submitter.step()
    assert site.requests() == [(0, "sent", None)], "it could still be executed"
    assert site.relay.sent == 1
    site.relay.passed_s = 2 * VALIDITY_S
    site.submitter.step()
    assert site.requests() == [(0, "failed", kept), (0, "sent", None)], "the same nonce, for another request"
    assert site.state(number) is OutboxState.SENT


def test_a_record_that_is_refused_again_and_again_although_it_is_simulated_fails(site: RelaySite) -> None:
    number, times = site.submit("lot"), 3
    site.relay.outcome = Outcome(OutboxState.FAILED, None, "OrderUnknown()", None, None, None, ())
    for ran_out in range(times + 1):
        assert site.state(number) is (OutboxState.SENT if ran_out else OutboxState.QUEUED)
        site.relay.passed_s = 2 * VALIDITY_S * ran_out
        site.submitter.step()
    assert site.requests() == [(0, "failed", "OrderUnknown()")] * times
    found = site.outbox.record(number)
    assert (found.state, found.error_name) == (OutboxState.FAILED, "Reverted")
    assert found.error == "reverted in 3 transactions, although every simulation accepted it"


def test_a_request_that_the_relay_lacks_is_sent_again_as_long_as_it_can_be_executed(site: RelaySite) -> None:
    site.submit("lot")
    site.relay.lost = True
    for times in (1, 2, 3):
        site.submitter.step()
        assert site.relay.sent == times
    site.relay.passed_s = site.relay.unsettled_s = 2 * VALIDITY_S
    before = site.open()
    site.submitter.step()
    assert (site.relay.sent, site.open()) == (3, before), "no final block shows that it was not executed"


def test_a_request_that_ran_out_is_signed_again_for_the_same_nonce(site: RelaySite) -> None:
    site.submit("lot")
    site.relay.lost = True
    site.submitter.step()
    before = site.open()
    site.relay.passed_s = 2 * VALIDITY_S
    site.submitter.step()
    now = site.open()
    assert before.raw is not None
    assert now.raw is not None
    assert (before.max_fee_wei, before.priority_fee_wei) == (0, 0)
    old, new = (parse_request(one.raw).request for one in (before, now) if one.raw)
    assert replace(new, deadline=old.deadline) == old
    assert new.deadline >= old.deadline + VALIDITY_S
    assert (now.nonce, now.state, [one.hash for one in now.replaced]) == (0, OutboxState.SIGNED, [before.hash])
    assert (now.max_fee_wei, now.priority_fee_wei) == (0, 0), "whoever relays it pays"
    assert now.noop is False


def test_a_cancelled_record_goes_out_no_more_once_its_request_ran_out(site: RelaySite) -> None:
    """The others of its request go out without it."""
    [first, second] = site.submitter.submit([(name, lot(name)) for name in ("first", "second")])
    site.relay.lost = True
    site.relay.outcome = Outcome(OutboxState.SENT, None, None, None, None, None, ())
    site.submitter.step()
    assert {one.id for one in site.open().records} == {first, second}
    site.outbox.cancel(["first"])
    assert site.state(first) is OutboxState.SENT, "it could still be executed"
    site.relay.passed_s = 2 * VALIDITY_S
    site.submitter.step()
    assert (site.state(first), [one.id for one in site.open().records]) == (OutboxState.CANCELLED, [second])
    assert site.requests()[0] == (0, "failed", "cancelled, and its deadline has passed")


def test_who_waits_for_a_relay_waits_until_it_has_recorded_all(
    site: RelaySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it does not answer in between."""
    paused = list[float]()

    def pause(seconds: float) -> None:
        paused.append(seconds)
        assert len(paused) < 100
        site.relay.silence = ChainUnreachableError("no answer", hint="try again") if len(paused) % 2 else None

    clock = SimpleNamespace(monotonic=time.monotonic, time=time.time, sleep=pause)
    monkeypatch.setattr(relay, "time", clock)
    site.relay.works, numbers = True, [site.submit(name) for name in ("first", "second")]
    pause(0.0)
    site.submitter.drain(timeout_s=600.0)
    verify_final(site.outbox, numbers)
    assert len(paused) > 2
    assert set(paused[1:]) == {0.2}


def test_who_waits_for_a_relay_is_told_after_a_time(site: RelaySite) -> None:
    site.submit("lot")
    hint = "are still pending after 0 s; ask the operator of the relay; nothing was lost"
    with pytest.raises(SubmitError, match=hint):
        site.submitter.drain(timeout_s=0.0)


def test_a_request_may_be_as_long_as_requests_may_be(site: RelaySite) -> None:
    """The data are in it as hexadecimal digits."""
    site.relay.gas, key = 60_000, site.factory.address
    calls = _RelayCalls(site.relay)
    [record] = site.outbox.among([site.submit("lot")]).values()

    def prepare(length: int) -> tuple[bytes, int]:
        return calls.prepare([replace(record, payload=bytes(length))], key, None)

    most = (MAX_REQUEST_BYTES - 1024) // 2
    assert [calls.together([record] * count) for count in (1, 3)] == [1, 3]
    assert calls.prepare_all([([record], 50_000)] * 2, key) == [(record.payload, 60_000)] * 2, "each is estimated"
    assert prepare(most) == (bytes(most), 60_000)
    with pytest.raises(ContractRefusedError) as refused:
        prepare(most + 1)
    assert (refused.value.name, dict(refused.value.values)) == ("RequestTooLarge", {"bytes": most + 1})


def test_an_outbox_serves_one_ledger_through_whatever_relay(site: RelaySite) -> None:
    submit, deployment = site.submit, site.world.chain.deployment
    site.submitter.step()
    other = RelaySubmitter(site.relay, replace(deployment, chain_id=deployment.chain_id + 1), site.own, site.factory)
    number = submit("lot")
    with pytest.raises(WrongChainError):
        other.step()
    assert (site.state(number), site.requests()) == (OutboxState.QUEUED, [])


def test_a_relay_of_another_ledger_is_refused(site: RelaySite, tmp_path: Path) -> None:
    number, deployment = site.submit("lot"), site.world.chain.deployment
    for otherwise in ({"forwarder": bytes(20)}, {"chain_id": deployment.chain_id + 1}):
        with new_store(tmp_path, f"{len(site.requests())}{next(iter(otherwise))}.db") as store:
            elsewhere = RelaySubmitter(site.relay, replace(deployment, **otherwise), store, site.factory)
            elsewhere.submit([("lot", lot("lot"))])
            with pytest.raises(ChainError, match="the relay serves another ledger; correct its address"):
                elsewhere.step()
    assert (site.state(number), site.relay.sent) == (OutboxState.QUEUED, 0)


def test_a_request_that_must_not_be_relayed_says_so_while_it_could_be_executed(site: RelaySite) -> None:
    site.submit("lot")
    site.relay.refusal = RequestError("the data are no call", hint="report this")
    for times in (1, 2):
        with pytest.raises(RequestError, match="the data are no call"):
            site.submitter.step()
        assert (site.relay.sent, site.open().state) == (times, OutboxState.SENT)
    before = site.open()
    site.relay.passed_s = 2 * VALIDITY_S
    site.submitter.step()
    assert site.open().hash != before.hash, "that one ran out, and is signed again"


def test_another_submitter_of_the_key_keeps_this_one_out(site: RelaySite) -> None:
    number = site.submit("lot")
    site.outbox.take_lease(site.factory.address, None, "other-host/1/1", 1)
    for _ in range(2):
        with pytest.raises(LeaseHeldError, match="other-host/1/1"):
            site.submitter.step()
    assert (site.state(number), site.relay.sent) == (OutboxState.QUEUED, 0)


def test_submitters_of_one_process_take_turns(site: RelaySite) -> None:
    """One that was too late knows it from its first write, and takes the lease again with the next step."""
    other = RelaySubmitter(site.relay, site.world.chain.deployment, site.own, site.factory, resend_s=0.0)
    site.submit("first")
    site.submitter.step()
    site.relay.works = True
    finish(other)
    second = site.submit("second")
    with pytest.raises(LeaseHeldError):
        site.submitter.step()
    finish(site.submitter)
    verify_final(site.outbox, [second])
