"""Shared by the generators of forgeries.

A forgery is a lie about one step, with everything upstream repaired: see tests/support/bundle_content.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from millmark.ledger.trust import TrustFile
from millmark.ledger.verify import Step
from tests.support.bundle_content import Content, copy_content, publish_bytes

DAY_S = 86_400
MAX_AGE_S = 30 * DAY_S


@dataclass(frozen=True)
class Forged:
    """The input of a verifier."""

    data: bytes
    trust: TrustFile
    now_s: int


Forgery: TypeAlias = Callable[[Content, Random], "Forged | None"]
"""Returns None if the content lacks what the random choice needs."""
FORGERIES: dict[Step, list[Forgery]] = {step: [] for step in Step}
SEAL_FORGERIES: list[Forgery] = []
"""Those of step 3 that are about seals: the genuine bundle may have none, so they seal one with keys of their own."""


def forgery(step: Step) -> Callable[[Forgery], Forgery]:
    """Registers a generator whose forgeries that step must refuse."""

    def register(function: Forgery) -> Forgery:
        FORGERIES[step].append(function)
        return function

    return register


def changing(step: Step) -> Callable[[Callable[[Content, Random], bool | None]], Forgery]:
    """Registers a generator that changes a copy of the content, which is then proved again. It returns False if there
    was nothing to change."""

    def register(function: Callable[[Content, Random], bool | None]) -> Forgery:
        def forge(content: Content, rng: Random) -> Forged | None:
            changed = copy_content(content)
            if function(changed, rng) is False:
                return None
            return published(changed)

        forge.__name__ = function.__name__
        return forgery(step)(forge)

    return register


def published(content: Content) -> Forged:
    """Proves the content and encodes it, with a time shortly after the proof block."""
    data, trust = publish_bytes(content)
    return Forged(data, trust, content.time + 100)
