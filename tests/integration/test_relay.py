"""Records that one participant signs and another one sends: on the embedded chain and on anvil."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.chain import RpcError, call_data, execute_data, multicall_data
from millmark.ledger.errors import ChainError, ChainUnreachableError, ContractRefusedError, SettingsError
from millmark.ledger.forward_requests import SignedRequest, sign_request
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import (
    ALL_ROLES,
    AcceptKey,
    Contract,
    Disposition,
    ProposeKey,
    Record,
    ScrapLot,
)
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.submit import Outcome
from millmark.services.access import Scope
from millmark.services.gateway.relay.relay import LONGEST_S, MAX_GAS, verify_payer
from tests.support.creating import create_code
from tests.support.engines import running_anvil
from tests.support.ledger_world import NOTHING, verify_final
from tests.support.patience import wait_until
from tests.support.relay_world import RelayWorld, lot, open_relay_world
from tests.support.toolchain import describe_missing

ENGINES = [
    "embedded",
    pytest.param("anvil", marks=pytest.mark.skipif(describe_missing() is not None, reason=str(describe_missing()))),
]


@pytest.fixture(params=ENGINES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RelayWorld]:
    if request.param == "embedded":
        with open_relay_world(tmp_path) as opened:
            yield opened
    else:
        with running_anvil(tmp_path) as transport, open_relay_world(tmp_path, transport, "anvil") as opened:
            yield opened


def hand_in(world: RelayWorld, signed: SignedRequest | bytes, token: str | None = None) -> httpx.Response:
    raw = signed if isinstance(signed, bytes) else signed.to_bytes()
    token = token or world.token(world.participant(world.factory))
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    return world.client.post("/v1/relay", content=raw, headers=headers)


def refuse(
    world: RelayWorld, signed: SignedRequest | bytes, status: int, detail: str, token: str | None = None
) -> None:
    """Nothing is kept of what is refused."""
    answer = hand_in(world, signed, token)
    assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.text
    assert Outbox(world.store).counts().get("queued", 0) == 0


# The whole way


def test_the_actor_on_the_chain_is_the_factory(world: RelayWorld) -> None:
    submitter = world.submitter()
    ids = submitter.submit([(f"lot-{number}", lot(f"{number}")) for number in range(30)])
    world.settle(submitter)
    sequences = verify_final(Outbox(world.own), ids)
    assert sequences == list(range(1, 31))
    chain = world.world.chain
    recorded = [one for number in range(chain.head_number() + 1) for one in chain.recorded(chain.header(number))]
    lots = [one for one in recorded if one.kind == "LotReceived"]
    assert [one.sequence for one in lots] == sequences
    assert {(one.key, one.participant) for one in lots} == {(world.factory.address, world.participant(world.factory))}
    assert chain.node.transaction_count(world.factory.address) == 1, "the acceptance of its key: no other of its own"
    assert chain.forward_nonce(world.factory.address) == 1, "one request for all of them"


def test_a_record_that_the_ledger_refuses_fails_alone_and_by_name(world: RelayWorld) -> None:
    submitter = world.submitter()
    records: list[tuple[str, Record]] = [(f"lot-{number}", lot(f"{number}")) for number in range(6)]
    records.insert(3, ("bad", ScrapLot(sha256(b"no such lot"), 1, Disposition.SCRAPPED, NOTHING)))
    ids = submitter.submit(records)
    world.settle(submitter)
    bad = Outbox(world.own).record(ids.pop(3))
    assert (bad.state, bad.error_name) == (OutboxState.FAILED, "LotUnknown")
    verify_final(Outbox(world.own), ids)
    assert world.world.count() == 6


def test_registry_records_are_relayed_too(world: RelayWorld) -> None:
    """A new key accepts by a request that it signs itself: it was nobody's until then."""
    fresh = LocalSigner.generate()
    submitter = world.submitter()
    submitter.submit([("propose", ProposeKey(fresh.address, int(ALL_ROLES), admin=True)), ("lot", lot("a"))])
    world.settle(submitter)
    accept = call_data(AcceptKey(world.participant(world.factory)))
    request = world.request(lot("b"), signer=world.factory.address, to=world.world.chain.registry, data=accept).request
    signed = sign_request(replace(request, signer=fresh.address, nonce=0), fresh)
    assert hand_in(world, signed).status_code == 202
    world.gateway_relay.step()
    assert world.participant(fresh) == world.participant(world.factory)


# Refused before it costs anything


