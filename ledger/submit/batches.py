"""Decides which queued records go into the same transaction, and which have failed.

A record fails for good only if the contract refuses it on its own, when all earlier records are in a block, and the
refusal is final (millmark.ledger.submit.batches). Otherwise the cause may be the size of the batch, an earlier record
that the chain does not have yet, or a node that is behind.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

from millmark.ledger.chain import Chain, Deployment, Head, Receipt, Sight, decode_log, execute_data, read_kinds
from millmark.ledger.errors import ChainError, ChainUnreachableError, ContractRefusedError, NodeBehindError
from millmark.ledger.forward_requests import parse_request
from millmark.ledger.records import RECORD_TYPES, Contract
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import FORWARDER, OutboxChain, QueuedRecord, SentTransaction
from millmark.ledger.store.outbox_writer import OutboxWriter

# Builds the contract calls that make records, and checks the events that they emitted.
#
# Several records of the same contract may be made in one call by the submitter's own key. A forward request is always
# sent alone: it is itself a call, signed by another key, that makes records for that key.

_EVENTS = {(kind.contract.value, kind.__name__): (kind.event, kind.or_event or kind.event) for kind in RECORD_TYPES}


@dataclass(frozen=True, slots=True)
class _Expected:
    """The events that a transaction must have emitted, in call order."""

    contract: Contract
    key: bytes
    """The acting key of all records."""
    kinds: Sequence[str]
    """Names of the records' classes."""


class ChainCalls:
    """Builds calls, and simulates them on the connected chain."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain

    def together(self, records: Sequence[QueuedRecord]) -> int:
        """Return how many of the records, from the first on, a single transaction can make."""
        return 1 if records[0].contract == FORWARDER else len(records)

    def prepare(
        self, records: Sequence[QueuedRecord], sender: bytes, known_limit: int | None = None
    ) -> tuple[bytes, int]:
        """Return calldata and gas limit. `known_limit` is that of `Chain.simulate`. Raises ContractRefusedError with
        the contract's own error."""
        if records[0].contract == FORWARDER:
            signed = parse_request(records[0].payload)
            return execute_data(signed), self._chain.simulate_forward(signed, sender)
        contract, data = _joined(self._chain, records)
        return data, self._chain.simulate(contract, data, sender, known_limit)

    def prepare_all(
        self, known: Sequence[tuple[Sequence[QueuedRecord], int]], sender: bytes
    ) -> list[tuple[bytes, int] | None]:
        """Like `prepare` for records of several calls with known gas limits; None for a call that needs another look.
        Raises ChainError."""
        # Forward requests may refuse each other, and have fixed gas limits: they are looked at one by one.
        plain = list(takewhile(lambda one: one[0][0].contract != FORWARDER, known))
        calls = [(*_joined(self._chain, records), limit) for records, limit in plain]
        accepted = self._chain.try_all(calls, sender) if calls else []
        found = [(data, limit) if is_fine else None for (_, data, limit), is_fine in zip(calls, accepted, strict=True)]
        return [*found, *[None] * (len(known) - len(plain))]

    def find_refusal(self, record: QueuedRecord, sender: bytes, head: Head) -> ContractRefusedError | None:
        """Return with what error the contract refuses the record alone after block `head`; None if it accepts it.
        Raises ChainUnreachableError if the node does not have that block."""
        try:
            if record.contract == FORWARDER:
                self._chain.simulate_forward(parse_request(record.payload), sender, head.number)
            else:
                self._chain.verify_accepted(Contract(record.contract), record.payload, sender, head)
        except ContractRefusedError as error:
            return error
        return None


def _joined(chain: Chain, records: Sequence[QueuedRecord]) -> tuple[Contract, bytes]:
    contract = Contract(records[0].contract)
    return contract, chain.join_calls(contract, [record.payload for record in records])


def recipient_of(chain: Chain, records: Sequence[QueuedRecord]) -> bytes:
    """Return the address of the contract that a transaction with these records calls."""
    if records[0].contract == FORWARDER:
        return chain.forwarder
    return chain.address(Contract(records[0].contract))


