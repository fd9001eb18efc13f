"""Provenance of lots and orders, recalls, and bundles, from the index and the private book. Only reads the store.

    trace(store, "https://id.gs1.org/01/09506000134352/21/A1").to_json()

    build_bundle(store, chain, ["https://id.gs1.org/01/09506000134352/21/A1"])

Not established by traces and recalls: that the index is right. Partners who do not trust its owner verify a bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millmark.ledger.lazy import import_on_use

if TYPE_CHECKING:
    from millmark.ledger.provenance.answers import Certificate, OrderTrace, Participant, Recall, Trace
    from millmark.ledger.provenance.bundles import (
        Disclosing,
        RecallBundle,
        build_bundle,
        build_recall_bundles,
        parse_disclosing,
    )
    from millmark.ledger.provenance.consortium import build_trust_file, participants
    from millmark.ledger.provenance.openings import (
        build_shared_measurements,
        find_certificate,
        find_certified_lots,
        find_issue,
    )
    from millmark.ledger.provenance.passports import Fact, Passport, find_coded_lot, passport, passport_statements
    from millmark.ledger.provenance.permissions import MAX_RECALLED, MAX_TRACED, Limits
    from millmark.ledger.provenance.reader import Direction, Reader, open_reader, verify_name
    from millmark.ledger.provenance.recalls import recall
    from millmark.ledger.provenance.statements import StatedTrace, build_statements, tell_trace
    from millmark.ledger.provenance.traces import build_trace, certificate, sort_lots, trace, trace_lot, trace_order

__all__ = [
    "MAX_RECALLED",
    "MAX_TRACED",
    "Certificate",
    "Direction",
    "Disclosing",
    "Fact",
    "Limits",
    "OrderTrace",
    "Participant",
    "Passport",
    "Reader",
    "Recall",
    "RecallBundle",
    "StatedTrace",
    "Trace",
    "build_bundle",
    "build_recall_bundles",
    "build_shared_measurements",
    "build_statements",
    "build_trace",
    "build_trust_file",
    "certificate",
    "find_certificate",
    "find_certified_lots",
    "find_coded_lot",
    "find_issue",
    "open_reader",
    "parse_disclosing",
    "participants",
    "passport",
    "passport_statements",
    "recall",
    "sort_lots",
    "tell_trace",
    "trace",
    "trace_lot",
    "trace_order",
    "verify_name",
]

_HOMES = {
    "millmark.ledger.provenance.answers": ("Certificate", "OrderTrace", "Participant", "Recall", "Trace"),
    "millmark.ledger.provenance.bundles": (
        "Disclosing",
        "RecallBundle",
        "build_bundle",
        "build_recall_bundles",
        "parse_disclosing",
    ),
    "millmark.ledger.provenance.consortium": ("build_trust_file", "participants"),
    "millmark.ledger.provenance.openings": (
        "build_shared_measurements",
        "find_certificate",
        "find_certified_lots",
        "find_issue",
    ),
    "millmark.ledger.provenance.passports": ("Fact", "Passport", "find_coded_lot", "passport", "passport_statements"),
    "millmark.ledger.provenance.permissions": ("MAX_RECALLED", "MAX_TRACED", "Limits"),
    "millmark.ledger.provenance.reader": ("Direction", "Reader", "open_reader", "verify_name"),
    "millmark.ledger.provenance.recalls": ("recall",),
    "millmark.ledger.provenance.statements": ("StatedTrace", "build_statements", "tell_trace"),
    "millmark.ledger.provenance.traces": (
        "build_trace",
        "certificate",
        "sort_lots",
        "trace",
        "trace_lot",
        "trace_order",
    ),
}

__getattr__ = import_on_use(__name__, _HOMES)
