"""Whether the time that a gateway takes tells a participant that a name is known there which it must not see.

The gateway is `millmark gateway` in its own process, over HTTP. A participant that has a part in nothing asks for lots
of a plant by name, and for names that nobody has, in random order over one connection. All are answered as unknown. The
area under the ROC curve (AUC) says how well the times tell the two apart: 0.5 if not at all, 1 if always.
"""

from __future__ import annotations

import asyncio
import bisect
import random
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from millmark.ledger.errors import ChainError
from millmark.ledger.records import ALL_ROLES
from millmark.ledger.store import Rows
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access import Scope, new_api_key
from millmark.services.settings import SETTINGS_FILE
from millmark.services.store import open_store
from tests.bench.gateway import serving
from tests.support.plant_store import draw_plant, write_plant

MAX_AUC = 0.55
_OWNER, _STRANGER = 1, 99
_LOTS = 1_000
_DAY_S = 86_400
_WARM_UP = 20
_NOTHING = re.compile(rb'"(lots|items)": ?\[\]')
"""In an empty list."""


@dataclass(frozen=True, slots=True)
class NameTimes:
    """Times in milliseconds of one way to ask."""

    path: str
    requests: int
    """Number for each kind of name."""
    foreign_ms: float
    """Median for names of lots that the caller must not see."""
    unknown_ms: float
    """Median for names that nobody has."""
    auc: float
    """How well the two are told apart by the time of one request; the better of longer and shorter."""

    def to_json(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__}


_WAYS = ("/v1/trace/{}", "/v1/recall?lot={}", "/v1/lots?identifier={}")


def measure_names(requests: int, seed: int) -> list[NameTimes]:
    """Asks for `requests` foreign and as many unknown names in each way. Raises ChainError if the gateway does not
    start, or answers otherwise than it should."""
    dice = random.Random(seed)  # noqa: S311 - a sample, not a secret
    plant = draw_plant(_LOTS, seed)
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as folder:
        home = Path(folder)
        with open_store(f"sqlite:///{home / 'bench.sqlite'}") as store:
            write_plant(store, plant)
            with store.transaction() as connection:
                Rows(connection).insert(
                    [ParticipantRow(_STRANGER, 1, int(ALL_ROLES), 1, False, False, 0, 0, 1, bytes(32))]
                )
            key, _ = new_api_key(store, _STRANGER, [Scope.PROVENANCE], "bench", now_s=int(time.time()), life_s=_DAY_S)
        (home / SETTINGS_FILE).write_text(
            f'database = "sqlite:///bench.sqlite"\ngateway_participant = {_OWNER}\ngateway_rate = 100000\n'
        )
        with serving(home) as (port, _):
            found = []
            for way in _WAYS:
                foreign = [plant.identity(dice.randrange(plant.lots)).identifier for _ in range(requests)]
                unknown = [plant.identity(f"{dice.randrange(plant.lots)}x").identifier for _ in range(requests)]
                found.append(asyncio.run(_measure(way, port, key, foreign, unknown, dice)))
            return found


async def _measure(
    way: str, port: int, key: str, foreign: Sequence[str], unknown: Sequence[str], dice: random.Random
) -> NameTimes:
    asked = [(name, True) for name in foreign] + [(name, False) for name in unknown]
    dice.shuffle(asked)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times: dict[bool, list[float]] = {True: [], False: []}
    try:
        for name, is_foreign in [*asked[:_WARM_UP], *asked]:
            path = way.format(quote(name, safe=""))
            head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
            begun = time.perf_counter()
            writer.write(head.encode())
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            times[is_foreign].append(1000 * (time.perf_counter() - begun))
            body = await reader.readexactly(int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
            if not answer.startswith(b"http/1.1 404") and _NOTHING.search(body) is None:
                raise ChainError(f"{path} was not answered as unknown", hint="report this as a bug")
    finally:
        writer.close()
    auc = rank(times[True], times[False])
    foreign_ms, unknown_ms = (round(statistics.median(times[one]), 2) for one in (True, False))
    return NameTimes(way, len(foreign), foreign_ms, unknown_ms, round(max(auc, 1 - auc), 3))


def rank(first: Sequence[float], second: Sequence[float]) -> float:
    """The probability that one of the first is larger than one of the second; equal ones count half."""
    ordered = sorted(second)
    above = sum(bisect.bisect_left(ordered, one) + bisect.bisect_right(ordered, one) for one in first)
    return above / (2 * len(first) * len(second))