def read_sequences(chain: Chain, transaction: SentTransaction, receipt: Receipt) -> list[int] | None:
    """Return the sequence of each of the transaction's records, in call order; None if the transaction reverted.

    For a forward request, which may make several records, it is the first of their sequences. Raises ChainError when
    the transaction emitted events other than those of its records.
    """
    if not receipt.succeeded:
        return None
    expected = _expect(chain, transaction)
    address = chain.address(expected.contract)
    decoded = [decode_log(expected.contract, log, 0) for log in receipt.logs if log.address == address]
    found = [record for record in decoded if record is not None and record.key == expected.key]
    events = [_EVENTS[expected.contract.value, kind] for kind in expected.kinds]
    if len(found) != len(events) or any(one.kind not in of for one, of in zip(found, events, strict=True)):
        raise ChainError(
            f"transaction 0x{receipt.transaction_hash.hex()} emitted events other than those of its records",
            hint="check that the deployment file is for this version's contracts",
        )
    return [record.sequence for record in found[: len(transaction.records)]]


def _expect(chain: Chain, transaction: SentTransaction) -> _Expected:
    records = transaction.records
    if records[0].contract != FORWARDER:
        return _Expected(Contract(records[0].contract), transaction.signer, [record.kind for record in records])
    request = parse_request(records[0].payload).request
    contract = chain.contract_at(request.to)
    return _Expected(contract, request.signer, read_kinds(contract, request.data))


# Decides whether a node's state may be acted on: whether it is of the right chain, and not behind what was seen.
#
# A node that is behind answers every question, truthfully, for a moment that has passed. By its state, records seem
# refused that the ledger would take, and gas is estimated for other circumstances.

_PATIENCE_S = 5.0
"""Time for which a node may be behind before that is an error: behind one address there may be several nodes, which
are rarely all at the same block."""
_HINT = "check that the node is in sync and has peers; the records wait, and nothing was lost"


class Refusals(Protocol):
    """Decides when the contract's refusal of a record is final."""

    def confirm(
        self, record: QueuedRecord, sender: bytes, refused: ContractRefusedError | None
    ) -> ContractRefusedError | None:
        """Return with what error the contract refuses the record alone after the block that counts, or `refused` where
        none does; None if it accepts it there. Raises ChainError."""

    def note(self, record_id: int) -> None:
        """The contract refused the record after the block that counts."""

    def is_final(self, record_id: int) -> bool:
        """Whether a refusal now is final."""

    def forget(self, record_id: int) -> None:
        """The record failed; it may be resumed later."""

    def forget_all(self) -> None:
        """A record is about to be sent: those that were refused before may have needed it."""


class AtOnce:
    """A refusal is final at once: for relays, which answer for their nodes."""

    def confirm(
        self,
        record: QueuedRecord,  # noqa: ARG002  # the protocol's signature
        sender: bytes,  # noqa: ARG002
        refused: ContractRefusedError | None,
    ) -> ContractRefusedError | None:
        return refused

    def note(self, record_id: int) -> None:
        """Do nothing."""

    def is_final(self, record_id: int) -> bool:  # noqa: ARG002  # the protocol's signature
        return True

    def forget(self, record_id: int) -> None:
        """Do nothing."""

    def forget_all(self) -> None:
        """Do nothing."""


class NodeView:
    """What one submitter knows of its node. Also decides when a refusal is final.

    Where blocks come by themselves, it is final when it is repeated after a later block, both at or above every block
    that outbox and index know, and the block of the first refusal has as many on top as make it final. Each is asked
    for by number: behind one address, the node that answers may not be the one that told the latest block, and what
    its older state refuses may have become possible since. Elsewhere a single refusal is final, since no block follows
    that could change it.
    """

    def __init__(self, chain: Chain, outbox: Outbox) -> None:
        self._chain = chain
        self._outbox = outbox
        self._bound = False
        self._calls = ChainCalls(chain)
        self._head: Head | None = None
        """The latest block, where blocks come by themselves."""
        self._refused_at: dict[int, int] = {}
        """The number of the block after which a record was refused first, by the record's id."""
        self._behind_since: float | None = None
        self.trouble: ChainUnreachableError | None = None
        """Why nothing new is sent; None if the node has been behind for only a moment."""

    def look(self, key: bytes) -> Sight:
        """Look at the chain for the key, and verify that the outbox and the node are for the deployment's ledger.
        Raises WrongChainError, NodeBehindError."""
        if not self._bound:
            self._outbox.bind(describe_chain(self._chain.deployment))
            self._bound = True
        return self._chain.look(key)

    def rest(self) -> None:
        """Nothing waits to be sent any more, so that it does not matter whether the node is behind."""
        self.trouble = self._behind_since = None

    def is_caught_up(self, head: Head) -> bool:
        """Whether new transactions may be decided on the node's latest state, which is at least that of `head`."""
        self.trouble = None
        if not self._chain.profile.timed_blocks:
            return True
        seen = self._outbox.seen_block()
        if head.number >= seen:
            self._head, self._behind_since = head, None
            return True
        now = time.monotonic()
        self._behind_since = now if self._behind_since is None else self._behind_since
        if now - self._behind_since >= _PATIENCE_S:
            self.trouble = NodeBehindError(
                f"the node is behind: its latest block is {head.number}, block {seen} is known", hint=_HINT
            )
        return False

    def confirm(
        self, record: QueuedRecord, sender: bytes, refused: ContractRefusedError | None
    ) -> ContractRefusedError | None:
        return refused if self._head is None else self._calls.find_refusal(record, sender, self._head)

    def note(self, record_id: int) -> None:
        if self._head is not None:
            self._refused_at.setdefault(record_id, self._head.number)

    def is_final(self, record_id: int) -> bool:
        if self._head is None:
            return True
        # In a reorganisation, a record that this one needs may be in no block for a while: its transaction waits in
        # the pool again, and the next block or two may be made without it.
        last = self._head.number - self._chain.finality_depth
        return self._refused_at.get(record_id, last) < last

    def forget(self, record_id: int) -> None:
        self._refused_at.pop(record_id, None)

    def forget_all(self) -> None:
        self._refused_at.clear()


