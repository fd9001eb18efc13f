"""Identifiers: what people call things, with exactly one spelling each, and their subjects on the ledger.

See IDENTIFIERS.md.
"""

from __future__ import annotations

from millmark.ledger.ids._digital_link import DigitalLink, link_uri, parse_digital_link, parse_epc, split_digital_link
from millmark.ledger.ids._gs1 import ATTRIBUTES, excluded_by
from millmark.ledger.ids.canonical import (
    MAX_IDENTIFIER_LENGTH,
    SALT_BYTES,
    Identity,
    SubjectKind,
    canonical_identifier,
    canonical_name,
    identifier_hash,
    is_identifier,
    is_short_name,
    subject,
)

__all__ = [
    "ATTRIBUTES",
    "MAX_IDENTIFIER_LENGTH",
    "SALT_BYTES",
    "DigitalLink",
    "Identity",
    "SubjectKind",
    "canonical_identifier",
    "canonical_name",
    "excluded_by",
    "identifier_hash",
    "is_identifier",
    "is_short_name",
    "link_uri",
    "parse_digital_link",
    "parse_epc",
    "split_digital_link",
    "subject",
]
