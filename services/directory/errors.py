"""Errors of the directory package, below the root in `ledger.errors`.

MillmarkError
  DirectoryError             a directory is malformed, or must not be believed
  RecipientKeyError          a recipient has no valid key
"""

from __future__ import annotations

from ledger.errors import MillmarkError

__all__ = ["DirectoryError", "RecipientKeyError"]


class DirectoryError(MillmarkError):
    """A directory is malformed, or must not be believed. Nothing of it is kept."""

    code = "directory-refused"


class RecipientKeyError(MillmarkError):
    """A recipient has no valid key."""

    code = "recipient-key-unusable"
