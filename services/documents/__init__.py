"""Documents: stored encrypted, shared by the company that has them, and opened by recipients with their own keys.

    documents = Documents(store, KeyRing(home / "document-keys.json"))
    with Draft(new_version_id(), "drawing.pdf", "application/pdf") as draft:
        draft.write(content)
        documents.add(draft, Mode.RESTRICTED, about="urn:example:hip-1", now_s=now_s)

DOCUMENTS.md specifies formats and guarantees. Nothing in this package depends on HTTP.
"""

from __future__ import annotations

from millmark.services.directory.errors import RecipientKeyError
from millmark.services.documents.drafts import Draft
from millmark.services.documents.errors import DocumentError, SealBrokenError
from millmark.services.documents.key_files import KeyRing
from millmark.services.documents.recipients import Recipients
from millmark.services.documents.service import Documents, Sealed, new_version_id

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
