"""Bodies and answers of the writes, for the documentation."""

from __future__ import annotations

from collections.abc import Mapping

from services.gateway.docs import example_values as things
from services.gateway.recording.views import RecordFate, Refusal
from services.gateway.recording.writes import WRITES

__all__ = ["build_body_examples", "build_recording_examples"]

_LOT, _ORDER, _STREAM = ("0x" + one.hex() for one in (things.LOT, things.ORDER, things.STREAM))
_DUE = "2026-12-01T12:00:00Z"
_TERMS = {"operations": 3, "inspector": 6, "model": 9, "due_at": _DUE, "claims": {"colour": "signal blue"}}
_CLAIMS: Mapping[str, object] = {"claims": {"note": "as agreed"}}
_REASON: Mapping[str, object] = {"reason": {"text": "a crack at the edge"}}
_LEAF = {"stream": _STREAM, "leaf_index": 3, "leaf_hash": "0x" + "88" * 32}
_NEW_LOT = {"identifier": things.IDENTIFIER, "quantity": 1, "unit": "H87"}
_STEP = {
    "kind": "split",
    "operation": 0,
    "unit": "H87",
    "output_unit": "H87",
    "loss": 0,
    "yield_in": 1,
    "yield_out": 1,
    "inputs": [{"lot": _LOT, "quantity": 2}],
    "outputs": [
        {"identifier": "urn:example:half-1", "quantity": 1},
        {"identifier": "urn:example:half-2", "quantity": 1},
    ],
}
_OWN: dict[str, Mapping[str, object]] = {
    "placeOrder": {"identifier": "urn:example:order-1", "coordinator": 2, "terms": _TERMS},
    "proposeRevision": {"terms": _TERMS},
    "acceptRevision": {},
    "proposeAssignment": {"order": _ORDER, "operation": 0, "machine": 17},
    "finishAssignment": _LEAF,
    "commissionLot": {**_NEW_LOT, "order": _ORDER, "operation": 0, **_CLAIMS},
    "receiveLot": {**_NEW_LOT, **_CLAIMS},
    "transformLots": _STEP,
    "scrapLot": {"quantity": 1, **_REASON},
    "packLots": {"lots": [_LOT]},
    "unpackLots": {"lots": [_LOT]},
    "offerCustody": {"lots": [_LOT], "to": 8, **_CLAIMS},
    "acceptCustody": {"lots": [_LOT]},
    "issueCertificate": {
        "lot": _LOT,
        "model": 9,
        "verdict": "pass",
        "expires_at": "2027-03-02T09:30:00Z",
        "inference_digest": "0x" + "77" * 32,
        **_LEAF,
    },
    "demandOpening": {},
    "openStream": {"identifier": "urn:example:press-3:telemetry", "machine": 17},
    "anchor": {"size": 4, "root": "0x" + "99" * 32},
    "registerMachine": {"identifier": "urn:example:press-3", "claims": {"maker": "Cedar", "year": 2024}},
    "registerModel": {"digest": "0x" + "66" * 32, "card": {"accuracy": "0.93"}},
    "publishModel": {"content": "0x" + "4d" * 32},
    "approveModel": {"report": {"text": "measured again, as the card says"}},
    "withdrawModel": {"defective_since": "2026-02-01T00:00:00Z", **_REASON},
    "supersede": {"subject": _LOT, "sequence": 380, **_REASON},
}
_REASONED = frozenset({"reject", "cancel", "decline", "quarantine", "release", "revoke", "retire", "withdraw"})


def build_body_examples() -> dict[str, Mapping[str, object]]:
    """By operation id."""
    return {write.operation: _OWN.get(write.operation, _short(write.path)) for write in WRITES}


def build_recording_examples() -> dict[str, dict[str, object]]:
    """By operation id and name."""
    queued = {"queued": _fate("queued")}
    fates: dict[str, object] = {"final": _fate("final"), "failed": _fate("failed")}
    page: dict[str, object] = {"last": {"items": [_fate("sent").to_json()], "next": None}}
    return {**{write.operation: dict(queued) for write in WRITES}, "getRecord": fates, "listRecords": page}


def _short(path: str) -> Mapping[str, object]:
    """A body that is a document alone."""
    return _REASON if path.rpartition("/")[2] in _REASONED else _CLAIMS


def _fate(state: str) -> RecordFate:
    refusal = Refusal("LotOverConsumed", {"lot": _LOT, "held": 1, "asked": 2}, "LotOverConsumed(held=1, asked=2)")
    return RecordFate(
        id=17,
        kind="ReceiveLot",
        contract="ledger",
        state=state,
        done=state in ("final", "failed"),
        sequence=641 if state == "final" else None,
        subjects=(things.LOT,),
        refusal=refusal if state == "failed" else None,
        queued_at=things.NOW,
        changed_at=things.NOW,
    )
