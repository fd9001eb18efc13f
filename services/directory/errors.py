"""Errors of the directory package, below the root in `millmark.ledger.errors`.

MillmarkError
  DirectoryError             a directory is malformed, or must not be believed
  DirectoryUnreachableError  the gateway that serves it does not answer, or refuses
  RecipientKeyError          a recipient has no valid key
"""

from __future__ import annotations

from millmark.ledger.errors import MillmarkError


class DirectoryError(MillmarkError):
    """A directory is malformed, or must not be believed. Nothing of it is kept."""

    code = "directory-refused"


class DirectoryUnreachableError(MillmarkError):
    """The gateway that serves the directory does not answer, or refuses."""

    code = "directory-unreachable"


class RecipientKeyError(MillmarkError):
    """A recipient has no valid key."""

    code = "recipient-key-unusable"
