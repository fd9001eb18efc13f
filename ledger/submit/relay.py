"""Submits records through a relay with chain access, as signed forward requests (millmark.ledger.forward_requests).

The ledger attributes the records to the signer's key, and nobody else can sign for it. As in `Submitter`, records are
durable before they are signed, signed bytes are durable before they are sent, and the same bytes are sent until the
relay reports their outcome. At any time, at most one request is not in a block yet, so its nonce is always the
forwarder's next one. An expired request is signed again for the same nonce and the same records, and the forwarder
executes at most one of the two. Its nonce goes to other records only after the relay reported that the ledger refuses
it, and after its deadline has passed on the chain. Deadlines are set by and compared with the clocks of the relay and
the chain, as reported by the relay: this machine's clock may be wrong.

The relay is trusted as a node would be: to report truthfully what is in a block and what the ledger refuses. A relay
that lies can delay records, or make the submitter believe that they are recorded. It cannot change, forge or duplicate
them. The logs that it reports must be exactly the signed records, by the signer's key; any bundle or other node shows
what is really recorded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from millmark.ledger import forward_requests
from millmark.ledger.chain import Deployment, RawLog, decode_log, multicall_data, read_kinds
from millmark.ledger.errors import (
    ChainError,
    ChainUnreachableError,
    ContractRefusedError,
    LeaseHeldError,
    RequestError,
    SubmitError,
)
from millmark.ledger.records import RECORD_TYPES, Contract, Record
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord, SentTransaction
from millmark.ledger.store.outbox_writer import OutboxWriter
from millmark.ledger.submit.batches import AtOnce, Batch, Batches, describe_chain
from millmark.ledger.submit.submitter import Lease, build_entry

_PAUSE_S = 0.2
_FRAME_BYTES = 1024
"""Size of a request in JSON, without its data."""
_MAX_SKEW_S = 3600
"""How far the relay's clock may be ahead of this machine's. It bounds how long a relay can keep a request valid by
reporting a false time."""
_UNDER_WAY = (OutboxState.QUEUED, OutboxState.NONCED, OutboxState.SIGNED, OutboxState.SENT)
_EVENTS = {(kind.contract, kind.__name__): (kind.event, kind.or_event or kind.event) for kind in RECORD_TYPES}


@dataclass(frozen=True, slots=True)
class Terms:
    """The chain, nonce and clock that the key's next request must match."""

    chain_id: int
    forwarder: bytes
    """Address, 20 bytes."""
    nonce: int
    """Nonce of the key's next request, as of the latest block."""
    final_nonce: int
    """Nonce of the key's next request, as of the last final block."""
    final_time_s: int
    """Time of the last final block, in seconds since 1970: no later block can execute a request with an earlier
    deadline."""
    now_s: int
    """The time that the relay compares a new request's deadline with, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a request, as reported by the relay."""

    state: OutboxState
    """QUEUED to SENT while it is pending, then MINED, FINAL or FAILED."""
    error_name: str | None
    """Name of the contract's error in Solidity."""
    error: str | None
    """The error in one line."""
    block_number: int | None
    block_hash: bytes | None
    gas_used: int | None
    logs: tuple[RawLog, ...]
    """Logs of the called contract, once the request is in a block."""


class Relay(Protocol):
    """A client of a relay. Methods raise ChainUnreachableError if there is no usable answer, and ChainError if the
    relay refuses.
    """

    def terms(self, key: bytes) -> Terms:
        """Return the current terms for a key's next request."""

    def simulate(self, contract: Contract, data: bytes, key: bytes) -> int:
        """Return the gas that a forwarded call needs. Raises ContractRefusedError with the contract's own error."""

    def send(self, raw: bytes) -> None:
        """Send a request in JSON. On return the relay has stored it durably. Idempotent. Raises ContractRefusedError
        when the ledger refuses it now, RequestError when the relay must not relay it."""

    def look(self, digest: bytes) -> Outcome | None:
        """Return the outcome of a request so far; None if the relay does not know the request."""