def describe_chain(deployment: Deployment) -> OutboxChain:
    """The deployment's ledger, as an outbox remembers it."""
    return OutboxChain(
        chain_id=deployment.chain_id,
        ledger=deployment.ledger,
        ledger_id=deployment.ledger_id,
        genesis_hash=deployment.genesis_hash,
        created_number=deployment.created_number,
        created_hash=deployment.created_hash,
    )


_MAX_REVERTS = 3
_MAX_SHAPES = 1000
_MAX_BYTES = 96 * 1024
"""Calldata of a batch: engines refuse transactions of more than 128 KiB."""


class Calls(Protocol):
    """Converts records to a contract call: `millmark.ledger.submit.batches.ChainCalls` with a node, another class with
    a relay."""

    def together(self, records: Sequence[QueuedRecord]) -> int:
        """Return how many of the records, from the first on, a single call can make."""

    def prepare(self, records: Sequence[QueuedRecord], sender: bytes, known_limit: int | None) -> tuple[bytes, int]:
        """Return calldata and gas limit. `known_limit` is the gas limit of an earlier call of the same shape. Raises
        ContractRefusedError with the contract's own error."""

    def prepare_all(
        self, known: Sequence[tuple[Sequence[QueuedRecord], int]], sender: bytes
    ) -> list[tuple[bytes, int] | None]:
        """Like `prepare` for records of several calls with known gas limits; None for a call that needs another look.
        Each is looked at by itself: none as if those before it were made."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that the contract accepts in a single call now."""

    records: list[QueuedRecord]
    data: bytes
    gas_limit: int


