"""Runs of faults of a network, in parts that are kept as they end: a run that was cut off goes on where it was."""

from __future__ import annotations

import functools
import json
import shutil
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from millmark.ledger.errors import InputError
from tests.faults.ledger_check import LedgerCheck, Outcome
from tests.faults.network.part import Injected, Part, run_part
from tests.faults.network.programs import lab_program

__all__ = ["read_parts", "run_network", "sum_up"]

_A_PART = 16
"""Faults before the judge looks. What is cut off in between is lost, so not many; founding takes half a minute, so not
few."""


def run_network(folder: Path, count: int, seed: int, *, kinds: Sequence[str], keep: Path | None = None) -> Outcome:
    """Injects `count` faults of these kinds in turn, with four companies at work.

    Each part that ends is appended to the file `keep`; those that it has already of the same node program count. Raises
    InputError for another file, NetworkError where no network can run.
    """
    program = lab_program()
    kept = [] if keep is None else read_parts(keep)
    parts = [part for part in kept if (part.engine, part.version) == (program.kind.name, program.version)]
    while (done := sum(len(part.injected) for part in parts)) < count:
        place = folder / str(len(parts))
        place.mkdir()
        sequence = [kinds[number % len(kinds)] for number in range(done, min(done + _A_PART, count))]
        parts.append(run_part(place, sequence, seed + len(parts)))
        if keep is not None:
            _append(keep, parts[-1])
        shutil.rmtree(place)
    return sum_up(parts)


def read_parts(path: Path) -> list[Part]:
    """The parts in a file, which need not exist. Raises InputError."""
    if not path.exists():
        return []
    try:
        return [Part.from_json(json.loads(line)) for line in path.read_text().splitlines()]
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(f"{path} has no parts of a run: {error}", hint="name another file") from None


def _append(path: Path, part: Part) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json.dumps(part.to_json()) + "\n")


def sum_up(parts: Sequence[Part]) -> Outcome:
    """All parts as one run."""
    injected = [one for part in parts for one in part.injected]
    figures: dict[str, float | int] = {
        "parts": len(parts),
        "undone_blocks": sum(part.undone_blocks for part in parts),
        "reorganised_transactions": sum(part.reorganised for part in parts),
        "chain_reorganisations": sum(part.chain_reorganisations for part in parts),
    }
    for kind in dict.fromkeys(one.kind for one in injected):
        these = [one for one in injected if one.kind == kind]
        name = kind.replace("-", "_")
        figures |= {
            f"{name}_engine_p50_s": statistics.median(one.engine_s for one in these),
            f"{name}_engine_max_s": max(one.engine_s for one in these),
            f"{name}_final_p50_s": statistics.median(one.final_s for one in these),
            f"{name}_final_max_s": max(one.final_s for one in these),
        }
    return Outcome(
        engine=" and ".join(dict.fromkeys(f"{part.engine} {part.version}" for part in parts)),
        injected=Counter(one.kind for one in injected),
        check=functools.reduce(LedgerCheck.join, (part.check for part in parts)),
        figures=figures,
        broken=tuple(line for part in parts for line in (*part.broken, *part.late)),
        table=_table(injected, figures),
    )


def _table(injected: Sequence[Injected], figures: dict[str, float | int]) -> tuple[str, ...]:
    """A line for each kind of fault. Times are medians and maxima in seconds."""
    rows = ["| fault | times | engine's recovery, s | records final after it, s |", "|---|---|---|---|"]
    for kind, times in Counter(one.kind for one in injected).items():
        name = kind.replace("-", "_")
        engine, final = (
            f"{figures[f'{name}_{what}_p50_s']:.1f}, at most {figures[f'{name}_{what}_max_s']:.1f}"
            for what in ("engine", "final")
        )
        rows.append(f"| {kind} | {times} | {engine} | {final} |")
    reorganised = f"{figures['chain_reorganisations']} reorganisations logged by nodes"
    return (*rows, f"{reorganised}, {figures['undone_blocks']} blocks taken back by the companies' indexes")
