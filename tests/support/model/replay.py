"""Lets forge replay on the contracts what the model says of its acts."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import toolchain
from tests.support.model.reading import walk_to_place
from tests.support.model.world import World

__all__ = ["Replayed", "replay"]

_STREAMS = toolchain.PROJECT / "out-walks"
"""The one folder that contracts/foundry.toml lets a test read."""
_DIFFERS = re.compile(r"Differs\((\d+)[^,]*, \d+[^,]*, \d+[^,]*, \d+[^,]*, (\d+)[^,]*, (\d+)")


@dataclass(frozen=True, slots=True)
class Replayed:
    accepted: int
    """Acts after which the contracts were in the state that the model says."""
    refused: int


def replay(streams: Mapping[str, tuple[World, bytes]], *, build: Path) -> dict[str, Replayed]:
    """Streams by the name of the test in Walks.t.sol. `build` is a folder of forge's, where it finds what it compiled
    before. Raises AssertionError with the walk to the first act on which contracts and model differ."""
    _STREAMS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_STREAMS) as folder:
        for name, (_, stream) in streams.items():
            (Path(folder) / f"{name}.bin").write_bytes(stream)
        arguments = ["test", "--match-contract", "WalksTest", "--json", "-vv"]
        environment = {"MILLMARK_WALKS": f"{_STREAMS.name}/{Path(folder).name}"}
        done = toolchain.run_forge(arguments, output=build, environment=environment)
    try:
        ((_, suite),) = json.loads(done.stdout).items()
    except ValueError:
        raise AssertionError(done.stdout + done.stderr) from None
    results = {test.removeprefix("test_").removesuffix("()"): result for test, result in suite["test_results"].items()}
    return {name: _read(results[name], *streams[name]) for name in streams}


def _read(result: Mapping[str, Any], world: World, stream: bytes) -> Replayed:
    if result["status"] != "Success":
        raise AssertionError(_explain(result["reason"], stream, world))
    told = dict(line.split(": ") for line in result["decoded_logs"])
    return Replayed(int(told["accepted"]), int(told["refused"]))


def _explain(reason: str, stream: bytes, world: World) -> str:
    found = _DIFFERS.match(reason)
    if found is None:
        return reason
    place, expected, observed = (int(value) for value in found.groups())
    told = [reason, *walk_to_place(stream, place, world)]
    if expected > 1 or observed > 1:
        layout = world.layout()
        told += [f"the model: {layout.describe(expected)}", f"the contracts: {layout.describe(observed)}"]
    return "\n".join(told)
