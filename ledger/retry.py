"""What a caller may do after an error: a closed list, part of the API."""

from __future__ import annotations

import enum


class Retry(enum.Enum):
    """What a caller may do after an error."""

    NEVER = "never"
    """The same request will fail again."""
    UNCHANGED = "unchanged"
    """The same request may be sent again, byte for byte."""
    REFRESHED = "refreshed"
    """The caller must read the current state and build a new request."""
    OPERATOR = "operator"
    """A person must act first."""