class RelaySubmitter:
    """Submits records for one key, like `Submitter`, but through a relay.

    `validity_s` is the time from signing a request to its deadline, `resend_s` the time between sending it again.
    """

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
        self._batches = Batches(_RelayCalls(relay), self._outbox, signer.address, AtOnce())
        self._batch_size = batch_size
        self._bound = False
        self._rests = False
        self._sent_at: dict[bytes, float] = {}
        """Time of sending by digest, on the monotonic clock. After a crash it is empty, and all is sent at once."""
        self._refused: dict[bytes, str] = {}
        """The ledger's error by digest, for refused requests. After a crash they are sent, and refused, again."""

    @property
    def key(self) -> bytes:
        """The signing address."""
        return self._signer.address

    def submit(self, records: Sequence[tuple[str, Record]], depends_on: Mapping[str, str] | None = None) -> list[int]:
        """Like `Submitter.submit`."""
        needed = depends_on or {}
        return self._outbox.enqueue(self.key, [build_entry(key, one, needed.get(key)) for key, one in records])

    def drain(self, timeout_s: float = 60.0) -> None:
        """Like `Submitter.drain`."""
        deadline = time.monotonic() + timeout_s
        while not self._step_or_wait(deadline):
            if time.monotonic() > deadline:
                raise SubmitError(
                    f"records of 0x{self.key.hex()} are still pending after {timeout_s:.0f} s",
                    hint="ask the operator of the relay; nothing was lost",
                )
            time.sleep(_PAUSE_S)

    def _step_or_wait(self, deadline: float) -> bool:
        try:
            return self.step()
        except ChainUnreachableError:
            if time.monotonic() > deadline:
                raise
            return False

    def head_number(self) -> None:
        """Always None: only the relay knows the chain's latest block."""

    def step(self) -> bool:
        """Advance all open requests, and start new ones. Returns whether nothing is left to do.

        Raises LeaseHeldError when another submitter is active for the key, WrongChainError when the outbox is for
        another ledger, ChainError and its kinds when the relay fails, RequestError when it refuses a request. The next
        step continues where this one stopped.
        """
        if self._rests and self._outbox.is_idle(self.key):
            return True  # and the lease is not renewed, as in `Submitter`
        try:
            writer = self._lease.hold()
            if not self._bound:
                self._outbox.bind(describe_chain(self._deployment))
                self._bound = True
            for transaction in self._outbox.open_transactions(self.key):
                self._follow(writer, transaction)
            # One request at a time: the forwarder refuses every nonce but the next.
            while not self._outbox.count_unmined(self.key):
                batch = self._batches.build(writer, self._batch_size)
                if batch is None:
                    break
                self._follow(writer, self._allocate(writer, batch))
        except LeaseHeldError:
            self._lease.drop()
            raise
        is_idle = self._outbox.is_idle(self.key)
        self._rests = is_idle and not self._outbox.open_transactions(self.key)
        return is_idle

    def _allocate(self, writer: OutboxWriter, batch: Batch) -> SentTransaction:
        """Assign the next nonce to a batch."""
        # The relay's nonce counts only for the key's very first request. Later, a relay that reports too low a nonce
        # could get the records of an executed request signed, and executed, a second time.
        contract = Contract(batch.records[0].contract)
        known = self._outbox.next_nonce(self.key)
        first = self._terms().nonce if known is None else known
        address = self._deployment.registry if contract is Contract.REGISTRY else self._deployment.ledger
        return writer.allocate(first, batch.records, address, batch.data, batch.gas_limit)

    def _follow(self, writer: OutboxWriter, transaction: SentTransaction) -> None:
        if transaction.state is OutboxState.NONCED:
            signed = self._sign(transaction)
            transaction = writer.store_signed(transaction.id, signed.to_bytes(), signed.request.digest, 0, 0)
        if transaction.state is OutboxState.SIGNED:
            self._send(writer, transaction)
        else:
            self._settle(writer, transaction)

    # Signing and sending

    def _sign(self, transaction: SentTransaction) -> forward_requests.SignedRequest:
        deployment = self._deployment
        request = forward_requests.ForwardRequest(
            chain_id=deployment.chain_id,
            forwarder=deployment.forwarder,
            signer=self.key,
            to=transaction.recipient,
            gas=transaction.gas_limit,
            nonce=transaction.nonce,
            deadline=self._terms().now_s + self._validity_s,
            data=transaction.data,
        )
        return forward_requests.sign_request(request, self._signer)

    def _send(self, writer: OutboxWriter, transaction: SentTransaction) -> None:
        """Send the stored bytes."""
        # Marked as sent before sending: after a crash in between, only the relay knows whether it has them.
        if transaction.state is OutboxState.SIGNED:
            writer.mark_sent(transaction.id)
        self._sent_at[_digest(transaction)] = time.monotonic()
        try:
            self._relay.send(_raw(transaction))
        except ContractRefusedError as error:
            # The simulation accepted it, so the state changed. Settled once it has expired and cannot be executed.
            self._refused[_digest(transaction)] = error.cause
        except RequestError:
            if self._terms().now_s < forward_requests.parse_request(_raw(transaction)).request.deadline:
                raise  # refused for another reason than an expired deadline

    # Settling

    def _settle(self, writer: OutboxWriter, transaction: SentTransaction) -> None:
        """Store the outcome of a request. Any version that was signed for its nonce may be the one in a block."""
        digests = [_digest(transaction), *(version.hash for version in transaction.replaced)]
        outcomes = [outcome for digest in digests if (outcome := self._relay.look(digest)) is not None]
        done = next((one for one in outcomes if one.state in (OutboxState.MINED, OutboxState.FINAL)), None)
        if done is not None:
            self._settle_done(writer, transaction, done)
        elif transaction.state is OutboxState.MINED:
            writer.mark_reorganised(transaction.id)
        elif not any(one.state in _UNDER_WAY for one in outcomes):
            self._settle_idle(writer, transaction, outcomes)

    def _settle_idle(self, writer: OutboxWriter, transaction: SentTransaction, outcomes: Sequence[Outcome]) -> None:
        """Continue with a request that the relay is not processing: send it again, or settle it once it has expired.
        This machine's clock decides neither."""
        refused = bool(outcomes) or _digest(transaction) in self._refused
        waited_s = time.monotonic() - self._sent_at.get(_digest(transaction), float("-inf"))
        if not refused and waited_s < self._resend_s:
            return
        terms, deadline = self._terms(), forward_requests.parse_request(_raw(transaction)).request.deadline
        if terms.final_time_s > deadline:
            self._settle_expired(writer, transaction, outcomes, terms)
        elif not refused and terms.now_s < deadline:
            self._send(writer, transaction)

    def _settle_done(self, writer: OutboxWriter, transaction: SentTransaction, outcome: Outcome) -> None:
        number, block_hash, gas = outcome.block_number, outcome.block_hash, outcome.gas_used
        if number is None or block_hash is None or gas is None:
            raise ChainError("the relay reports a block without its number, hash or gas", hint="use another relay")
        if transaction.state is not OutboxState.MINED:
            contract = Contract(transaction.records[0].contract)
            sequences = read_sequences(contract, transaction.recipient, transaction.data, self.key, outcome)
            writer.mark_mined(transaction.id, number, block_hash, gas, sequences)
        elif block_hash != transaction.block_hash:
            writer.mark_reorganised(transaction.id)
            return
        if outcome.state is OutboxState.FINAL:
            writer.mark_final(transaction.id)
            self._sent_at.pop(_digest(transaction), None)

    def _settle_expired(
        self, writer: OutboxWriter, transaction: SentTransaction, outcomes: Sequence[Outcome], terms: Terms
    ) -> None:
        """Continue after a request's deadline has passed in a final block, so that no block can execute it any more.

        It is signed again with a new deadline. But if the ledger refused it, or its records were cancelled, they are
        queued again: the next simulation tells the cause.
        """
        if terms.final_nonce > transaction.nonce:
            # Perhaps by a version with these very records: signing them for another nonce could record them twice.
            raise ChainError(
                f"nonce {transaction.nonce} of 0x{self.key.hex()} is used, but the relay does not know the request",
                hint="use the relay to which the request was sent, or check the key's records",
            )
        refused = [one.error or "" for one in outcomes if one.state is OutboxState.FAILED]
        refused += [self._refused.pop(_digest(transaction))] if _digest(transaction) in self._refused else []
        # Only here may the nonce be given to other records: the deadline is past, so this request cannot be executed.
        if refused or any(record.cancelling for record in transaction.records):
            writer.give_back(transaction, refused[0] if refused else "cancelled, and its deadline has passed")
            self._batches.note_reverted(writer, transaction.records)
            return
        signed = self._sign(transaction)
        writer.replace_signed(transaction, signed.to_bytes(), signed.request.digest, 0, 0, noop=False)

    def _terms(self) -> Terms:
        """Return the relay's terms. Raises ChainError when it serves another ledger, or its clock is far ahead."""
        terms, deployment = self._relay.terms(self.key), self._deployment
        if (terms.chain_id, terms.forwarder) != (deployment.chain_id, deployment.forwarder):
            raise ChainError("the relay serves another ledger", hint="correct its address, or the deployment file")
        if max(terms.final_time_s, terms.now_s) > time.time() + _MAX_SKEW_S:
            raise ChainError("the relay's clock is far ahead of this machine's", hint="set this machine's clock")
        return terms


