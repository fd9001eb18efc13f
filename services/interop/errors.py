"""Errors of the interop package, below the root in `millmark.ledger.errors`.

MillmarkError
  CredentialError            a credential violates the data model, lacks a valid proof, or is no longer valid
  CertificateDocumentError   an inspection document violates its schema
"""

from __future__ import annotations

from millmark.ledger.errors import InputError, MillmarkError


class CredentialError(MillmarkError):
    """A credential violates the data model, lacks a valid proof, or is no longer valid."""

    code = "credential-refused"


class CertificateDocumentError(InputError):
    """An inspection document violates its schema. `pointer` locates the fault (JSON pointer, RFC 6901)."""

    code = "certificate-document-malformed"

    def __init__(self, cause: str, *, pointer: str = "", hint: str = "") -> None:
        self.pointer = pointer
        super().__init__(f"{pointer}: {cause}" if pointer else cause, hint=hint)
