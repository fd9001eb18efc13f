"""What a builder of batches puts into one, and what it remembers of refusals."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from millmark.ledger.errors import ContractRefusedError
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import Entry, OutboxState, QueuedRecord
from millmark.ledger.submit import batches
from millmark.ledger.submit.batches import AtOnce, Batches

KEY = b"\5" * 20


class _Contract:
    """Takes up to `most` records in a call, while it takes any."""

    def __init__(self, most: int = 1, refused: bytes = b"") -> None:
        self.most = most
        self.refused = refused
        """Payload of a record that it refuses in whatever company."""
        self.unsure: bytes | None = None
        """Payload of a record that needs another look."""
        self.limits = list[int | None]()
        """The gas limits that were known of what it looked at."""
        self.refuses = False
        self.looked = 0

    def together(self, records: Sequence[QueuedRecord]) -> int:
        return min(len(records), self.most)

    def prepare(self, records: Sequence[QueuedRecord], sender: bytes, known_limit: int | None) -> tuple[bytes, int]:  # noqa: ARG002  # the protocol's signature
        self.looked += 1
        self.limits.append(known_limit)
        if self.refuses or any(record.payload == self.refused for record in records):
            raise ContractRefusedError("OrderUnknown", {})
        return records[0].payload, 60_000

    def prepare_all(
        self, known: Sequence[tuple[Sequence[QueuedRecord], int]], sender: bytes
    ) -> list[tuple[bytes, int] | None]:
        return [
            None
            if self.refuses or any(record.payload == self.unsure for record in records)
            else self.prepare(records, sender, limit)
            for records, limit in known
        ]


class _Second(AtOnce):
    """The second refusal of a record is final."""

    def __init__(self) -> None:
        self.noted = set[int]()

    def note(self, record_id: int) -> None:
        self.noted.add(record_id)

    def is_final(self, record_id: int) -> bool:
        return record_id in self.noted

    def forget(self, record_id: int) -> None:
        self.noted.discard(record_id)

    def forget_all(self) -> None:
        self.noted.clear()


@pytest.mark.parametrize("one_at_a_time", [True, False])
def test_a_refusal_from_before_a_record_was_accepted_does_not_count(outbox: Outbox, one_at_a_time: bool) -> None:
    contract, writer = _Contract(), outbox.take_lease(KEY, None, "holder", 60)
    [number] = outbox.enqueue(KEY, [Entry("lot", "ledger", "ReceiveLot", b"x")])
    batches = Batches(contract, outbox, KEY, _Second())

    def build() -> bool:
        return batches.build(writer, 50) is None if one_at_a_time else not batches.build_all(writer, 50, 3)

    for refuses, state in (
        (False, OutboxState.QUEUED),  # so that its gas is known
        (True, OutboxState.QUEUED),
        (False, OutboxState.QUEUED),
        (True, OutboxState.QUEUED),
        (True, OutboxState.FAILED),
    ):
        contract.refuses = refuses
        assert build() is refuses
        assert outbox.record(number).state is state


def test_a_record_that_is_tried_anew_has_its_time_anew(outbox: Outbox) -> None:
    contract, writer = _Contract(), outbox.take_lease(KEY, None, "holder", 60)
    [number] = outbox.enqueue(KEY, [Entry("lot", "ledger", "ReceiveLot", b"x")])
    batches, contract.refuses = Batches(contract, outbox, KEY, _Second()), True
    for _ in range(2):
        for state in (OutboxState.QUEUED, OutboxState.FAILED):
            assert batches.build(writer, 50) is None
            assert outbox.record(number).state is state
        outbox.resume(["lot"])


def test_what_is_refused_on_its_own_is_looked_at_once(outbox: Outbox) -> None:
    contract, writer = _Contract(), outbox.take_lease(KEY, None, "holder", 60)
    [number] = outbox.enqueue(KEY, [Entry("lot", "ledger", "ReceiveLot", b"x")])
    contract.refuses = True
    assert Batches(contract, outbox, KEY, AtOnce()).build(writer, 50) is None
    assert (contract.looked, outbox.record(number).state) == (1, OutboxState.FAILED)


@pytest.mark.parametrize(
    ("contracts", "payload"),
    [(("ledger", "ledger", "registry"), b"x"), (("ledger", "ledger", "ledger"), bytes(40 * 1024))],
    ids=["of another contract", "too long"],
)
def test_a_batch_ends_before_a_record_that_does_not_go_with_it(
    outbox: Outbox, contracts: Sequence[str], payload: bytes
) -> None:
    writer = outbox.take_lease(KEY, None, "holder", 60)
    entries = [Entry(str(place), one, "ReceiveLot", payload) for place, one in enumerate(contracts)]
    ids = outbox.enqueue(KEY, entries)
    batch = Batches(_Contract(most=50), outbox, KEY, AtOnce()).build(writer, 50)
    assert batch is not None
    assert [record.id for record in batch.records] == ids[:2]


@pytest.mark.parametrize(("count", "accepted"), [(count, one) for count in range(2, 9) for one in range(1, count)])
def test_a_batch_is_the_longest_that_the_contract_takes(outbox: Outbox, count: int, accepted: int) -> None:
    writer = outbox.take_lease(KEY, None, "holder", 60)
    payloads = [b"x" if place != accepted else b"y" for place in range(count)]
    ids = outbox.enqueue(KEY, [Entry(str(place), "ledger", "ReceiveLot", one) for place, one in enumerate(payloads)])
    batch = Batches(_Contract(most=50, refused=b"y"), outbox, KEY, AtOnce()).build(writer, 50)
    assert batch is not None
    assert [record.id for record in batch.records] == ids[:accepted]


def test_no_more_batches_are_built_than_were_asked_for(outbox: Outbox) -> None:
    """Although more are queued, and their gas is known."""
    contract, writer = _Contract(), outbox.take_lease(KEY, None, "holder", 60)
    outbox.enqueue(KEY, [Entry(str(place), "ledger", "ReceiveLot", b"x") for place in range(8)])
    batches = Batches(contract, outbox, KEY, AtOnce())
    assert len(batches.build_all(writer, 2, 3)) == 1, "its gas was not known"
    for most in (1, 2, 3):
        assert len(batches.build_all(writer, 2, most)) == most


def test_gas_limits_that_hold_no_longer_are_found_anew(outbox: Outbox) -> None:
    contract, writer = _Contract(), outbox.take_lease(KEY, None, "holder", 60)
    outbox.enqueue(KEY, [Entry("lot", "ledger", "ReceiveLot", b"x")])
    batches = Batches(contract, outbox, KEY, AtOnce())
    for _ in range(2):
        batches.build(writer, 1)
    batches.forget_limits()
    batches.build(writer, 1)
    assert contract.limits == [None, 60_000, None]


@pytest.mark.parametrize(
    ("payloads", "built"),
    [
        (b"xxx", [0, 1, 2]),
        (b"xyx", [0]),
        (b"yxx", [0]),
        (b"xxy", [0, 1]),
    ],
    ids=["all", "before the second", "the first by itself", "before the last"],
)
def test_nothing_overtakes_what_needs_another_look(outbox: Outbox, payloads: bytes, built: list[int]) -> None:
    contract, writer = _Contract(), outbox.take_lease(KEY, None, "holder", 60)
    batches = Batches(contract, outbox, KEY, AtOnce())
    ids = outbox.enqueue(
        KEY, [Entry(str(place), "ledger", "ReceiveLot", bytes([one])) for place, one in enumerate(payloads)]
    )
    batches.build(writer, 1)  # so that the gas of one is known
    contract.unsure = b"y"
    found = batches.build_all(writer, 1, 3)
    assert [record.id for one in found for record in one.records] == [ids[place] for place in built]


def test_nothing_overtakes_a_call_whose_gas_is_not_known(outbox: Outbox) -> None:
    contract, writer = _Contract(), outbox.take_lease(KEY, None, "holder", 60)
    batches = Batches(contract, outbox, KEY, AtOnce())
    kinds = ("ReceiveLot", "ReceiveLot", "ScrapLot", "ReceiveLot")
    ids = outbox.enqueue(KEY, [Entry(str(place), "ledger", kind, b"x") for place, kind in enumerate(kinds)])
    batches.build(writer, 1)
    found = batches.build_all(writer, 1, 4)
    assert [record.id for one in found for record in one.records] == ids[:2]


@pytest.mark.parametrize(("last", "count"), [(0, 3), (1, 2)])
def test_a_batch_may_have_96_kibibytes(outbox: Outbox, last: int, count: int) -> None:
    writer = outbox.take_lease(KEY, None, "holder", 60)
    sizes = (32 * 1024, 32 * 1024, 32 * 1024 + last)
    outbox.enqueue(KEY, [Entry(str(place), "ledger", "ReceiveLot", bytes(size)) for place, size in enumerate(sizes)])
    batch = Batches(_Contract(most=50), outbox, KEY, AtOnce()).build(writer, 50)
    assert batch is not None
    assert len(batch.records) == count


def test_few_gas_limits_are_remembered(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many shapes calls have; each of the others is estimated again."""
    monkeypatch.setattr(batches, "_MAX_SHAPES", 2)
    contract, writer = _Contract(), outbox.take_lease(KEY, None, "holder", 60)
    built = Batches(contract, outbox, KEY, AtOnce())
    for size in range(1, 7):
        outbox.enqueue(KEY, [Entry(str(size), "ledger", "ReceiveLot", bytes(size))])
        assert built.build(writer, 50) is not None
        assert len(built._limits) <= 2
        outbox.cancel([str(size)])
    assert contract.limits == [None] * 6
