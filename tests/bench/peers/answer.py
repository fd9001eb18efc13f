"""How a program under measurement is asked: one line of JSON with its arguments, then one line with each task's name.

`python -m tests.bench.peers.answer MODULE` serves what `start` of the module returns.

It answers each with a line of JSON: CPU seconds and wall seconds of the task, how many things it did, and a result to
compare. Needs the standard library alone, because it runs in the peers' environment and in Millmark's own.
"""

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

Act = Callable[[], "tuple[int, object]"]
"""What is timed. Returns how many things it did, and a result that JSON can hold."""
Prepare = Callable[[], Act]
"""Makes what a task needs, outside the timed part."""


def answer(start: Callable[[Mapping[str, Any]], Mapping[str, Prepare]]) -> None:
    """Serves tasks until standard input ends. `start` is given the arguments and returns the tasks by name."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    tasks = start(json.loads(sys.stdin.readline()))
    _write(out, {"tasks": list(tasks)})
    for line in sys.stdin:
        _write(out, _time(tasks[json.loads(line)]))


def _time(prepare: Prepare) -> dict[str, object]:
    act = prepare()
    gc.collect()
    wall, processor = time.perf_counter(), time.process_time()
    count, result = act()
    processor, wall = time.process_time() - processor, time.perf_counter() - wall
    return {"cpu_s": processor, "wall_s": wall, "count": count, "result": result}


def _write(out: Any, value: object) -> None:
    out.write(json.dumps(value) + "\n")
    out.flush()


if __name__ == "__main__":
    answer(importlib.import_module(sys.argv[1]).start)
