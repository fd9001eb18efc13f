"""Gets records onto the chain through somebody else, who reaches it: signed forward requests (ledger.forward_requests).

The signer's key acts, and nobody else can make it act. As on an own node, records are durable first and the signed
bytes before they are sent, and the same bytes go out again until the relay says what became of them. One request at a
time has no block yet, so that its nonce is the forwarder's next one. One that ran out is signed anew for the same
nonce: the forwarder executes at most one of them, and both carry the same records. Only when the relay says that the
ledger refuses it does its nonce go to other records, and not before its deadline has passed on the chain. Deadlines are
set and compared by what the relay says its clock and the chain's are: nothing waits for this machine's clock.

What the relay is trusted with, as a node would be: that it says truly what is in a block, and what the ledger refuses.
One that lies can hold records back, or have them taken for recorded; it can neither change nor forge nor double them,
and whoever has a bundle, or a node, sees what is there. What it says of the logs must be the records that were signed
for, by the signer's key.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ledger.chain import Deployment, RawLog, call_data, decode_log, multicall_data, read_kinds
from ledger.errors import ChainError, ContractRefusedError, LeaseHeldError, RequestError, SubmitError
from ledger.forward_requests import MAX_REQUEST_BYTES, ForwardRequest, SignedRequest, parse_request, sign_request
from ledger.keys import Signer
from ledger.records import RECORD_TYPES, Contract, Record
from ledger.store import Store
from ledger.store.outbox import Entry, Outbox, OutboxState, OutboxWriter, QueuedRecord, SentTransaction
from ledger.submit.batches import Batch, Batches
from ledger.submit.lease import Lease

__all__ = ["Outcome", "Relay", "RelaySubmitter", "Terms", "read_sequences"]

_PAUSE_S = 0.2
_FRAME_BYTES = 1024
"""Of a written request, around its data."""
_MOST_SKEW_S = 3600
"""Of the relay's clock before this one: more would let a relay keep requests alive that were meant to run out."""
_UNDER_WAY = (OutboxState.QUEUED, OutboxState.NONCED, OutboxState.SIGNED, OutboxState.SENT)
_EVENTS = {(kind.contract, kind.__name__): (kind.event, kind.or_event or kind.event) for kind in RECORD_TYPES}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the relay's chain is, and how far it is."""

    chain_id: int
    forwarder: bytes
    nonce: int
    """Of the key's next request, as of the last block."""
    final_nonce: int
    """The same, as of the last final block."""
    final_time_s: int
    """Of the last final block, in seconds since 1970: what has an earlier deadline is in no later block."""
    now_s: int
    """What the relay compares a deadline with when it is handed a request."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request."""

    state: OutboxState
    """QUEUED to SENT while it is under way, MINED, FINAL or FAILED."""
    error_name: str | None
    error: str | None
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    logs: tuple[RawLog, ...]
    """Of the contract that was called, once it is in a block."""


class Relay(Protocol):
    """Who sends. Raises ChainUnreachableError for no usable answer, ChainError when it refuses the caller."""

    def terms(self, key: bytes) -> Terms: ...

    def simulate(self, contract: Contract, data: bytes, key: bytes) -> int:
        """Gas that a forwarded call takes. Raises ContractRefusedError with the contract's own error."""

    def send(self, raw: bytes) -> None:
        """Hands a written request over, durably; the same one may be sent again. Raises ContractRefusedError when the
        ledger refuses it now, RequestError when it is not one to relay."""

    def look(self, digest: bytes) -> Outcome | None:
        """None for a request that the relay does not know."""


