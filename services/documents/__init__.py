"""Documents: kept encrypted, shared by the company that has them, opened by recipients with keys of their own.

    documents = Documents(store, KeyRing(home / "document-keys.json"))
    with Draft(new_place(), "drawing.pdf", "application/pdf") as draft:
        draft.write(content)
        documents.add(draft, Mode.RESTRICTED, about="urn:example:hip-1", now_s=now_s)

Formats and what is promised are in DOCUMENTS.md. Nothing here knows HTTP.
"""

from __future__ import annotations

from services.documents.drafts import Draft
from services.documents.errors import DocumentError, RecipientKeyError, SealBrokenError
from services.documents.key_files import KeyRing
from services.documents.recipients import Recipients
from services.documents.service import Documents, Sealed, new_place

__all__ = [
    "DocumentError",
    "Documents",
    "Draft",
    "KeyRing",
    "RecipientKeyError",
    "Recipients",
    "SealBrokenError",
    "Sealed",
    "new_place",
]
