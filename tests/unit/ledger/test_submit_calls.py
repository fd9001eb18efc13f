"""What goes into one call, and what is looked at by itself: forward requests, which are calls already."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from millmark.ledger.chain import RawLog, Receipt, multicall_data
from millmark.ledger.errors import ChainError, ContractRefusedError
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract, Disposition, ReceiveLot, ScrapLot
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import FORWARDER, Entry, OutboxState, QueuedRecord, SentTransaction
from millmark.ledger.submit import Outcome, batches, build_entry, relay
from millmark.ledger.submit.batches import ChainCalls, read_sequences, recipient_of
from tests.support.ledger_world import LedgerWorld

PAYER, OTHER = LocalSigner.from_bytes(b"\1" * 32), b"\2" * 20


def queued(outbox: Outbox, *entries: Entry) -> list[QueuedRecord]:
    ids = outbox.enqueue(PAYER.address, list(entries))
    found = outbox.among(ids)
    return [found[one] for one in ids]


def request(world: LedgerWorld, outbox: Outbox, signer: LocalSigner) -> QueuedRecord:
    signed = world.sign_request(signer)
    [found] = queued(outbox, Entry(signed.request.digest.hex(), FORWARDER, "Forward", signed.to_bytes()))
    return found


def test_records_go_together_and_forward_requests_alone(world: LedgerWorld, outbox: Outbox) -> None:
    calls = ChainCalls(world.chain)
    records = queued(outbox, *(build_entry(key, lot) for key, lot in world.lots(3)))
    forward = request(world, outbox, world.admit(outbox))
    assert [calls.together(records[:count]) for count in (1, 2, 3)] == [1, 2, 3]
    assert [calls.together([forward] * count) for count in (1, 2, 3)] == [1, 1, 1]
    assert recipient_of(world.chain, records) == world.chain.ledger
    assert recipient_of(world.chain, [forward]) == world.chain.forwarder


def test_calls_are_looked_at_up_to_the_first_forward_request(world: LedgerWorld, outbox: Outbox) -> None:
    signer, calls = world.admit(outbox), ChainCalls(world.chain)
    [first, second] = queued(outbox, *(build_entry(key, lot) for key, lot in world.lots(2)))
    forward = request(world, outbox, signer)
    known = [([first], 300_000), ([forward], 300_000), ([second], 300_000)]
    assert calls.prepare_all(known, signer.address) == [(first.payload, 300_000), None, None]
    assert calls.prepare_all(known[1:], signer.address) == [None, None]
    assert calls.prepare_all(known[::2], PAYER.address) == [None, None], "by a key that nobody knows"


def test_a_forward_request_is_refused_once_it_was_executed(world: LedgerWorld, outbox: Outbox) -> None:
    calls, payer = ChainCalls(world.chain), world.fund(LocalSigner.generate())
    forward = request(world, outbox, world.admit(outbox))
    before = world.chain.look(payer.address).head
    data, gas = calls.prepare([forward], payer.address)
    assert calls.find_refusal(forward, payer.address, before) is None
    world._send(payer, world.chain.forwarder, data)
    found = calls.find_refusal(forward, payer.address, world.chain.look(payer.address).head)
    assert isinstance(found, ContractRefusedError)
    assert gas > 21_000
    with pytest.raises(ContractRefusedError):
        calls.prepare([forward], payer.address)


@pytest.mark.parametrize("made", [["ReceiveLot"], ["ReceiveLot"] * 3, ["ReceiveLot", "ScrapLot"], ["ScrapLot"] * 2])
def test_the_events_of_a_transaction_are_those_of_its_records(
    world: LedgerWorld, outbox: Outbox, made: list[str]
) -> None:
    """By a submitter's own receipt, and by what a relay reports."""
    signer, ledger = world.admit(outbox), world.chain.ledger
    lots = [lot for _, lot in world.lots(4) if isinstance(lot, ReceiveLot)]
    participant = world.participants()
    scraps = [
        ScrapLot(subject(SubjectKind.LOT, participant, lot.identifier_hash), 1, Disposition.SCRAPPED, bytes(32))
        for lot in lots[2:]
    ]
    emitted = {"ReceiveLot": world.emit(signer, lots), "ScrapLot": world.emit(signer, scraps)}
    records = queued(outbox, *(build_entry(str(place), lot) for place, lot in enumerate(lots[:2])))
    sent = cast("SentTransaction", SimpleNamespace(records=records, signer=signer.address))

    data = multicall_data(Contract.LEDGER, [record.payload for record in records])

    def read(shown: list[RawLog]) -> list[int] | None:
        return read_sequences(world.chain, sent, Receipt(bytes(32), True, 1, bytes(32), 1, None, tuple(shown)))

    def read_reported(shown: list[RawLog]) -> list[int]:
        outcome = Outcome(OutboxState.MINED, None, None, 1, bytes(32), 1, tuple(shown))
        return relay.read_sequences(Contract.LEDGER, ledger, data, signer.address, outcome)

    with pytest.raises(ChainError, match="emitted events other than those of its records"):
        read([emitted[kind][place] for place, kind in enumerate(made)])
    with pytest.raises(ChainError, match="records other than those that were signed; use another relay"):
        read_reported([emitted[kind][place] for place, kind in enumerate(made)])
    last = world.count() - len(lots) - len(scraps)
    for found in (read(emitted["ReceiveLot"][:2]), read_reported(emitted["ReceiveLot"][:2])):
        assert found == [last + 1, last + 2]


SHOWN: list[tuple[list[tuple[str, bytes]], list[int] | None]] = [
    ([("CertificateUpheld", PAYER.address)], [0]),
    ([("CertificateRefuted", PAYER.address)], [0]),
    ([("CertificateRefuted", OTHER), ("CertificateUpheld", PAYER.address)], [1]),
    ([("CertificateRevoked", PAYER.address)], None),
    ([("CertificateUpheld", OTHER)], None),
]
"""Events by key, and the sequence of a challenge that they show; None if they show none."""


@pytest.mark.parametrize(("shown", "sequences"), SHOWN)
def test_a_challenge_is_recorded_by_its_event_whether_upheld_or_refuted(
    world: LedgerWorld,
    monkeypatch: pytest.MonkeyPatch,
    shown: list[tuple[str, bytes]],
    sequences: list[int] | None,
) -> None:
    """By a submitter's own receipt, and by what a relay reports; events of other keys are not looked at."""
    ledger, key = world.chain.ledger, PAYER.address
    logs = tuple(
        cast("RawLog", SimpleNamespace(address=ledger, kind=kind, key=by, sequence=place))
        for place, (kind, by) in enumerate(shown)
    )
    for module in (batches, relay):
        monkeypatch.setattr(module, "decode_log", lambda _, log, __: log)
    monkeypatch.setattr(relay, "read_kinds", lambda _, __: ["Challenge"])
    challenge = SimpleNamespace(contract="ledger", kind="Challenge")
    sent = cast("SentTransaction", SimpleNamespace(records=[challenge], signer=key))
    receipt = Receipt(bytes(32), True, 1, bytes(32), 1, None, logs)
    outcome = Outcome(OutboxState.MINED, None, None, 1, bytes(32), 1, logs)
    readings: tuple[Callable[[], list[int] | None], ...] = (
        lambda: read_sequences(world.chain, sent, receipt),
        lambda: relay.read_sequences(Contract.LEDGER, ledger, b"", key, outcome),
    )
    for read in readings:
        if sequences is None:
            with pytest.raises(ChainError):
                read()
        else:
            assert read() == sequences
