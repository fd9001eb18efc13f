"""Reads and writes bundles, the provenance files that partners receive. See BUNDLE.md.

Parsing is bounded and strict, but does not establish that the content is true; `millmark.ledger.verify` does.
"""

from __future__ import annotations

from millmark.ledger.bundle._model import (
    BUNDLE_VERSION,
    MAX_BUNDLE_BYTES,
    MAX_DATA_BYTES,
    MAX_HEADERS,
    MEDIA_TYPE,
    Bundle,
    EvidenceEntryShown,
    HistoryShown,
    IdentityShown,
    InferenceShown,
    RecordShown,
    SealsShown,
    ShownClaims,
    ShownEvidence,
    WithheldRecord,
)
from millmark.ledger.bundle._reader import OpenBundle, open_bundle, parse_bundle, read_bundle
from millmark.ledger.bundle._writer import digest_of, encode_bundle

__all__ = [
    "BUNDLE_VERSION",
    "MAX_BUNDLE_BYTES",
    "MAX_DATA_BYTES",
    "MAX_HEADERS",
    "MEDIA_TYPE",
    "Bundle",
    "EvidenceEntryShown",
    "HistoryShown",
    "IdentityShown",
    "InferenceShown",
    "OpenBundle",
    "RecordShown",
    "SealsShown",
    "ShownClaims",
    "ShownEvidence",
    "WithheldRecord",
    "digest_of",
    "encode_bundle",
    "open_bundle",
    "parse_bundle",
    "read_bundle",
]
