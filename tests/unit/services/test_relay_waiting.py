"""What a submitter makes of a relay's clocks, and of reports that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.errors import ChainError, ChainUnreachableError, RequestError, SubmitError
from millmark.ledger.forward_requests import parse_request
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Outcome, RelaySubmitter, relay
from tests.support.relay_world import HOUR_S, VALIDITY_S, RelaySite, finish, lot, open_relay_world


@pytest.fixture
def site(tmp_path: Path) -> Iterator[RelaySite]:
    with open_relay_world(tmp_path) as world:
        yield RelaySite(world)


# Times


class Clock:
    """The clocks of the machine that submits."""

    def __init__(self) -> None:
        self.elapsed_s, self.now_s = 100.0, 0.0

    def monotonic(self) -> float:
        return self.elapsed_s

    def time(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.elapsed_s += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(relay, "time", found)
    return found


def test_a_request_that_the_relay_lacks_is_not_sent_with_every_step(site: RelaySite, clock: Clock) -> None:
    resend_s, key = 10.0, site.factory
    submitter = RelaySubmitter(site.relay, site.world.chain.deployment, site.own, key, resend_s=resend_s)
    clock.now_s = site.relay.terms(key.address).now_s
    site.submit("lot")
    submitter.step()
    site.relay.lost = True
    for elapsed_s, sent in ((0.0, 1), (resend_s - 0.5, 1), (0.5, 2), (resend_s - 0.5, 2), (0.5, 3)):
        clock.elapsed_s += elapsed_s
        submitter.step()
        assert site.relay.sent == sent


def test_what_the_ledger_refused_does_not_wait_to_be_sent_again(site: RelaySite, clock: Clock) -> None:
    key = site.factory
    submitter = RelaySubmitter(site.relay, site.world.chain.deployment, site.own, key, validity_s=60, resend_s=3600.0)
    clock.now_s = site.relay.terms(key.address).now_s
    site.submit("lot")
    site.relay.outcome = Outcome(OutboxState.FAILED, None, "OrderUnknown()", None, None, None, ())
    submitter.step()
    site.relay.passed_s = 2 * 60
    submitter.step()
    assert [state for _, state, _ in site.requests()] == ["failed", "sent"]


def test_the_clock_of_a_relay_may_be_an_hour_ahead(site: RelaySite, clock: Clock) -> None:
    number, clock.now_s = site.submit("lot"), 1_000_000.0
    site.relay.at_s = 1_000_000 + HOUR_S + 1
    with pytest.raises(ChainError, match="the relay's clock is far ahead"):
        site.submitter.step()
    site.relay.at_s -= 1
    site.relay.outcome = Outcome(OutboxState.SENT, None, None, None, None, None, ())
    site.submitter.step()
    assert site.state(number) is OutboxState.SENT


def test_a_request_cannot_be_executed_any_more_from_its_deadline_on(site: RelaySite, clock: Clock) -> None:
    """By the relay's clock; by the chain's, whose blocks in the deadline's second execute it, only after that."""
    site.submit("lot")
    clock.now_s = site.relay.at_s = 1_000_000
    site.relay.refusal = RequestError("its deadline has passed", hint="sign it again")
    for at_s, is_told in ((1_000_000, True), (1_000_000 + VALIDITY_S - 1, True), (1_000_000 + VALIDITY_S, False)):
        site.relay.at_s = at_s
        if is_told:
            with pytest.raises(RequestError, match="its deadline has passed"):
                site.submitter.step()
        else:
            site.submitter.step()
    assert site.requests() == [(0, "sent", None)]


def test_a_request_is_sent_again_before_its_deadline_only(site: RelaySite, clock: Clock) -> None:
    site.submit("lot")
    clock.now_s = site.relay.at_s = 1_000_000
    site.relay.outcome = Outcome(OutboxState.SENT, None, None, None, None, None, ())
    site.submitter.step()
    site.relay.lost = True
    for at_s, sent in ((1_000_000 + VALIDITY_S - 1, 2), (1_000_000 + VALIDITY_S, 2)):
        site.relay.at_s = at_s
        site.submitter.step()
        assert site.relay.sent == sent


def test_fifty_records_go_into_a_request_that_holds_for_five_minutes(site: RelaySite, clock: Clock) -> None:
    clock.now_s = site.relay.at_s = 1_000_000
    site.relay.gas = 10_000_000
    site.relay.outcome = Outcome(OutboxState.SENT, None, None, None, None, None, ())
    submitter = RelaySubmitter(site.relay, site.world.chain.deployment, site.own, site.factory)
    submitter.submit([(str(number), lot(str(number))) for number in range(51)])
    submitter.step()
    found = site.open()
    assert found.raw is not None
    assert (len(found.records), parse_request(found.raw).request.deadline) == (50, 1_000_000 + 300)


@pytest.mark.parametrize("silent", [True, False], ids=["no answer", "no block"])
def test_who_waits_for_a_relay_is_told_once_it_takes_longer_than_the_time_given(
    site: RelaySite, clock: Clock, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr(relay, "_PAUSE_S", 2.5)
    clock.now_s = site.relay.terms(site.factory.address).now_s
    site.submit("lot")
    site.relay.silence = ChainUnreachableError("no answer", hint="try again") if silent else None
    told = (ChainUnreachableError, "^no answer; try again$") if silent else (SubmitError, "still pending after 5 s")
    with pytest.raises(told[0], match=told[1]):
        site.submitter.drain(timeout_s=5.0)
    assert clock.elapsed_s == 107.5


def test_nothing_is_kept_of_a_request_that_is_final(site: RelaySite) -> None:
    site.submit("lot")
    site.relay.works = True
    site.submitter.step()
    assert len(site.submitter._sent_at) == 1
    finish(site.submitter)
    assert site.submitter._sent_at == {}


# Reports that cannot be


def test_a_request_that_is_in_no_block_any_more_is_sent_again(site: RelaySite) -> None:
    site.submit("lot")
    site.submitter.step()
    site.sending.step()
    site.relay.otherwise = {"state": OutboxState.MINED}
    site.submitter.step()
    assert site.open().state is OutboxState.MINED
    site.relay.lost = True
    site.submitter.step()
    assert (site.open().state, site.open().block_hash) == (OutboxState.SENT, None)
    site.relay.lost, site.relay.otherwise = False, {}
    finish(site.submitter)
    assert [state for _, state, _ in site.requests()] == ["final"]


@pytest.mark.parametrize("member", ["block_number", "block_hash", "gas_used"])
@pytest.mark.parametrize("is_known", [False, True])
def test_a_report_of_a_block_that_lacks_its_number_hash_or_gas_is_refused(
    site: RelaySite, member: str, is_known: bool
) -> None:
    """Nor does such a report take a request out of the block that it was in."""
    site.submit("lot")
    site.submitter.step()
    site.sending.step()
    site.relay.otherwise = {"state": OutboxState.MINED}
    if is_known:
        site.submitter.step()
    before = site.open()
    site.relay.otherwise = {"state": OutboxState.MINED, member: None}
    with pytest.raises(
        ChainError, match="the relay reports a block without its number, hash or gas; use another relay"
    ):
        site.submitter.step()
    assert site.open() == before
