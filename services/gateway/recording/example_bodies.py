"""Bodies of requests, as the OpenAPI document shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from millmark.services.gateway.http import example_values as examples

__all__ = [
    "AN_ORDER",
    "A_LOT",
    "A_STREAM",
    "CLAIMS",
    "COMPONENTS",
    "LEAF",
    "LOTS",
    "NEW_LOT",
    "REASON",
    "SPLIT",
    "TERMS",
    "VERDICT",
    "Body",
]

Body: TypeAlias = "Mapping[str, object]"
A_LOT, AN_ORDER, A_STREAM = ("0x" + one.hex() for one in (examples.LOT, examples.ORDER, examples.STREAM))
CLAIMS: Body = {"claims": {"note": "as agreed"}}
REASON: Body = {"reason": {"text": "a crack at the edge"}}
LOTS: Body = {"lots": [A_LOT]}
LEAF: Body = {"stream": A_STREAM, "leaf_index": 3, "leaf_hash": "0x" + "88" * 32}
NEW_LOT: Body = {"identifier": examples.IDENTIFIER, "quantity": 1, "unit": "H87"}
TERMS = {
    "operations": 3,
    "coordinator": 2,
    "gates": [{"inspector": 6, "model": 9}],
    "due_at": "2026-12-01T12:00:00Z",
    "quantity": 1,
    "unit": "H87",
    "claims": {"colour": "signal blue"},
}
SPLIT: Body = {
    "kind": "split",
    "operation": 0,
    "unit": "H87",
    "output_unit": "H87",
    "loss": 0,
    "yield_in": 1,
    "yield_out": 1,
    "inputs": [{"lot": A_LOT, "quantity": 2}],
    "outputs": [
        {"identifier": "urn:example:half-1", "quantity": 1, "unit": "H87"},
        {"identifier": "urn:example:half-2", "quantity": 1, "unit": "H87"},
    ],
}
COMPONENTS = [{"lot": "0x" + "1b" * 32, "quantity": 1, "component": True}]
VERDICT: Body = {
    **LOTS,
    "model": 9,
    "verdict": "pass",
    "expires_at": "2027-03-02T09:30:00Z",
    "inference_digest": "0x" + "77" * 32,
    **LEAF,
}
