"""Provenance of lots and orders, recalls, and bundles, from the index and the private book. Only reads the store.

    trace(store, "https://id.gs1.org/01/09506000134352/21/A1").to_json()

    build_bundle(store, chain, ["https://id.gs1.org/01/09506000134352/21/A1"])

Not established by traces and recalls: that the index is right. Partners who do not trust its owner verify a bundle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.lazy import import_on_use

if TYPE_CHECKING:
    from ledger.provenance.answers import Certificate, OrderTrace, Participant, Trace
    from ledger.provenance.bundles import build_bundle
    from ledger.provenance.consortium import build_trust_file, participants
    from ledger.provenance.disclosure import Disclosing, parse_disclosing
    from ledger.provenance.limits import MAX_RECALLED, MAX_TRACED, Limits
    from ledger.provenance.measurements import build_shared_measurements
    from ledger.provenance.openings import find_certificate, find_certified_lots, find_issue, find_opening
    from ledger.provenance.passports import Fact, Passport, find_coded_lot, passport, passport_statements
    from ledger.provenance.reader import Direction, Reader, open_reader
    from ledger.provenance.recall_answers import Recall
    from ledger.provenance.recall_proofs import RecallBundle, build_recall_bundles
    from ledger.provenance.recalls import recall
    from ledger.provenance.resolve import verify_name
    from ledger.provenance.statements import Told, build_statements, tell_trace
    from ledger.provenance.traces import build_trace, certificate, sort_lots, trace, trace_lot, trace_order

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
    "Told",
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
    "find_opening",
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
    "ledger.provenance.answers": ("Certificate", "OrderTrace", "Participant", "Trace"),
    "ledger.provenance.bundles": ("build_bundle",),
    "ledger.provenance.consortium": ("build_trust_file", "participants"),
    "ledger.provenance.disclosure": ("Disclosing", "parse_disclosing"),
    "ledger.provenance.limits": ("MAX_RECALLED", "MAX_TRACED", "Limits"),
    "ledger.provenance.measurements": ("build_shared_measurements",),
    "ledger.provenance.openings": ("find_certificate", "find_certified_lots", "find_issue", "find_opening"),
    "ledger.provenance.passports": ("Fact", "Passport", "find_coded_lot", "passport", "passport_statements"),
    "ledger.provenance.reader": ("Direction", "Reader", "open_reader"),
    "ledger.provenance.recall_answers": ("Recall",),
    "ledger.provenance.recall_proofs": ("RecallBundle", "build_recall_bundles"),
    "ledger.provenance.recalls": ("recall",),
    "ledger.provenance.resolve": ("verify_name",),
    "ledger.provenance.statements": ("Told", "build_statements", "tell_trace"),
    "ledger.provenance.traces": ("build_trace", "certificate", "sort_lots", "trace", "trace_lot", "trace_order"),
}

__getattr__ = import_on_use(__name__, _HOMES)