def test_what_does_not_fit_is_refused(world: RelayWorld) -> None:
    chain, good = world.world.chain, world.request(lot("a"))
    now_s = good.request.deadline - 300
    refuse(world, world.request(lot("a"), chain_id=chain.chain_id + 1), 400, "another chain or forwarder")
    refuse(world, world.request(lot("a"), forwarder=chain.ledger), 400, "another chain or forwarder")
    refuse(world, world.request(lot("a"), to=b"\x77" * 20), 400, "neither registry nor ledger")
    refuse(world, world.request(lot("a"), to=chain.forwarder), 400, "neither registry nor ledger")
    refuse(world, world.request(lot("a"), gas=MAX_GAS + 1), 400, "more than")
    refuse(world, world.request(lot("a"), deadline=now_s - 1), 400, "the deadline is not within")
    refuse(world, world.request(lot("a"), deadline=now_s + LONGEST_S + 600), 400, "the deadline is not within")
    refuse(world, world.request(lot("a"), nonce=1), 400, "the nonce is 1, but the key's next nonce is 0")
    refuse(world, world.request(lot("a"), data=b"\x01\x02\x03\x04"), 400, "does not make a record")
    refuse(world, world.request(lot("a"), data=b""), 400, "does not make a record")
    refuse(world, world.request(lot("a"), data=good.request.data[:-1]), 400, "cannot be read")
    nested = multicall_data(Contract.LEDGER, [multicall_data(Contract.LEDGER, [good.request.data])])
    refuse(world, world.request(lot("a"), data=nested), 400, "does not make a record")
    batch = execute_data(good)
    refuse(world, world.request(lot("a"), data=batch), 400, "does not make a record")
    assert hand_in(world, good).status_code == 202, "all else was right"


def test_a_changed_request_is_refused(world: RelayWorld) -> None:
    good = world.request(lot("a"))
    for other in (world.request(lot("b")), world.request(lot("a"), gas=1_000_000), world.request(lot("a"), nonce=1)):
        refuse(world, SignedRequest(other.request, good.signature), 400, "the signature is not the signer's")
    stranger = SignedRequest(replace(good.request, signer=world.stranger.address), good.signature)
    refuse(world, stranger, 400, "the signature is not the signer's")
    raw = json.loads(good.to_bytes())
    refuse(world, json.dumps(raw).encode(), 400, "not in canonical form")
    refuse(world, json.dumps({**raw, "value": 1}).encode(), 400, "cannot be used")
    refuse(world, b"{", 400, "cannot be used")


def test_the_ledgers_own_error_is_named_before_anything_is_paid(world: RelayWorld) -> None:
    scrap = ScrapLot(sha256(b"no such lot"), 1, Disposition.SCRAPPED, NOTHING)
    refuse(world, world.request(lot("a"), scrap), 409, "LotUnknown(lot=0x")
    refuse(world, world.request(lot("a"), gas=40_000), 409, "Reverted()")
    assert world.world.chain.forward_nonce(world.factory.address) == 0


def test_only_the_own_participants_credential_will_do(world: RelayWorld) -> None:
    good = world.request(lot("a"))
    foreign = world.token(world.participant(world.stranger))
    refuse(world, good, 403, "the key belongs to another participant", foreign)
    refuse(world, good, 403, "lacks the scope relay", world.token(world.participant(world.factory), Scope.PROVENANCE))
    assert world.client.post("/v1/relay", content=good.to_bytes()).status_code == 401
    assert hand_in(world, good).status_code == 202
    path = f"/v1/relay/0x{good.request.digest.hex()}"
    assert world.client.get(path, headers={"Authorization": f"Bearer {foreign}"}).status_code == 404
    call = {"contract": "ledger", "data": "0x" + good.request.data.hex(), "key": "0x" + world.factory.address.hex()}
    asked = world.client.post("/v1/relay/simulations", json=call, headers={"Authorization": f"Bearer {foreign}"})
    assert asked.status_code == 403


def test_the_key_that_pays_has_no_other_use(tmp_path: Path) -> None:
    with open_relay_world(tmp_path) as world:
        chain, payer = world.world.chain, world.relayer.address
        verify_payer(chain, payer, None)
        verify_payer(chain, payer, world.factory.address)
        cases = [
            (payer, payer, "the key with which this gateway records"),
            (world.factory.address, None, f"a key of participant {world.participant(world.factory)}"),
            (world.world.owner.address, None, "the key that owns the registry"),
        ]
        for key, company, told in cases:
            with pytest.raises(SettingsError, match=f"the relay's key is {told}"):
                verify_payer(chain, key, company)
        signed = sign_request(replace(world.request(lot("a")).request, signer=payer), world.relayer)
        refuse(world, signed, 403, "the key is the one that pays at this relay")


