"""Streams of evidence (IEvidence). They have no history: a bundle proves a stream's state instead."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.events._base import LedgerEvent
from millmark.ledger.records import U40, Bytes32, ClaimsRoot, MachineNumber


@dataclass(frozen=True, slots=True)
class StreamOpened(LedgerEvent):
    in_histories = False
    machine: MachineNumber
    claims_root: ClaimsRoot


@dataclass(frozen=True, slots=True)
class StreamAnchored(LedgerEvent):
    in_histories = False
    size: U40
    root: Bytes32
