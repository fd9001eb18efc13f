"""Answers about documents, for the documentation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ledger.ids import SubjectKind
from ledger.provenance.answers import Party
from ledger.provenance.document_access import Mode
from services.documents.views import About, Document, DocumentVersion, Grant, RecipientKey

__all__ = ["DOCUMENT", "build_document_examples"]

DOCUMENT = "5d0f2c6e9b7a4c1d8e3f60718293a4b5"
_NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_PART = "https://id.gs1.org/01/09506000013459/21/A0001"


def build_document_examples() -> dict[str, dict[str, object]]:
    """One answer or more for each operation, by operation id and name."""
    one: dict[str, object] = {"drawing": _drawing()}
    return {
        "listDocuments": {"one": {"items": [_drawing().to_json()], "next": None}},
        "getDocument": one,
        "fetchDocument": {},
        "addDocument": one,
        "addDocumentVersion": one,
        "setDocumentMode": one,
        "eraseDocument": {"erased": _erased()},
        "grantDocument": one,
        "revokeDocument": one,
        "publishRecipientKey": {"key": _key()},
        "getRecipientKey": {"key": _key()},
    }


def _drawing() -> Document:
    return Document(
        document=DOCUMENT,
        mode=Mode.RESTRICTED,
        about=About(SubjectKind.LOT, b"\x1a" * 32, _PART),
        versions=(DocumentVersion(1, "drawing.pdf", "application/pdf", 48_213, b"\x5e" * 32, _NOW),),
        grants=(Grant(Party(5, "Cedar Assembly"), _NOW),),
        added_at=_NOW,
        erased_at=None,
    )


def _erased() -> Document:
    return Document(
        document=DOCUMENT,
        mode=Mode.RESTRICTED,
        about=About(SubjectKind.LOT, b"\x1a" * 32, _PART),
        versions=(DocumentVersion(1, None, None, None, b"\x5e" * 32, _NOW),),
        grants=(),
        added_at=_NOW,
        erased_at=_NOW + timedelta(days=30),
    )


def _key() -> RecipientKey:
    return RecipientKey(5, b"\x3c" * 32, int(_NOW.timestamp()), b"\x6d" * 64 + b"\x1b", b"\x5c" * 20)