# Once, and no more than once


def _finish(world: RelayWorld, request: SignedRequest) -> dict[str, Any]:
    """Steps until the request is through: the node may take a moment for the receipt, and for what is final."""

    def is_done() -> bool:
        world.gateway_relay.step()
        return hand_in(world, request).json()["state"] not in ("queued", "sent", "mined")

    wait_until(is_done)
    found: dict[str, Any] = hand_in(world, request).json()
    return found


def test_a_request_handed_in_twice_is_one(world: RelayWorld) -> None:
    good = world.request(lot("a"))
    first, second = hand_in(world, good), hand_in(world, good)
    assert (first.status_code, first.json()) == (202, second.json())
    other = world.request(lot("b"))
    refuse_other = hand_in(world, other)
    assert (refuse_other.status_code, "another request with this nonce" in refuse_other.text) == (400, True)
    done = _finish(world, good)
    assert (done["state"], done["error"]) == ("final", None)
    assert world.world.count() == 1
    replayed = hand_in(world, SignedRequest(replace(good.request), good.signature))
    assert replayed.json()["state"] == "final", "the same request, the same answer"
    refuse(world, other, 400, "the nonce is 0, but the key's next nonce is 1")


def test_a_relay_that_starts_again_sends_what_it_had_acknowledged(world: RelayWorld) -> None:
    """It died between acknowledging and sending."""
    good = world.request(lot("a"), lot("b"))
    assert hand_in(world, good).json()["state"] == "queued"
    world.restart_relay()
    assert hand_in(world, good).json()["state"] == "queued"
    world.gateway_relay.step()
    world.restart_relay()
    world.gateway_relay.step()
    assert hand_in(world, good).json()["state"] == "final"
    assert (world.world.count(), world.world.chain.forward_nonce(world.factory.address)) == (2, 1)


def test_the_ledger_refuses_what_a_relay_repeats(world: RelayWorld) -> None:
    """Past the gateway: whoever has the bytes can send them."""
    good = world.request(lot("a"))
    hand_in(world, good)
    world.gateway_relay.step()
    with pytest.raises(ContractRefusedError, match="ERC2771ForwarderInvalidSigner"):
        world.world.chain.simulate_forward(good, world.stranger.address)
    with pytest.raises(ContractRefusedError, match="ERC2771ForwarderExpiredRequest"):
        world.world.chain.simulate_forward(world.request(lot("b"), deadline=1), world.stranger.address)


def test_what_the_ledger_comes_to_refuse_fails_by_name_at_the_relay(world: RelayWorld) -> None:
    """It was taken, and another record came first: on the chain nothing of it happened, and its nonce is free."""
    request = world.request(lot("same"), lot("more"))
    assert hand_in(world, request).status_code == 202
    direct = world.world.submitter(Outbox(world.store), world.world.fund(world.factory))
    direct.submit([("first", lot("same"))])
    direct.drain()
    world.gateway_relay.step()
    found = hand_in(world, request).json()
    assert (found["state"], found["error_name"]) == ("failed", "HistorySubjectTaken")
    assert world.world.count() == 1
    assert world.world.chain.forward_nonce(world.factory.address) == 0


# The factory's side


def test_what_is_lost_on_the_way_is_sent_again(world: RelayWorld) -> None:
    relay = world.relay()
    submitter = world.submitter(relay)
    ids = submitter.submit([("lot", lot("a"))])
    sent: list[bytes] = []
    real = relay.send

    def lose(raw: bytes) -> None:
        """First it does not arrive; then its acknowledgement does not."""
        sent.append(raw)
        if len(sent) > 1:
            real(raw)
        if len(sent) < 3:
            raise ChainUnreachableError("the line is cut")

    relay.send = lose  # type: ignore[method-assign]  # the line, not the relay
    for _ in range(2):
        with pytest.raises(ChainUnreachableError):
            submitter.step()
    world.settle(submitter)
    verify_final(Outbox(world.own), ids)
    assert len(set(sent)) == 1, "the same bytes"
    assert world.world.count() == 1


def test_a_restarted_factory_goes_on_with_the_bytes_it_stored(world: RelayWorld) -> None:
    ids = world.submitter().submit([(f"lot-{number}", lot(f"{number}")) for number in range(3)])
    world.submitter().step()
    stored = Outbox(world.own, relayed=True).open_transactions(world.factory.address)
    world.settle(world.submitter())
    verify_final(Outbox(world.own), ids)
    assert world.world.chain.forward_nonce(world.factory.address) == 1
    assert len(stored) == 1


