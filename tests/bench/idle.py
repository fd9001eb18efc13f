"""What a gateway and a node take while nothing happens: the demonstration's homes, its chain in another process, and no
browser."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx

from millmark.ledger.errors import MillmarkError
from millmark.services.demo.home import read_finished
from tests.support.processor import cpu_s, private_kib

_MILLMARK = (sys.executable, "-m", "millmark.services.entry")
_READY_S = 180.0
_SETTLE_S = 30.0
"""What was imported late, and the first looks of threads that look seldom, are over by then."""
_BARS: Mapping[str, tuple[float, float]] = {"gateway": (0.5, 115.0), "node": (0.5, 75.0)}
"""Most per cent of a core, and most memory of its own in thousands of KiB."""


def measure_idle(folder: Path, seconds: int) -> list[Mapping[str, object]]:
    """Runs the demonstration in the folder, then the buyer's gateway with the chain in its process, the inspector's
    gateway, and the inspector's node, each a process of its own, and looks at them for so many seconds. Raises
    MillmarkError if one of them does not start."""
    demo = folder / "demo"
    _run(["demo", "--out", str(demo)], folder / "demo.log")
    finished = read_finished(demo)
    with ExitStack() as stack:
        places = {one.home: one for one in finished.places}
        buyer, inspector = places["nordwind-mobility"], places["umbra-inspection"]
        started: dict[str, subprocess.Popen[bytes]] = {}
        for name, place in (("gateway with chain", buyer), ("gateway", inspector)):
            home = demo / place.home
            started[name] = _start(stack, ["--home", str(home), "gateway"], folder / f"{name}.log")
            _await_ready(finished.settings(place).origin, started[name])
        config = demo / inspector.home / "node" / "node.toml"
        started["node"] = _start(stack, ["node", "--config", str(config)], folder / "node.log")
        time.sleep(_SETTLE_S)
        before = {name: cpu_s(process.pid) for name, process in started.items()}
        began_s = time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - began_s
        return [
            _judge(name, 100 * (cpu_s(process.pid) - before[name]) / took_s, private_kib(process.pid) / 1000)
            for name, process in started.items()
        ]


def _judge(name: str, percent: float, memory: float) -> Mapping[str, object]:
    bar = _BARS.get(name)
    return {
        "process": name,
        "% of a core": round(percent, 3),
        "at most": "-" if bar is None else bar[0],
        "1,000 KiB": round(memory, 1),
        "at most 1,000 KiB": "-" if bar is None else bar[1],
        "passed": bar is None or (percent <= bar[0] and memory <= bar[1]),
    }


def _run(arguments: list[str], log: Path) -> None:
    with log.open("wb") as output:
        code = subprocess.run([*_MILLMARK, *arguments], stdout=output, stderr=output, check=False).returncode
    if code:
        raise MillmarkError(f"`millmark {arguments[0]}` ended with {code}", hint=f"see {log}")


def _start(stack: ExitStack, arguments: list[str], log: Path) -> subprocess.Popen[bytes]:
    output = stack.enter_context(log.open("wb"))
    process = subprocess.Popen([*_MILLMARK, *arguments], stdout=output, stderr=output)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def _await_ready(origin: str, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + _READY_S
    while process.poll() is None and time.monotonic() < end_s:
        try:
            if httpx.get(f"{origin}/ready", trust_env=False).status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise MillmarkError(f"the gateway at {origin} is not ready", hint="see its log")
