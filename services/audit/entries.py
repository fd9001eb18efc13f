"""Content and hash of one audit log entry."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from millmark.ledger.canonical import Json, canonical_json, sha256

START = bytes(32)
"""The `previous` hash of the first entry."""
_TAG = b"millmark.audit-entry.v1\0"
_MAX_TARGET, _MAX_ANONYMOUS_BYTES = 1024, 128


class Decision(enum.Enum):
    """Outcome of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    """The caller is not authenticated, or lacks the permission."""
    ABSENT = "absent"
    """The resource does not exist, or is not visible to the caller."""
    REFUSED = "refused"
    """The request was invalid or conflicted with the present state."""
    FAILED = "failed"

    @classmethod
    def of(cls, status: int) -> Decision:
        """The decision that an HTTP status stands for."""
        if status < 400:
            return cls.ALLOWED
        if status in (401, 403):
            return cls.DENIED
        if status == 404:
            return cls.ABSENT
        return cls.REFUSED if status < 500 else cls.FAILED


@dataclass(frozen=True, slots=True)
class Access:
    """One request and the decision on it."""

    participant: int | None
    """The caller; None if unauthenticated, and for the operator on this machine."""
    credential: str
    """Public part of the session or API key; `operator` for commands."""
    action: str
    """Method and route, or the command."""
    target: str
    """The path without its query, or the argument of the command."""
    status: int
    """HTTP status of the response."""
    request_id: str
    body_digest: bytes | None
    """SHA-256 of the request body; None if there is no body."""
    anonymous: bool = False
    """Whether nobody was authenticated. The text that such a caller chose is cut, and its entries are counted against a
    quota."""

    @property
    def logged_target(self) -> str:
        """The target as it is written."""
        if not self.anonymous:
            return self.target[:_MAX_TARGET].encode("utf-8", "replace").decode()
        # Escaped in JSON, a control character takes six bytes.
        plain = "".join(one if one.isprintable() else "?" for one in self.target[:_MAX_ANONYMOUS_BYTES])
        return plain.encode("utf-8", "replace")[:_MAX_ANONYMOUS_BYTES].decode("utf-8", "ignore")


def build_line(number: int, time: str, access: Access, previous: bytes) -> tuple[bytes, bytes]:
    """The entry as canonical JSON (RFC 8785) without a newline, and its hash. `time` is UTC, ISO 8601."""
    value: dict[str, Json] = {
        "number": number,
        "time": time,
        "participant": access.participant,
        "credential": access.credential,
        "action": access.action,
        "target": access.logged_target,
        "status": access.status,
        "decision": Decision.of(access.status).value,
        "request_id": access.request_id,
        "body": None if access.body_digest is None else access.body_digest.hex(),
        "previous": previous.hex(),
    }
    digest = hash_entry(value)
    return canonical_json({**value, "hash": digest.hex()}), digest


def hash_entry(value: Mapping[str, Json]) -> bytes:
    """Hash of an entry, which the next one repeats: SHA-256(tag || JCS of all members but `hash`).

    Raises CanonicalError.
    """
    return sha256(_TAG + canonical_json({name: member for name, member in value.items() if name != "hash"}))
