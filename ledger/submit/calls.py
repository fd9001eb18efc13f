"""Builds the contract calls that make records, and checks the events that they emitted.

Several records of the same contract may be made in one call by the submitter's own key. A forward request is always
sent alone: it is itself a call, signed by another key, that makes records for that key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from millmark.ledger.chain import Chain, Head, Receipt, decode_log, execute_data, read_kinds
from millmark.ledger.errors import ChainError, ContractRefusedError
from millmark.ledger.forward_requests import parse_request
from millmark.ledger.records import RECORD_TYPES, Contract
from millmark.ledger.store.outbox import FORWARDER, QueuedRecord, SentTransaction

__all__ = ["ChainCalls", "read_sequences", "recipient_of"]

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
        """Return calldata and gas limit. `known_limit` is that of `Chain.simulate`.

        Raises ContractRefusedError with the contract's own error.
        """
        if records[0].contract == FORWARDER:
            signed = parse_request(records[0].payload)
            return execute_data(signed), self._chain.simulate_forward(signed, sender)
        contract, data = _joined(self._chain, records)
        return data, self._chain.simulate(contract, data, sender, known_limit)

    def prepare_all(
        self, known: Sequence[tuple[Sequence[QueuedRecord], int]], sender: bytes
    ) -> list[tuple[bytes, int] | None]:
        """Like `prepare` for records of several calls with known gas limits; None for a call that needs another look.

        Raises ChainError.
        """
        # Forward requests may refuse each other, and have fixed gas limits: they are looked at one by one.
        plain = list(takewhile(lambda one: one[0][0].contract != FORWARDER, known))
        calls = [(*_joined(self._chain, records), limit) for records, limit in plain]
        accepted = self._chain.try_all(calls, sender) if calls else []
        found = [(data, limit) if is_fine else None for (_, data, limit), is_fine in zip(calls, accepted, strict=True)]
        return [*found, *[None] * (len(known) - len(plain))]

    def find_refusal(self, record: QueuedRecord, sender: bytes, head: Head) -> ContractRefusedError | None:
        """Return with what error the contract refuses the record alone after block `head`; None if it accepts it.

        Raises ChainUnreachableError if the node does not have that block.
        """
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
