"""The long form of tests/contracts/test_no_dead_end.py, as lines of JSON; `scripts/prove model` runs it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import Any

from tests.proofs.model.checks import ANY_ORDER, ONE_LOT, ORDERS, TWO_GATES, Searched, search, walk_and_end
from tests.proofs.model.replay import cover, replay, write_tree, write_walks
from tests.proofs.model.search import LARGE, explore, recorded
from tests.proofs.model.world import World

SEARCHED = (
    *ORDERS,
    ONE_LOT,
    World(operations=1),
    ANY_ORDER,
    TWO_GATES,
    World(operations=1, any_order=True),
)
_PLAIN = World(lots=2, demands=False, withdrawals=False, revisions=False)
"""Two lots that may be packed in each other, an order of two operations with a gate, one company gone at a time."""
LARGE_SEARCHED = (
    replace(_PLAIN, failures=0),
    replace(_PLAIN, operations=1),
    _PLAIN,
)
"""The first two have 29 million states each and take 3 minutes; the last one has 219 million, and takes half an hour
and 4 GB."""
REPLAYED = (
    *ORDERS,
    World(operations=1, demands=False, withdrawals=False),
    World(operations=1, revisions=False, failures=0),
    World(lots=2, operations=1, inspector=0, revisions=False),
    TWO_GATES,
)
AT_ONCE = 20_000
"""Walkers side by side: more need more memory than caches hold."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--walks", type=int, default=1_000_000)
    parser.add_argument("--replayed", type=int, default=1000, help="of the walks, on the contracts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--large", action="store_true", help="search the largest worlds instead, and nothing else")
    asked = parser.parse_args()
    sound = True
    lines = _searches(LARGE_SEARCHED) if asked.large else chain(_searches(SEARCHED), _walks(asked), _replays(asked))
    for line, good in lines:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
        sound &= good
    return 0 if sound else 1


def _searches(worlds: Sequence[World]) -> Iterator[tuple[dict[str, Any], bool]]:
    for world in worlds:
        found = search(world)
        yield {"searched": _named(world), **_shown(found)}, not found.dead


def _shown(found: Searched) -> dict[str, Any]:
    dead = {name: [str(act) for act in walk] for name, walk in found.dead.items()}
    return {"states": found.states, "acts": found.acts, "deepest": found.deepest, "dead": dead}


def _walks(asked: argparse.Namespace) -> Iterator[tuple[dict[str, Any], bool]]:
    walks = steps = stuck = 0
    while walks < asked.walks:
        walked = walk_and_end(LARGE, min(AT_ONCE, asked.walks - walks), 60, asked.seed + walks)
        walks, steps, stuck = walks + walked.walks, steps + walked.steps, stuck + walked.stuck
        sys.stderr.write(f"\r{walks} of {asked.walks} walks, {stuck} stuck")
        sys.stderr.flush()
    sys.stderr.write("\n")
    yield {"walked": _named(LARGE), "walks": walks, "steps": steps, "stuck": stuck}, not stuck


def _replays(asked: argparse.Namespace) -> Iterator[tuple[dict[str, Any], bool]]:
    """A difference between contracts and model ends everything, with the walk to it."""
    with tempfile.TemporaryDirectory() as build:
        for world in REPLAYED:
            graph = explore(world)
            done = replay({"everyAct": (world, write_tree(graph, cover(graph)))}, build=Path(build))
            yield {"replayed": _named(world), **asdict(done["everyAct"])}, True
        walks = write_walks(LARGE, recorded(LARGE, asked.replayed, 60, asked.seed))
        done = replay({"random": (LARGE, walks)}, build=Path(build))
        yield {"replayed": _named(LARGE), "walks": asked.replayed, **asdict(done["random"])}, True


def _named(world: World) -> dict[str, Any]:
    """What differs from the usual world."""
    usual = asdict(World())
    return {name: value for name, value in asdict(world).items() if value != usual[name]}


if __name__ == "__main__":
    sys.exit(main())
