"""The consortium's directory: who the companies are, under which names, and how their gateways are reached.

    with store.transaction() as connection:
        take_directory(connection, parse_directory(data), fetch_operators(chain))
        DirectoryRepository(connection).entry(3)

DIRECTORY.md specifies the document, and what is checked before it is believed.
"""

from __future__ import annotations

from millmark.services.directory.document import (
    Directory,
    DirectoryEntry,
    DirectoryError,
    DirectoryUnreachableError,
    KeyStatement,
    RecipientKeyError,
    SignedDirectory,
    parse_directory,
    sign_directory,
    sign_statement,
    verify_statement,
)
from millmark.services.directory.following import Operators, fetch_operators, take_directory
from millmark.services.directory.repository import DirectoryRepository

__all__ = [
    "Directory",
    "DirectoryEntry",
    "DirectoryError",
    "DirectoryRepository",
    "DirectoryUnreachableError",
    "KeyStatement",
    "Operators",
    "RecipientKeyError",
    "SignedDirectory",
    "fetch_operators",
    "parse_directory",
    "sign_directory",
    "sign_statement",
    "take_directory",
    "verify_statement",
]
