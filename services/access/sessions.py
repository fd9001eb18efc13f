"""How long sessions last.

A company's key opens a session for 15 minutes: it can record, and programs sign in again by themselves. A person's
session lasts a working day, and is over earlier when nobody used it for a while.
"""

from __future__ import annotations

PERSON_LIFE_S = 12 * 3600
"""After this time since the sign-in, a person signs in again in any case."""
PERSON_IDLE_S = 2 * 3600
"""After this time without a request, a person signs in again."""
SLIDE_S = 300
"""A session is prolonged at most this often, so that not every request writes."""


def slide(issued_at: int, expires_at: int, now_s: int) -> int:
    """Until when a session lasts that a person uses now; the same as before if it is not worth writing down."""
    longest = min(now_s + PERSON_IDLE_S, issued_at + PERSON_LIFE_S)
    return longest if longest >= expires_at + SLIDE_S else expires_at
