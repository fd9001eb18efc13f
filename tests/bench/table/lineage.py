"""Rows of lineage, in a generated plant of 200,000 lots."""

import random
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from millmark.services.store import open_store
from tests.bench.table.rows import Figure, Measured
from tests.bench.table.sides import Side, ask_in_turns, ask_tasks_in_turns, compare, open_sides
from tests.support.cluster import describe_missing, running_cluster
from tests.support.plant_store import draw_plant, write_plant

_LOTS = 200_000
_ASKED = 40
_BARE = ("subjects", "first")
"""Figures beside SQLAlchemy without objects."""
_PEERS = {"orm": "peers.orm", "rustworkx": "peers.graph", "postgresql": "peers.postgresql"}


def measure_lineage() -> Measured:
    """Ancestors of 40 finished lots, and descendants of each coil of material. Answers are compared.

    Millmark keeps the steps that it read, so it is shown, too, what the first question costs."""
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as name, _sides(Path(name)) as (sides, missing):
        for task in ("ancestors", "descendants"):
            shown = {one: side.ask(f"show {task}").result for one, side in sides.items()}
            shown["first"] = sides["own"].ask(f"show first {task}").result
            if any(result != shown["own"] for result in shown.values()):
                raise AssertionError(f"the sides find other {task}")
            found = ask_in_turns(sides, task, 5)
            for peer in found.keys() - {"own"}:
                # What PostgreSQL works for a query, it works in a process of its own: so by the clock on the wall.
                clock = "wall" if peer == "postgresql" else "cpu"
                figures[f"{task} {peer}"] = compare(found["own"], found[peer], 1e3, "ms", clock)
            if "orm" in sides:
                figures |= _compare_bare(sides, task)
    left_out = {
        f"{task} {figure}": why
        for task in ("ancestors", "descendants")
        for peer, why in missing.items()
        for figure in (peer, *(_BARE if peer == "orm" else ()))
    }
    return Measured(figures, left_out)


def _compare_bare(sides: Mapping[str, Side], task: str) -> dict[str, Figure]:
    """Beside SQLAlchemy without objects: with steps that the process kept, and without any."""
    asked = {"own": task, "first": f"first {task}", "subjects": f"subjects of {task}"}
    both = {"own": sides["own"], "first": sides["own"], "subjects": sides["orm"]}
    found = ask_tasks_in_turns(both, asked, 5)
    return {
        f"{task} {figure}": compare(found[own], found["subjects"], 1e3, "ms")
        for figure, own in zip(_BARE, ("own", "first"), strict=True)
    }


@contextmanager
def _sides(folder: Path) -> Iterator[tuple[Mapping[str, Side], Mapping[str, str]]]:
    plant = draw_plant(_LOTS, 1)
    url = f"sqlite:///{folder / 'plant.db'}"
    with open_store(url) as store:
        write_plant(store, plant)
    finished = random.Random(1).sample(plant.finished, _ASKED)  # noqa: S311 - a sample, not a secret
    lots = {"ancestors": finished, "descendants": plant.coils}
    subjects = {name: [plant.subject(lot).hex() for lot in numbers] for name, numbers in lots.items()}
    arguments: dict[str, object] = {"database": url, "file": str(folder / "plant.db"), "lots": subjects}
    with ExitStack() as stack:
        missing = {}
        if (why := describe_missing()) is None:
            cluster = stack.enter_context(running_cluster())
            arguments["url"] = cluster.replace("postgresql+psycopg:", "postgresql:")
        else:
            missing["postgresql"] = why
        modules = {"own": "own.lineage"} | {peer: module for peer, module in _PEERS.items() if peer not in missing}
        opened = {name: (module, arguments) for name, module in modules.items()}
        sides, absent = stack.enter_context(open_sides(folder, opened))
        yield sides, missing | absent
