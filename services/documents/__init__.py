"""Documents: stored encrypted, shared by the company that has them, and opened by recipients with their own keys.

    documents = Documents(store, KeyRing(home / "document-keys.json"))
    with Draft(new_version_id(), "drawing.pdf", "application/pdf") as draft:
        draft.write(content)
        documents.add(draft, Mode.RESTRICTED, about="urn:example:hip-1", now_s=now_s)

DOCUMENTS.md specifies formats and guarantees. Nothing in this package depends on HTTP.
"""

from __future__ import annotations

from millmark.services.directory.document import RecipientKeyError
from millmark.services.documents.encryption import DocumentError, KeyRing, SealBrokenError
from millmark.services.documents.service import Documents, Draft, Recipients, Sealed, new_version_id

__all__ = [
    "DocumentError",
    "Documents",
    "Draft",
    "KeyRing",
    "RecipientKeyError",
    "Recipients",
    "SealBrokenError",
    "Sealed",
    "new_version_id",
]