class RelaySubmitter:
    """Submits for one key, as `Submitter` does on an own node. `validity_s`: from signing to a request's deadline."""

    def __init__(
        self,
        relay: Relay,
        deployment: Deployment,
        store: Store,
        signer: Signer,
        *,
        batch_size: int = 50,
        validity_s: int = 300,
        resend_s: float = 5.0,
        lease: Lease | None = None,
    ) -> None:
        self._relay = relay
        self._deployment = deployment
        self._outbox = Outbox(store, relayed=True)
        self._signer = signer
        self._validity_s = validity_s
        self._resend_s = resend_s
        self._lease = Lease(self._outbox, signer.address) if lease is None else lease
        self._batches = Batches(_RelayCalls(relay), self._outbox, signer.address, batch_size)
        self._sent_at: dict[bytes, float] = {}
        """By digest, on the monotonic clock; lost in a crash, after which everything is sent at once."""
        self._refused: dict[bytes, str] = {}
        """By digest, what the ledger would have said; after a crash it is asked again."""

    @property
    def key(self) -> bytes:
        """The signing address."""
        return self._signer.address

    def submit(self, records: Sequence[tuple[str, Record]], depends_on: Mapping[str, str] | None = None) -> list[int]:
        """As Submitter.submit."""
        needed = depends_on or {}
        entries = [
            Entry(key, record.contract.value, type(record).__name__, call_data(record), needed.get(key))
            for key, record in records
        ]
        return self._outbox.enqueue(self.key, entries)

    def drain(self, timeout_s: float = 60.0) -> None:
        """As Submitter.drain."""
        deadline = time.monotonic() + timeout_s
        while not self.step():
            if time.monotonic() > deadline:
                raise SubmitError(
                    f"records of 0x{self.key.hex()} still wait after {timeout_s:.0f} s",
                    hint="ask the operator of the relay; nothing was lost",
                )
            time.sleep(_PAUSE_S)

    def head_number(self) -> None:
        """Only the relay sees the chain."""

    def step(self) -> bool:
        """One round. True when nothing is left to do. Raises LeaseHeldError when another submitter works for the key,
        ChainError and its kinds when the relay fails, RequestError when it does not take a request; the next round goes
        on where this one stopped."""
        try:
            desk = self._lease.hold()
            for transaction in self._outbox.open_transactions(self.key):
                self._follow(desk, transaction)
            while not self._outbox.count_unmined(self.key):
                batch = self._batches.build(desk)
                if batch is None:
                    break
                self._follow(desk, self._allocate(desk, batch))
        except LeaseHeldError:
            self._lease.drop()
            raise
        return not self._outbox.open_transactions(self.key)

    def _allocate(self, desk: OutboxWriter, batch: Batch) -> SentTransaction:
        """The relay's word on the nonce counts only as long as none was ever taken here: its next word might free the
        nonce of a request that it has executed, whose records would then be signed for again."""
        contract = Contract(batch.records[0].contract)
        known = self._outbox.next_nonce(self.key)
        first = self._terms().nonce if known is None else known
        return desk.allocate(first, batch.records, self._address(contract), batch.data, batch.gas_limit)

    def _follow(self, desk: OutboxWriter, transaction: SentTransaction) -> None:
        if transaction.state is OutboxState.NONCED:
            signed = self._sign(transaction)
            transaction = desk.store_signed(transaction.id, signed.to_bytes(), signed.request.digest, 0, 0)
        if transaction.state is OutboxState.SIGNED:
            self._send(desk, transaction)
        else:
            self._settle(desk, transaction)

    # Signing and sending

    def _sign(self, transaction: SentTransaction) -> SignedRequest:
        deployment = self._deployment
        request = ForwardRequest(
            chain_id=deployment.chain_id,
            forwarder=deployment.forwarder,
            signer=self.key,
            to=transaction.recipient,
            gas=transaction.gas_limit,
            nonce=transaction.nonce,
            deadline=self._terms().now_s + self._validity_s,
            data=transaction.data,
        )
        return sign_request(request, self._signer)

    def _send(self, desk: OutboxWriter, transaction: SentTransaction) -> None:
        """The stored bytes; marked as sent first, since whether a relay has them is known only by asking it."""
        if transaction.state is OutboxState.SIGNED:
            desk.mark_sent(transaction.id)
        self._sent_at[_digest(transaction)] = time.monotonic()
        try:
            self._relay.send(_raw(transaction))
        except ContractRefusedError as error:
            self._refused[_digest(transaction)] = error.cause  # the simulation took it: told when it ran out
        except RequestError:
            if self._terms().now_s < parse_request(_raw(transaction)).request.deadline:
                raise  # for another reason than that it came too late

    # Settling

    def _settle(self, desk: OutboxWriter, transaction: SentTransaction) -> None:
        """Of all versions that were signed for the nonce, whichever is in a block."""
        digests = [_digest(transaction), *(version.hash for version in transaction.replaced)]
        outcomes = [outcome for digest in digests if (outcome := self._relay.look(digest)) is not None]
        done = next((one for one in outcomes if one.state in (OutboxState.MINED, OutboxState.FINAL)), None)
        if done is not None:
            self._settle_done(desk, transaction, done)
        elif transaction.state is OutboxState.MINED:
            desk.mark_reorganised(transaction.id)
        elif not any(one.state in _UNDER_WAY for one in outcomes):
            self._settle_idle(desk, transaction, outcomes)

    def _settle_idle(self, desk: OutboxWriter, transaction: SentTransaction, outcomes: Sequence[Outcome]) -> None:
        """Nobody works at it: it is sent again while there is time, and given up when it ran out. This machine's clock
        decides neither."""
        refused = bool(outcomes) or _digest(transaction) in self._refused
        waited_s = time.monotonic() - self._sent_at.get(_digest(transaction), float("-inf"))
        if not refused and waited_s < self._resend_s:
            return
        terms, deadline = self._terms(), parse_request(_raw(transaction)).request.deadline
        if terms.final_time_s > deadline:
            self._settle_expired(desk, transaction, outcomes, terms)
        elif not refused and terms.now_s < deadline:
            self._send(desk, transaction)

    def _settle_done(self, desk: OutboxWriter, transaction: SentTransaction, outcome: Outcome) -> None:
        if transaction.state is not OutboxState.MINED:
            contract = Contract(transaction.records[0].contract)
            sequences = read_sequences(contract, transaction.recipient, transaction.data, self.key, outcome)
            number, block_hash, gas = outcome.block_number, outcome.block_hash, outcome.gas_used
            desk.mark_mined(transaction.id, number or 0, block_hash or b"", gas or 0, sequences)
        elif outcome.block_hash != transaction.block_hash:
            desk.mark_reorganised(transaction.id)
            return
        if outcome.state is OutboxState.FINAL:
            desk.mark_final(transaction.id)
            self._sent_at.pop(_digest(transaction), None)

    def _settle_expired(
        self, desk: OutboxWriter, transaction: SentTransaction, outcomes: Sequence[Outcome], terms: Terms
    ) -> None:
        """No block can have it any more: it is signed anew; or, when the ledger refused it or its records were given
        up, they wait again, to be told why."""
        if terms.final_nonce > transaction.nonce:
            raise ChainError(
                f"nonce {transaction.nonce} of 0x{self.key.hex()} is spent, and the relay does not know by what",
                hint="use the relay that had the request, or look at the key's records",
            )
        refused = [one.error or "" for one in outcomes if one.state is OutboxState.FAILED]
        refused += [self._refused.pop(_digest(transaction))] if _digest(transaction) in self._refused else []
        if refused or any(record.cancelling for record in transaction.records):
            desk.give_back(transaction, refused[0] if refused else "given up, and its deadline passed")
            self._batches.note_reverted(desk, transaction.records)
            return
        signed = self._sign(transaction)
        desk.replace_signed(transaction, signed.to_bytes(), signed.request.digest, 0, 0, noop=False)

    def _terms(self) -> Terms:
        """Raises ChainError when the relay serves another ledger, or its clock is far ahead of ours."""
        terms, deployment = self._relay.terms(self.key), self._deployment
        if (terms.chain_id, terms.forwarder) != (deployment.chain_id, deployment.forwarder):
            raise ChainError("the relay serves another ledger", hint="correct its address, or the deployment file")
        if max(terms.final_time_s, terms.now_s) > time.time() + _MOST_SKEW_S:
            raise ChainError("the relay's clock is far ahead of this one", hint="set this machine's clock")
        return terms

    def _address(self, contract: Contract) -> bytes:
        return self._deployment.registry if contract is Contract.REGISTRY else self._deployment.ledger


