"""What the generators of forgeries have in common.

A forgery is a lie about one step, with everything upstream repaired: see tests/support/bundle_content.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TypeAlias

from ledger.trust import TrustFile
from ledger.verify import Step
from tests.support.bundle_content import Content, copy_content, publish_bytes

DAY_S = 86_400
MAX_AGE_S = 30 * DAY_S


@dataclass(frozen=True)
class Forged:
    """What a verifier is given."""

    data: bytes
    trust: TrustFile
    now_s: int


Forgery: TypeAlias = Callable[[Content, Random], "Forged | None"]
"""None where the dice asked for something that the content does not have."""
FORGERIES: dict[Step, list[Forgery]] = {step: [] for step in Step}


def forgery(step: Step) -> Callable[[Forgery], Forgery]:
    """Registers a generator whose forgeries that step must refuse."""

    def register(function: Forgery) -> Forgery:
        FORGERIES[step].append(function)
        return function

    return register


def changing(step: Step) -> Callable[[Callable[[Content, Random], bool | None]], Forgery]:
    """Registers a generator that changes a copy of the content, which is then proved anew. It says False where it could
    not change anything."""

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
    data, trust = publish_bytes(content)
    return Forged(data, trust, content.time + 100)
