"""How much one caller may ask: a bucket of tokens for each, refilled at a steady rate.

A participant has one bucket for all its credentials; callers without a credential have one for each address (IPv6: for
each /64, of which a subscriber has all). Behind a proxy all of these have the proxy's address: limit them there.
"""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from services.gateway.http.errors import RateLimitedError

__all__ = ["BURST_S", "Limiter", "Rates", "name_address"]

BURST_S = 5
"""A bucket that was left alone holds what comes in so many seconds."""
_MOST_BUCKETS = 10_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Tokens a second; most requests take one (`cost` in services.access.rules)."""

    participant: float = 200.0
    anonymous: float = 20.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class Limiter:
    """All callers' buckets, in bounded memory: the one that was longest left alone is forgotten first, and was full by
    then unless ten thousand others asked in the meantime."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates, self._clock = rates, clock
        self._buckets: OrderedDict[int | str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, caller: int | str, cost: int) -> None:
        """Takes `cost` tokens of a participant (by number) or an address. Raises RateLimitedError when there are too
        few, and takes none then."""
        rate = self._rates.participant if isinstance(caller, int) else self._rates.anonymous
        most = max(rate * BURST_S, 1.0)
        with self._lock:
            bucket = self._refilled(caller, rate, most)
            missing = min(cost, most) - bucket.tokens
            if missing > 0:
                raise RateLimitedError("too many requests", retry_after_s=int(missing / rate) + 1)
            bucket.tokens -= cost  # below zero when one request costs more than a bucket holds: it is paid off later

    def _refilled(self, caller: int | str, rate: float, most: float) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.get(caller)
        if bucket is None:
            bucket = self._buckets[caller] = _Bucket(most, now)
            if len(self._buckets) > _MOST_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(caller)
            bucket.tokens = min(most, bucket.tokens + (now - bucket.at_s) * rate)
            bucket.at_s = now
        return bucket

    def __len__(self) -> int:
        return len(self._buckets)


def name_address(host: str | None) -> str:
    """By which the bucket of a caller without a credential is found."""
    try:
        address = ipaddress.ip_address(host or "")
    except ValueError:
        return host or "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((int(address), 64), strict=False))
    return str(address)