def read_sequences(contract: Contract, address: bytes, data: bytes, key: bytes, outcome: Outcome) -> list[int]:
    """Of the records that a call of a contract made, in call order. Raises ChainError unless what the relay shows are
    those records, by this key."""
    expected = [_EVENTS[contract, kind] for kind in read_kinds(contract, data)]
    decoded = [decode_log(contract, log, 0) for log in outcome.logs if log.address == address]
    found = [record for record in decoded if record is not None and record.key == key]
    if len(found) != len(expected) or any(one.kind not in of for one, of in zip(found, expected, strict=True)):
        raise ChainError("the relay shows other records than were signed for", hint="use another relay")
    return [record.sequence for record in found]


class _RelayCalls:
    """Calls as the relay's chain would take them now."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def together(self, records: Sequence[QueuedRecord]) -> int:
        return len(records)

    def prepare(self, records: Sequence[QueuedRecord], sender: bytes, known_limit: int | None) -> tuple[bytes, int]:  # noqa: ARG002  # the relay estimates
        contract, calls = Contract(records[0].contract), [record.payload for record in records]
        data = calls[0] if len(calls) == 1 else multicall_data(contract, calls)
        if 2 * len(data) + _FRAME_BYTES > MAX_REQUEST_BYTES:
            raise ContractRefusedError("RequestTooLarge", {"bytes": len(data)}, hint="record it on a node of your own")
        return data, self._relay.simulate(contract, data, sender)


def _raw(transaction: SentTransaction) -> bytes:
    if transaction.raw is None:
        raise SubmitError(f"request {transaction.id} was never signed", hint="report this")
    return transaction.raw


def _digest(transaction: SentTransaction) -> bytes:
    return transaction.hash or b""
