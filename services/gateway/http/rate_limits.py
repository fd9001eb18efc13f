"""Rate limits: a token bucket per caller, refilled at a steady rate.

A participant has one bucket for all its credentials. Callers without a credential have one per IP address (for IPv6 one
per /64, the usual size of a subscriber's network). Behind a proxy they all share the proxy's address: set limits there.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from millmark.services.gateway.http.errors import RateLimitedError

BURST_S = 5
"""A full bucket holds the tokens of this many seconds."""
_MAX_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens per second. Most requests cost one token (`cost` in millmark.services.access.rules)."""

    participant: float = 200.0
    anonymous: float = 20.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class Limiter:
    """The buckets of all callers, in bounded memory. The bucket that has been idle longest is evicted; it was full
    again by then, unless ten thousand other callers came within seconds."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates, self._clock = rates, clock
        self._buckets: OrderedDict[int | str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: int | str, cost: int) -> None:
        """Takes `cost` tokens from the bucket of a participant (its number) or an address. Raises RateLimitedError, and
        takes none, if there are too few."""
        rate, most = self._rate_of(caller)
        with self._lock:
            bucket = self._refilled(caller, rate, most)
            # A request that costs more than a full bucket is let through when the bucket is full, and leaves a debt.
            missing = min(cost, most) - bucket.tokens
            if missing > 0:
                raise RateLimitedError("too many requests", retry_after_s=int(missing / rate) + 1)
            bucket.tokens -= cost

    def charge(self, caller: int | str, cost: int) -> None:
        """Takes `cost` tokens for what was done already, and leaves a debt if there are too few."""
        if cost > 0:
            rate, most = self._rate_of(caller)
            with self._lock:
                self._refilled(caller, rate, most).tokens -= cost

    def verify_any(self, caller: int | str) -> None:
        """Raises RateLimitedError if the caller's bucket is empty. Takes nothing."""
        rate, most = self._rate_of(caller)
        with self._lock:
            missing = min(1.0, most) - (self._refilled(caller, rate, most).tokens if caller in self._buckets else most)
        if missing > 0:
            raise RateLimitedError("too many requests", retry_after_s=int(missing / rate) + 1)

    def _rate_of(self, caller: int | str) -> tuple[float, float]:
        rate = self._rates.participant if isinstance(caller, int) else self._rates.anonymous
        return rate, max(rate * BURST_S, 1.0)

    def _refilled(self, caller: int | str, rate: float, most: float) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(most, now)
            if len(self._buckets) > _MAX_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            # Kept in order of last use, so that the one to evict is found without a search.
            self._buckets.move_to_end(caller)
            bucket.tokens = min(most, bucket.tokens + (now - bucket.at_s) * rate)
            bucket.at_s = now
        return bucket

    def __len__(self) -> int:
        return len(self._buckets)
