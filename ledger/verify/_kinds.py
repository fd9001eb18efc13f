"""The kinds of records that a history can hold: their data, topic 0, and the roots of documents behind them.

Written down here and not read from the artefacts, because BUNDLE.md has the same table; a test compares both with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ledger.canonical import keccak256
from ledger.verify._abi import ArrayOf, Fields, Struct, Type

__all__ = ["KINDS", "SEALABLE", "Kind", "roots_of"]


def _struct(**members: Type) -> Struct:
    return Struct(tuple(members.items()))


TERMS = _struct(operations="uint16", inspector="uint32", model="uint40", due_at="uint40", claims_root="bytes32")
STATEMENT = _struct(
    lot="bytes32",
    order="bytes32",
    model="uint40",
    verdict="uint8",
    expires_at="uint40",
    inference_digest="bytes32",
    claims_root="bytes32",
    stream="bytes32",
    leaf_index="uint40",
    leaf_hash="bytes32",
)
TRANSFORMATION = _struct(
    kind="uint8",
    order="bytes32",
    operation="uint16",
    unit="bytes3",
    output_unit="bytes3",
    loss="uint40",
    yield_in="uint40",
    yield_out="uint40",
    claims_root="bytes32",
    inputs=ArrayOf(_struct(lot="bytes32", quantity="uint40")),
    outputs=ArrayOf(_struct(identifier_hash="bytes32", quantity="uint40", claims_root="bytes32")),
)
_COMMON = (("key", "address"), ("histories", ArrayOf("bytes32")))
_TOPICS = ("uint40", "uint32", "bytes32")
"""Indexed parameters of every event: sequence, participant, subject."""


@dataclass(frozen=True, slots=True)
class Kind:
    """An event of TraceLedger."""

    name: str
    layout: Struct
    """Of its data."""

    @property
    def signature(self) -> str:
        """As in Solidity, enumerations as uint8."""
        return f"{self.name}({','.join((*_TOPICS, *(_signature(kind) for _, kind in self.layout.members)))})"

    @property
    def topic(self) -> bytes:
        """Topic 0: what links call the kind."""
        return keccak256(self.signature.encode())


def _signature(kind: Type) -> str:
    if isinstance(kind, str):
        return kind
    if isinstance(kind, ArrayOf):
        return _signature(kind.item) + "[]"
    return "(" + ",".join(_signature(member) for _, member in kind.members) + ")"


_CLAIMS: dict[str, Type] = {"claims_root": "bytes32"}
_REASON: dict[str, Type] = {"reason_root": "bytes32"}
_ASSIGNMENT: dict[str, Type] = {"operation": "uint16", "assignment": "uint40"}
_LEAF: dict[str, Type] = {"stream": "bytes32", "leaf_index": "uint40", "leaf_hash": "bytes32"}
_QUANTITY: dict[str, Type] = {"quantity": "uint40", "unit": "bytes3"}
_PROPOSAL: dict[str, Type] = {"operation": "uint16", "machine": "uint40", "owner": "uint32"}
_LAYOUTS: dict[str, dict[str, Type]] = {
    "RecordSuperseded": {"superseded": "uint40", **_REASON},
    "OrderPlaced": {"coordinator": "uint32", "terms": TERMS},
    "OrderAccepted": _CLAIMS,
    "OrderRejected": _REASON,
    "OrderCancelled": _REASON,
    "RevisionProposed": {"terms": TERMS},
    "RevisionAccepted": {"proposal": "uint40", "terms": TERMS},
    "OrderCompleted": _CLAIMS,
    "OrderDelivered": _CLAIMS,
    "AssignmentProposed": {**_PROPOSAL, **_CLAIMS},
    "AssignmentAccepted": {**_ASSIGNMENT, **_CLAIMS},
    "AssignmentDeclined": {**_ASSIGNMENT, **_REASON},
    "AssignmentStarted": {**_ASSIGNMENT, **_CLAIMS},
    "AssignmentFinished": {**_ASSIGNMENT, **_LEAF},
    "AssignmentCancelled": {**_ASSIGNMENT, **_REASON},
    "LotCommissioned": {"order": "bytes32", "assignment": "uint40", **_QUANTITY, **_CLAIMS},
    "LotReceived": {**_QUANTITY, **_CLAIMS},
    "LotsTransformed": {"transformation": TRANSFORMATION},
    "LotScrapped": {"quantity": "uint40", **_REASON},
    "LotsPacked": {},
    "LotsUnpacked": {},
    "LotQuarantined": _REASON,
    "LotReleased": _REASON,
    "CustodyOffered": {"to": "uint32", **_CLAIMS},
    "CustodyAccepted": {"from": "uint32", **_CLAIMS},
    "CustodyDeclined": _REASON,
    "CustodyWithdrawn": _REASON,
    "CertificateIssued": {"statement": STATEMENT, "anchor_size": "uint40", "anchor_root": "bytes32"},
    "CertificateRevoked": {"certificate": "uint40", **_REASON},
    "CertificateUpheld": {"certificate": "uint40", "executed": "bool"},
    "CertificateRefuted": {"certificate": "uint40", "executed": "uint8"},
    "OpeningDemanded": {"certificate": "uint40", "deadline": "uint40"},
}
KINDS = {name: Kind(name, Struct((*_COMMON, *members.items()))) for name, members in _LAYOUTS.items()}
TOPICS = {name: kind.topic for name, kind in KINDS.items()}
SEALABLE = frozenset({"LotsTransformed"})
"""Kinds that, in the history of a lot that was used up, change nothing about what was made of it before or after."""


def roots_of(fields: Fields) -> tuple[bytes, ...]:
    """The claims roots that a record carries, in the order of its data; zero where it has no document."""
    return tuple(_roots(fields))


def _roots(fields: Fields) -> Iterator[bytes]:
    for name, value in fields.values.items():
        if name in ("claims_root", "reason_root"):
            yield fields.raw(name)
        elif isinstance(value, Fields):
            yield from _roots(value)
        elif isinstance(value, tuple):
            for item in value:
                if isinstance(item, Fields):
                    yield from _roots(item)
