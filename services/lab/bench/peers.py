"""Runs every benchmark that compares us with another library, and prints one table of ratios: `scripts/bench`.

Each benchmark runs as a separate process, so that none warms up or slows down the next.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.output import print_json, print_table, warn

__all__ = ["MEASUREMENTS", "Measurement", "Ratio", "main", "read_ratios"]

_MILLMARK = (sys.executable, "-m", "services.cli", "bench")
_QUALITY = (sys.executable, "-m", "quality", "bench")


@dataclass(frozen=True, slots=True)
class Ratio:
    """The peer's cost divided by ours: above 1 if ours is lower."""

    what: str
    peer: str
    read: Callable[[Any], float]
    """Returns the ratio from the measurement's JSON."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A command that prints JSON, and the ratios to read from it."""

    name: str
    command: tuple[str, ...]
    ratios: tuple[Ratio, ...]


def _member(*path: str) -> Callable[[Any], float]:
    def read(answer: Any) -> float:
        for name in path:
            answer = answer[name]
        return float(answer)

    return read


def _inverse(*path: str) -> Callable[[Any], float]:
    """For figures that are our cost divided by the peer's."""
    return lambda answer: 1 / _member(*path)(answer)


MEASUREMENTS = (
    Measurement(
        "genealogy",
        (*_MILLMARK, "genealogy", "--json"),
        tuple(
            Ratio(question, f"SQLAlchemy's ORM, {way}", _member(question, f"times_faster_than_{way}"))
            for question in ("ancestors of a finished lot", "descendants of a coil")
            for way in ("objects", "query")
        ),
    ),
    Measurement(
        "capture",
        (*_MILLMARK, "capture", "--json"),
        (
            Ratio("events in batches, node's log", "one synchronisation an event", _member("ratio")),
            Ratio("events in batches, node's log", "one commit of SQLite an event", _member("ratio_sqlite")),
            Ratio("events in batches over HTTP", "a FastAPI request an event, stored", _member("http_ratio")),
            Ratio("events in batches over HTTP", "the same, in memory", _member("http_ratio_memory")),
        ),
    ),
    Measurement(
        "epcis",
        (*_MILLMARK, "epcis", "--json"),
        (
            Ratio("EPCIS events in batches over HTTP", "a FastAPI request an event, stored", _member("ratio")),
            Ratio("EPCIS events in batches over HTTP", "the same, in memory", _member("ratio_memory")),
        ),
    ),
    Measurement(
        "bundle",
        (*_MILLMARK, "bundle", "--json"),
        (Ratio("verifying a bundle", "json.loads of the same file", _inverse("times_json_decode")),),
    ),
    Measurement(
        "network",
        (*_MILLMARK, "network", "--seconds", "30", "--json"),
        (
            Ratio("records/s of one key on a network", "transactions signed beforehand", _member("share")),
            Ratio("records/s of one key on a network", "FireFly, as published, 4 cores", _member("times_firefly")),
        ),
    ),
    Measurement(
        "interpreter",
        (*_MILLMARK, "interpreter", "--json"),
        (Ratio("executing on the embedded chain", "py-evm's own loop", _member("ratio")),),
    ),
    Measurement(
        "speed",
        (*_QUALITY, "speed"),
        (Ratio("integers in Torch, 152-32-16-2", "float32 in Torch", _inverse("ratio")),),
    ),
)


def read_ratios(measurement: Measurement, answer: Any) -> Iterator[tuple[str, str, str, float]]:
    """Yields the rows of the table: name of the measurement, measured quantity, peer, ratio."""
    for ratio in measurement.ratios:
        yield measurement.name, ratio.what, ratio.peer, round(ratio.read(answer), 2)


def main(arguments: list[str]) -> int:
    """Prints a table, or JSON with `--json`. Returns 1 if a measurement failed or missed its own threshold, else 0."""
    rows: list[tuple[str, str, str, float]] = []
    failed = []
    for measurement in MEASUREMENTS:
        warn(f"measuring {measurement.name}")
        done = subprocess.run(measurement.command, stdout=subprocess.PIPE, text=True, check=False)
        # A benchmark that misses its threshold exits with an error, but prints its JSON first: its ratios still count.
        if done.returncode:
            failed.append(measurement.name)
        answer: Mapping[str, Any] | None = json.loads(done.stdout) if done.stdout.strip() else None
        if answer is not None:
            rows += read_ratios(measurement, answer)
    if "--json" in arguments:
        print_json([dict(zip(("bench", "what", "peer", "ratio"), row, strict=True)) for row in rows])
    else:
        print_table("our peers' cost over ours", ["bench", "what", "peer", "times"], rows)
    for name in failed:
        warn(f"{name} failed, or missed its own threshold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