@pytest.mark.parametrize("ahead_s", [0, -1800, 1800])
def test_a_request_that_ran_out_is_signed_anew_for_the_same_nonce(
    world: RelayWorld, monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    """However far the factory's clock is from the chain's: it waits for the chain's alone."""
    monkeypatch.setattr("millmark.ledger.submit.relay.time", Clock(ahead_s))
    relay = world.relay()
    submitter = world.submitter(relay, validity_s=60)
    ids = submitter.submit([("lot", lot("a"))])
    real, digests = relay.send, set()

    def drop(raw: bytes) -> None:
        digests.add(raw)

    relay.send = drop  # type: ignore[method-assign]  # a relay that acknowledges and forgets
    submitter.step()
    deadline = json.loads(next(iter(digests)))["deadline"]
    assert abs(deadline - world.world.chain.node.header().timestamp) < 600
    pass_time(world, deadline)
    relay.send = real  # type: ignore[method-assign]  # the real one again
    world.settle(world.submitter(relay))
    verify_final(Outbox(world.own), ids)
    assert world.world.count() == 1


@pytest.mark.parametrize("ahead_s", [-1800, 1800])
def test_what_ran_out_at_the_relay_is_signed_anew(
    world: RelayWorld, monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    """The relay took it, and came to send it when it was too late."""
    monkeypatch.setattr("millmark.ledger.submit.relay.time", Clock(ahead_s))
    submitter = world.submitter(validity_s=60)
    ids = submitter.submit([("lot", lot("a"))])
    submitter.step()
    [waiting] = Outbox(world.own, relayed=True).open_transactions(world.factory.address)
    assert waiting.raw is not None
    pass_time(world, json.loads(waiting.raw)["deadline"])
    world.gateway_relay.step()
    assert hand_in(world, waiting.raw).json()["error_name"] == "ERC2771ForwarderExpiredRequest"
    world.settle(world.submitter())
    verify_final(Outbox(world.own), ids)
    assert world.world.count() == 1


def test_a_relay_whose_clock_is_far_ahead_is_not_signed_for(world: RelayWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could keep a request alive long after it was to run out."""
    monkeypatch.setattr("millmark.ledger.submit.relay.time", Clock(-7200))
    submitter = world.submitter()
    submitter.submit([("lot", lot("a"))])
    with pytest.raises(ChainError, match="far ahead of this machine's; set this machine's clock"):
        submitter.step()


class Clock:
    """The factory's, so many seconds ahead of everybody else's."""

    def __init__(self, ahead_s: int) -> None:
        self._ahead_s = ahead_s

    def time(self) -> float:
        return time.time() + self._ahead_s

    def monotonic(self) -> float:
        return time.monotonic()


def pass_time(world: RelayWorld, moment_s: int) -> None:
    """Until the chain's last final block is later. Anvil's clock is set; on the embedded chain a block takes a second
    at least."""
    with suppress(RpcError):
        world.world.line.node.request("evm_increaseTime", [max(0, moment_s - int(time.time())) + 1])
    while world.world.chain.header(world.world.chain.final_number()).timestamp <= moment_s:
        mine(world)


def mine(world: RelayWorld) -> None:
    """Blocks follow each other: time passes on the chain."""
    create_code(world.world.chain.node, world.world.owner, b"\x00")


def test_a_relay_of_another_ledger_is_not_signed_for(world: RelayWorld) -> None:
    other = replace(world.world.chain.deployment, forwarder=b"\x66" * 20)
    world.world.chain.deployment = other
    submitter = world.submitter()
    ids = submitter.submit([("lot", lot("a"))])
    with pytest.raises(ChainError, match="the relay serves another ledger"):
        submitter.step()
    assert Outbox(world.own).record(ids[0]).state is OutboxState.QUEUED


def test_a_relay_that_tells_tales_is_not_believed(world: RelayWorld) -> None:
    """What it says was recorded must be what was signed for, by that key."""
    relay = world.relay()
    submitter = world.submitter(relay)
    submitter.submit([("lot", lot("a"))])
    real = relay.look

    def lie(digest: bytes) -> Outcome | None:
        found = real(digest)
        told = OutboxState.FINAL
        return found and replace(found, state=told, block_number=1, block_hash=bytes(32), gas_used=1, logs=())

    relay.look = lie  # type: ignore[method-assign]  # a lying relay
    submitter.step()
    with pytest.raises(ChainError, match="records other than those that were signed"):
        submitter.step()
