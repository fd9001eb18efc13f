"""What one line of the log says, and how lines are chained."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from ledger.canonical import Json, canonical_json, sha256

__all__ = ["START", "Access", "Decision", "build_line", "hash_entry"]

START = bytes(32)
"""What the first entry follows."""
_TAG = b"millmark.audit-entry.v1\0"
_MOST_TARGET = 1024


class Decision(enum.Enum):
    """What became of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    """It is not for them, or it is not known who asks."""
    ABSENT = "absent"
    """There is no such thing, for whoever asked."""
    REFUSED = "refused"
    """It could not be done as it was asked."""
    FAILED = "failed"

    @classmethod
    def of(cls, status: int) -> Decision:
        """By the HTTP status."""
        if status < 400:
            return cls.ALLOWED
        if status in (401, 403):
            return cls.DENIED
        if status == 404:
            return cls.ABSENT
        return cls.REFUSED if status < 500 else cls.FAILED


@dataclass(frozen=True, slots=True)
class Access:
    """One request, as it was decided."""

    participant: int | None
    """Who asked; None when it was not known, or the operator on this machine."""
    credential: str
    """Public part of what was shown."""
    action: str
    """Method and route, or the command."""
    target: str
    """What was asked for: the path without its query, or what the command was given."""
    status: int
    """Of the answer, as in HTTP."""
    request_id: str
    body_digest: bytes | None
    """SHA-256 of the request's body; None without one."""


def build_line(number: int, time: str, access: Access, previous: bytes) -> tuple[bytes, bytes]:
    """An entry's one form, RFC 8785, without the newline; and its hash."""
    value: dict[str, Json] = {
        "number": number,
        "time": time,
        "participant": access.participant,
        "credential": access.credential,
        "action": access.action,
        "target": access.target[:_MOST_TARGET].encode("utf-8", "replace").decode(),
        "status": access.status,
        "decision": Decision.of(access.status).value,
        "request_id": access.request_id,
        "body": None if access.body_digest is None else access.body_digest.hex(),
        "previous": previous.hex(),
    }
    digest = hash_entry(value)
    return canonical_json({**value, "hash": digest.hex()}), digest


def hash_entry(value: Mapping[str, Json]) -> bytes:
    """What the next entry follows: SHA-256(tag || JCS of all members but `hash`). Raises CanonicalError."""
    return sha256(_TAG + canonical_json({name: member for name, member in value.items() if name != "hash"}))