class Batches:
    """Builds batches for one key, and remembers which records reverted. `work` reads what is queued."""

    def __init__(self, calls: Calls, outbox: Outbox, signer: bytes, refusals: Refusals) -> None:
        self._calls = calls
        self._refusals = refusals
        self._outbox = outbox
        self._work = outbox.work(signer)
        self._signer = signer
        self._reverts: Counter[int] = Counter()
        """Number of transactions that reverted with a record, by the record's outbox id."""
        self._limits: dict[tuple[object, ...], int] = {}
        """Gas limits by shape of the call: contract, bytes of calldata, and the number of records of each kind."""

    def build(self, writer: OutboxWriter, size: int) -> Batch | None:
        """Return the next batch, of at most `size` records; None if no record is queued, or the next one has to wait
        for earlier transactions or for another block. Marks records as failed that the contract refuses for good."""
        while groups := self._groups(size, 1):
            records = groups[0]
            found = self._try(records)
            if isinstance(found, Batch):
                self._refusals.forget_all()
                return found
            if self._outbox.count_unmined(self._signer):
                return None  # it may depend on a record in one of these
            refused = self._refusals.confirm(records[0], self._signer, found)
            if refused is None:
                return None
            if not self._refusals.is_final(records[0].id):
                self._note_refused(records)
                return None
            # Refused on its own, and nothing is pending that could change that. Continue with the records after it.
            self._refusals.forget(records[0].id)
            writer.fail_record(records[0].id, refused.name, str(refused), refused.values)
        return None

    def forget_limits(self) -> None:
        """The gas limits found so far no longer hold: a block's limit is lower than before."""
        self._limits.clear()

    def build_all(self, writer: OutboxWriter, size: int, most: int) -> list[Batch]:
        """Like `build`, for up to `most` batches, which the contract accepts one without the other. Ends before the
        first one that needs another look, unless that is the only one."""
        batches = self._accepted(self._groups(size, most))
        if batches:
            self._refusals.forget_all()
            return batches
        batch = self.build(writer, size)
        return [] if batch is None else [batch]

    def _groups(self, size: int, most: int) -> list[list[QueuedRecord]]:
        """The oldest queued records, in groups that could be made in a call each."""
        queued, groups = self._work.queued(size * most), list[list[QueuedRecord]]()
        while queued and len(groups) < most:
            group = queued[: self._length(queued[:size])]
            groups.append(group)
            queued = queued[len(group) :]
        return groups

    def _length(self, queued: Sequence[QueuedRecord]) -> int:
        if self._reverts[queued[0].id]:
            return 1  # alone, so that a revert can only be its own fault
        contract, left = queued[0].contract, _MAX_BYTES
        for place, record in enumerate(queued):
            left -= len(record.payload)
            if record.contract != contract or (place and left < 0):
                return self._calls.together(queued[:place])
        return self._calls.together(queued)

    def _accepted(self, groups: Sequence[list[QueuedRecord]]) -> list[Batch]:
        """The batches of the first groups, up to the first one that is refused or of a new shape."""
        known: list[tuple[list[QueuedRecord], int]] = []
        for records in groups:
            limit = self._limits.get(_shape(records))
            if limit is None or self._reverts[records[0].id]:
                break
            known.append((records, limit))
        batches: list[Batch] = []
        for (records, _), prepared in zip(known, self._calls.prepare_all(known, self._signer), strict=True):
            if prepared is None:
                break
            batches.append(Batch(records, *prepared))
        return batches

    def note_reverted(self, writer: OutboxWriter, records: Iterable[QueuedRecord]) -> None:
        """Count a revert of these records, which are queued again.

        The next simulation finds out which of them the contract refuses, and why. A record that reverts repeatedly
        although every simulation accepts it fails here: it must not spend gas forever.
        """
        records = list(records)
        self._reverts.update(record.id for record in records)
        if len(records) == 1 and self._reverts[records[0].id] >= _MAX_REVERTS and not records[0].cancelling:
            times = self._reverts.pop(records[0].id)
            error = f"reverted in {times} transactions, although every simulation accepted it"
            writer.fail_record(records[0].id, "Reverted", error)

    def _try(self, records: list[QueuedRecord]) -> Batch | ContractRefusedError:
        """Return the longest accepted prefix of records, or why the first one is refused on its own."""
        try:
            return self._simulated(records)
        except ContractRefusedError as error:
            refused = error
        if len(records) > 1:
            try:
                return self._longest_accepted(records)
            except ContractRefusedError as error:
                refused = error
        return refused

    def _note_refused(self, records: Sequence[QueuedRecord]) -> None:
        """Note the first record's refusal, and those of the records right after it, so that they all become final
        with the same block. A record behind one that is accepted is not looked at: it could need that one."""
        self._refusals.note(records[0].id)
        for record in records[1:]:
            if self._refusals.confirm(record, self._signer, None) is None:
                return
            self._refusals.note(record.id)

    def _simulated(self, records: list[QueuedRecord]) -> Batch:
        shape = _shape(records)
        data, limit = self._calls.prepare(records, self._signer, self._limits.get(shape))
        if len(self._limits) >= _MAX_SHAPES:
            self._limits.clear()  # bounds the memory; costs one estimate per shape
        self._limits[shape] = limit
        return Batch(records, data, limit)

    def _longest_accepted(self, records: list[QueuedRecord]) -> Batch:
        """Return the longest accepted prefix of records that are refused together, by binary search. Raises
        ContractRefusedError when the first record alone is refused."""
        batch = self._simulated(records[:1])
        refused = len(records)
        while refused - len(batch.records) > 1:
            middle = (len(batch.records) + refused) // 2
            try:
                batch = self._simulated(records[:middle])
            except ContractRefusedError:
                refused = middle
        return batch


def _shape(records: Sequence[QueuedRecord]) -> tuple[object, ...]:
    kinds = Counter(record.kind for record in records)
    return (records[0].contract, sum(len(record.payload) for record in records), *sorted(kinds.items()))