def read_sequences(contract: Contract, address: bytes, data: bytes, key: bytes, outcome: Outcome) -> list[int]:
    """Return the sequences of the records that a contract call made, in call order. Raises ChainError unless the logs
    reported by the relay are exactly those records, by this key."""
    expected = [_EVENTS[contract, kind] for kind in read_kinds(contract, data)]
    decoded = [decode_log(contract, log, 0) for log in outcome.logs if log.address == address]
    found = [record for record in decoded if record is not None and record.key == key]
    if len(found) != len(expected) or any(one.kind not in of for one, of in zip(found, expected, strict=True)):
        raise ChainError("the relay reports records other than those that were signed", hint="use another relay")
    return [record.sequence for record in found]


class _RelayCalls:
    """Builds calls, and has the relay simulate them."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def together(self, records: Sequence[QueuedRecord]) -> int:
        return len(records)

    def prepare(self, records: Sequence[QueuedRecord], sender: bytes, known_limit: int | None) -> tuple[bytes, int]:  # noqa: ARG002  # the relay estimates
        contract, calls = Contract(records[0].contract), [record.payload for record in records]
        data = calls[0] if len(calls) == 1 else multicall_data(contract, calls)
        if 2 * len(data) + _FRAME_BYTES > forward_requests.MAX_REQUEST_BYTES:
            raise ContractRefusedError("RequestTooLarge", {"bytes": len(data)}, hint="record it through your own node")
        return data, self._relay.simulate(contract, data, sender)

    def prepare_all(
        self, known: Sequence[tuple[Sequence[QueuedRecord], int]], sender: bytes
    ) -> list[tuple[bytes, int] | None]:
        return [self.prepare(records, sender, limit) for records, limit in known]


def _raw(transaction: SentTransaction) -> bytes:
    if transaction.raw is None:
        raise SubmitError(f"request {transaction.id} was never signed", hint="report this")
    return transaction.raw


def _digest(transaction: SentTransaction) -> bytes:
    return transaction.hash or b""
