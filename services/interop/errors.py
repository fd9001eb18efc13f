"""What the standards add to the tree of `ledger.errors`.

MillmarkError
  CredentialError            a credential breaks the data model, is not proved, or no longer holds
  CertificateDocumentError   an inspection document breaks its schema
"""

from __future__ import annotations

from ledger.errors import InputError, MillmarkError

__all__ = ["CertificateDocumentError", "CredentialError"]


class CredentialError(MillmarkError):
    """A credential breaks the data model, is not proved, or no longer holds."""

    code = "credential-refused"


class CertificateDocumentError(InputError):
    """An inspection document breaks its schema. `pointer` is the place in it (RFC 6901)."""

    code = "certificate-document-malformed"

    def __init__(self, cause: str, *, pointer: str = "", hint: str = "") -> None:
        self.pointer = pointer
        super().__init__(f"{pointer}: {cause}" if pointer else cause, hint=hint)
