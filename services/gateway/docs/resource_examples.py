"""Answers of the resources, for the documentation."""

from __future__ import annotations

from datetime import timedelta

from ledger.canonical import sha256
from ledger.merkle import Tree, leaf_hash
from ledger.provenance import Participant
from ledger.provenance.answers import Anchor, Assignment, CustodyChange, Machine, Stream
from ledger.provenance.jsonform import Printable
from ledger.provenance.resource_answers import ConsistencyProof, InclusionProof, RegisteredMachine
from ledger.records import AssignmentState
from services.gateway.docs import example_values as things

__all__ = ["build_resource_examples"]

_NEXT = "Zp1yT0c0b2pVbmx5T3BhcXVlVGV4dA=="
_TREE = Tree(leaf_hash(bytes([number])) for number in range(6))
_OLDER = Anchor(377, 4, _TREE.root(4), things.NOW - timedelta(hours=2))
_NEWER = Anchor(395, 6, _TREE.root(6), things.NOW)


def build_resource_examples() -> dict[str, dict[str, object]]:
    """By operation id and name."""
    order, lot, certificate = things.order(), things.lot(), things.certificate()
    return {
        "listParticipants": _page(_participant()),
        "getParticipant": {"maker": _participant()},
        "listModels": _page(things.model()),
        "getModel": {"approved": things.model()},
        "listMachines": _page(_machine()),
        "getMachine": {"press": _machine()},
        "listOrders": _page(order),
        "getOrder": {"delivered": order},
        "listAssignments": _page(_assignment()),
        "getAssignment": {"finished": _assignment()},
        "listLots": _page(lot),
        "getLot": {"part": lot},
        "listCustody": _page(CustodyChange(600, "CustodyAccepted", things.LOT, things.MAKER, things.BUYER, things.NOW)),
        "listCertificates": _page(certificate),
        "proveCertificate": {"anchored": _inclusion()},
        "proveAssignment": {"anchored": _inclusion()},
        "getStream": {"press": _stream()},
        "proveInclusion": {"anchored": _inclusion()},
        "proveConsistency": {"grown": ConsistencyProof(things.STREAM, _OLDER, _NEWER, _consistency())},
        "getBundle": {"beginning": {"bundle_version": 1, "parts": ["GhoaGg"], "records": []}},
        "getTrust": {"beginning": {"format": "millmark.trust", "version": 1, "contracts": {}}},
    }


def _page(item: Printable) -> dict[str, object]:
    """The first page of a long list, and the last page of a short one."""
    shown = item.to_json()
    return {"more": {"items": [shown], "next": _NEXT}, "last": {"items": [shown], "next": None}}


def _participant() -> Participant:
    maker = things.MAKER
    return Participant(maker.participant, maker.name, ("manufacturer",), False, (b"\x5c" * 20,), things.NOW)


def _machine() -> RegisteredMachine:
    return RegisteredMachine(
        machine=17,
        subject=sha256(b"press 3"),
        identifier="urn:example:press-3",
        owner=things.MAKER,
        registered_at=things.NOW - timedelta(days=90),
        retired_at=None,
        waiting=4,
        working=1,
        claims_root=b"\xdd" * 32,
    )


def _assignment() -> Assignment:
    return Assignment(
        assignment=131,
        order=things.ORDER,
        operation=0,
        current=True,
        state=AssignmentState.FINISHED,
        machine=Machine(17, "urn:example:press-3", things.MAKER),
        owner=things.MAKER,
        proposed_at=things.NOW - timedelta(hours=9),
        accepted_at=things.NOW - timedelta(hours=8),
        started_at=things.NOW - timedelta(hours=4),
        ended_at=things.NOW - timedelta(hours=3),
        stream=things.STREAM,
        leaf_index=3,
        leaf_hash=leaf_hash(b"\x03"),
        claims_root=b"\xee" * 32,
    )


def _stream() -> Stream:
    press = Machine(17, "urn:example:press-3", things.MAKER)
    identifier = "urn:example:press-3:telemetry"
    return Stream(things.STREAM, identifier, press, 6, _TREE.root(6), things.NOW, (_OLDER, _NEWER))


def _inclusion() -> InclusionProof:
    proof = tuple(_TREE.inclusion_proof(3, 4))
    return InclusionProof(things.STREAM, 3, leaf_hash(b"\x03"), _OLDER, proof, _NEWER, _consistency(), None)


def _consistency() -> tuple[bytes, ...]:
    return tuple(_TREE.consistency_proof(4, 6))
