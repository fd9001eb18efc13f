"""Lots: made, received, transformed, scrapped, packed, set apart (ILots)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ledger.events._base import LedgerEvent
from ledger.records import U40, AssignmentNumber, Bytes3, ClaimsRoot, OrderSubject, Transformation


@dataclass(frozen=True, slots=True)
class LotCommissioned(LedgerEvent):
    order: OrderSubject
    assignment: AssignmentNumber
    quantity: U40
    unit: Bytes3
    claims_root: ClaimsRoot

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # the same for all
        yield self.order


@dataclass(frozen=True, slots=True)
class LotReceived(LedgerEvent):
    quantity: U40
    unit: Bytes3
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotsTransformed(LedgerEvent):
    """Its histories are the inputs, then the outputs."""

    sealable = True
    transformation: Transformation

    @property
    def inputs(self) -> tuple[bytes, ...]:
        """The lots that it took something of."""
        return tuple(taken.lot for taken in self.transformation.inputs)

    def outputs(self, histories: Sequence[bytes]) -> Sequence[bytes]:
        """The lots that it made, out of its histories."""
        return histories[len(self.transformation.inputs) :]

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:  # noqa: ARG002  # it says both itself
        """What a lot came of, not what else was made of it."""
        if subject not in self.inputs:
            yield from self.inputs
            if any(self.transformation.order):
                yield self.transformation.order


@dataclass(frozen=True, slots=True)
class LotScrapped(LedgerEvent):
    quantity: U40
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotsPacked(LedgerEvent):
    """Its histories are the parent, then what was packed in it."""

    def needs(self, subject: bytes, histories: Sequence[bytes]) -> Iterator[bytes]:
        if histories[0] != subject:
            yield histories[0]


@dataclass(frozen=True, slots=True)
class LotsUnpacked(LedgerEvent):
    """Histories as of LotsPacked."""


@dataclass(frozen=True, slots=True)
class LotQuarantined(LedgerEvent):
    reason_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class LotReleased(LedgerEvent):
    reason_root: ClaimsRoot
