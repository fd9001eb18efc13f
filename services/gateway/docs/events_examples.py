"""Answers about events and webhooks for the documentation."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from services.webhooks.subscriptions import NewWebhook, Webhook

__all__ = ["build_event_examples"]

_NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_LOT, _ORDER = "0x" + "1a" * 32, "0x" + "2b" * 32
_EVENT = {
    "specversion": "1.0",
    "id": "ledger-412",
    "source": "urn:millmark:ledger:131277322940537:0x" + "22" * 20,
    "type": "millmark.ledger.CertificateIssued",
    "subject": _LOT,
    "time": "2026-03-02T09:30:00Z",
    "datacontenttype": "application/json",
    "position": "31.412",
    "data": {
        "contract": "ledger",
        "sequence": 412,
        "kind": "CertificateIssued",
        "participant": 6,
        "subject": _LOT,
        "identifier": "https://id.gs1.org/01/09506000013459/21/A0001",
        "histories": [_LOT, _ORDER],
        "block_number": 987,
        "block_hash": "0x" + "44" * 32,
        "transaction_hash": "0x" + "45" * 32,
        "fields": {"model": 9, "verdict": 1},
    },
}


def build_event_examples() -> dict[str, dict[str, Any]]:
    """One answer or more for each operation, by operation id and name."""
    active = Webhook(
        id="4f1c09aa27de4f1c",
        participant=5,
        url="https://erp.cedar.example/millmark",
        mode="structured",
        kinds=("CertificateIssued", "ModelWithdrawn"),
        subjects=(),
        state="active",
        reason=None,
        attempts=0,
        position="31.412",
        api_key="8f21d0c4b7aa",
        created_at=_NOW - timedelta(days=3),
        delivered_at=_NOW,
    )
    parked = replace(active, state="parked", attempts=9, reason="no answer within 10 s", api_key=None)
    new = NewWebhook("whsec_" + "A" * 43 + "=", replace(active, delivered_at=None))
    both = {"items": [active.to_json(), parked.to_json()]}
    return {
        "followEvents": {"page": {"items": [_EVENT], "next": "31.412"}},
        "listWebhooks": {"two": both},
        "getWebhook": {"active": active, "parked": parked},
        "removeWebhook": {},
        "addWebhook": {"new": new},
        "resumeWebhook": {"resumed": active},
        "renewWebhookSecret": {"new": new},
    }
