"""Errors of the interop package, below the root in `millmark.ledger.errors`.

MillmarkError
  CredentialError   a credential violates the data model, lacks a valid proof, or is no longer valid
"""

from __future__ import annotations

from millmark.ledger.errors import MillmarkError


class CredentialError(MillmarkError):
    """A credential violates the data model, lacks a valid proof, or is no longer valid."""

    code = "credential-refused"
