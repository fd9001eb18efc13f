"""What a builder of batches remembers of refusals."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.errors import ContractRefusedError
from ledger.store.outbox import Entry, Outbox, OutboxState, QueuedRecord
from ledger.submit.batches import Batches
from ledger.submit.lookout import AtOnce

KEY = b"\5" * 20


class _Contract:
    """Takes each record in a call of its own, while it takes any."""

    def __init__(self) -> None:
        self.refuses = False

    def together(self, records: Sequence[QueuedRecord]) -> int:
        return min(len(records), 1)

    def prepare(self, records: Sequence[QueuedRecord], sender: bytes, known_limit: int | None) -> tuple[bytes, int]:  # noqa: ARG002  # the protocol's signature
        if self.refuses:
            raise ContractRefusedError("OrderUnknown", {})
        return records[0].payload, 60_000

    def prepare_all(
        self, known: Sequence[tuple[Sequence[QueuedRecord], int]], sender: bytes
    ) -> list[tuple[bytes, int] | None]:
        return [self.prepare(records, sender, limit) for records, limit in known]


class _Second(AtOnce):
    """The second refusal of a record is final."""

    def __init__(self) -> None:
        self.noted = set[int]()

    def note(self, record_id: int) -> None:
        self.noted.add(record_id)

    def is_final(self, record_id: int) -> bool:
        return record_id in self.noted

    def forget_all(self) -> None:
        self.noted.clear()


def test_a_refusal_from_before_a_record_was_accepted_does_not_count(outbox: Outbox) -> None:
    contract, writer = _Contract(), outbox.take_lease(KEY, None, "holder", 60)
    [number] = outbox.enqueue(KEY, [Entry("lot", "ledger", "ReceiveLot", b"x")])
    batches = Batches(contract, outbox, KEY, _Second())
    for refuses, state in (
        (True, OutboxState.QUEUED),
        (False, OutboxState.QUEUED),
        (True, OutboxState.QUEUED),
        (True, OutboxState.FAILED),
    ):
        contract.refuses = refuses
        assert (batches.build(writer, 50) is None) is refuses
        assert outbox.record(number).state is state
