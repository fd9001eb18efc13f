"""A factory on the lab's chain: the demo's test bench with a real node in its own process.

The bench measures the demo's signals (FordA). A machine sends them over HTTP in order, and repeats each request until
it is acknowledged, like a machine that must not lose data.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import cast

import httpx

from millmark.ledger.chain import Deployment, write_deployment
from millmark.ledger.errors import SettingsError, SubmitError
from millmark.quality import to_fixed
from millmark.quality.forda import load_ford_a_test
from millmark.services.demo.consortium import found_consortium
from millmark.services.demo.plant import build_gtin, build_plant, receive
from millmark.services.store import open_store
from tests.faults.chains import ChainProcess, stop_process

__all__ = ["Event", "Factory", "Machine", "NodeProcess", "find_strace", "found_factory", "running_node"]

_START_S = 60.0
_ANSWER_S = 20.0
_STOP_S = 30.0
_SETTLE_S = 120.0
_PAUSE_S = 0.05
_TOKEN = "fault-lab-" + "7" * 32
_EVENTS_A_WINDOW = 4

Event = dict[str, object]


@dataclass(frozen=True, slots=True)
class Factory:
    """The records prepared on the chain, and the node's folder."""

    folder: Path
    config: Path
    deployment: Deployment
    engine: str
    stream: bytes
    lots: tuple[bytes, ...]
    """One lot for each inspected window."""
    windows: tuple[tuple[int, ...], ...]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.data / "streams" / "bench" / "log"

    def events(self) -> list[Event]:
        """All events of the bench: one window per lot, and plain readings in between."""
        found: list[Event] = []
        for number, (lot, window) in enumerate(zip(self.lots, self.windows, strict=True)):
            found.append({"id": f"window-{number}", "lot": "0x" + lot.hex(), "data": {"samples": list(window)}})
            start = number * (_EVENTS_A_WINDOW - 1)
            readings = range(start, start + _EVENTS_A_WINDOW - 1)
            found += [{"id": f"reading-{reading}", "data": {"spindle_rpm": 2000 + reading}} for reading in readings]
        return found


def found_factory(folder: Path, process: ChainProcess, lots: int) -> Factory:
    """Sets up the demo's consortium and plant, and writes the configuration of the inspector's node."""
    home = folder / "node"
    home.mkdir()
    models = resources.files("millmark.quality") / "models"
    with open_store(f"sqlite:///{folder / 'founding.sqlite'}") as store:
        consortium = found_consortium(store, process.transport)
        plant = build_plant(consortium, (models / "forda.bin").read_bytes(), (models / "forda.json").read_text())
        names = [f"LAB{number}" for number in range(lots)]
        subjects = receive(consortium, consortium.makers[0], build_gtin("00101"), names, 1000, b"GRM")
    write_deployment(home / "deployment.json", consortium.chain.deployment)
    _write_secret(home / "key", consortium.inspector.signer.unsafe_secret().hex())
    _write_secret(home / "token", _TOKEN)
    config = home / "node.toml"
    config.write_text(
        f'data_folder = "data"\nrecord = "certificates"\n'
        f'[chain]\nurl = "{process.url}"\nengine = "{process.engine}"\n[signer]\nuri = "file:{home / "key"}"\n'
        f'[[streams]]\nname = "bench"\nmachine = {plant.bench.number}\nsubject = "0x{plant.bench.stream.hex()}"\n'
        f'[http]\nport = 0\ntoken_file = "token"\n[anchor]\ncount = 7\nseconds = 0.2\n'
        f'[model]\nfile = "{models / "forda.bin"}"\nnumber = {plant.model}\nfield = "samples"\nwidth = 500\nhop = 500\n'
        f'stream = "bench"\n'
    )
    signals = to_fixed(load_ford_a_test().values[:lots], plant.inspector.model.decimals)
    windows = tuple(tuple(int(value) for value in row) for row in signals)
    return Factory(
        home, config, consortium.chain.deployment, process.engine, plant.bench.stream, tuple(subjects), windows
    )


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text + "\n")


# The node


@dataclass(slots=True)
class NodeProcess:
    """A running node that answers requests."""

    process: subprocess.Popen[str]
    client: httpx.Client
    ready_s: float
    """Wall time from its start until it accepts events."""
    processor_s: float
    """CPU time until then."""

    def kill(self) -> None:
        self.process.kill()

    def settle_or_die(self) -> None:
        """Returns when everything is on the ledger or the node has ended."""
        with contextlib.suppress(httpx.TransportError):
            self.settle()

    def settle(self) -> None:
        """Returns when everything captured is on the ledger. Raises SubmitError if nothing more comes to it for two
        minutes."""
        deadline, final = time.monotonic() + _SETTLE_S, -1
        while time.monotonic() < deadline:
            told = self.client.get("/ready").json()
            recorded = all(stream["anchored"] == stream["entries"] for stream in told["streams"])
            if recorded and told["outbox"]["oldest_waiting"] is None:
                return
            count = told["outbox"]["records"].get("final", 0)
            if count > final:  # a slow machine may have much to catch up with
                deadline, final = time.monotonic() + _SETTLE_S, count
            time.sleep(_PAUSE_S)
        raise SubmitError(
            f"not everything is on the ledger: {told['streams']}, {told['outbox']}", hint="report this, with the seed"
        )


@contextmanager
def running_node(factory: Factory, *wrapper: str) -> Iterator[NodeProcess | None]:
    """Runs the node, inside the command `wrapper` if given, until exit. Yields None if the node ended before it
    accepted events."""
    command = [*wrapper, sys.executable, "-m", "millmark.services.cli", "node", "--config", str(factory.config)]
    started = time.monotonic()
    with (
        (factory.folder / "node.txt").open("a") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        try:
            found = re.match(r"node on (http://\S+);", cast(str, process.stdout and process.stdout.readline()))
            if found is None:
                process.wait(_STOP_S)
                yield None
                return
            ready_s, processor_s = time.monotonic() - started, _processor_s(process.pid)
            headers = {"Authorization": f"Bearer {_TOKEN}"}
            with httpx.Client(base_url=found[1], headers=headers, timeout=_ANSWER_S) as client:
                yield NodeProcess(process, client, ready_s, processor_s)
        finally:
            stop_process(process, _STOP_S)


def _processor_s(number: int) -> float:
    """CPU time of a process in seconds (fields 14 and 15 of /proc/PID/stat, proc(5)); 0 if it has ended."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100


def find_strace() -> str:
    """Path of strace. Raises SettingsError if it is not installed."""
    found = shutil.which("strace")
    if found is None:
        raise SettingsError("strace is not installed", hint="install it: apt-get install strace")
    return found


# The machine


@dataclass(slots=True)
class Machine:
    """Sends events in order; none is sent before all earlier ones are acknowledged."""

    events: Sequence[Event]
    batch: int = 3
    """Maximum number of events in one request."""
    acknowledged: int = 0
    """Number of acknowledged events, counted from the first."""
    refusals: list[int] = field(default_factory=list)
    """HTTP statuses of failed requests."""

    @property
    def is_done(self) -> bool:
        return self.acknowledged == len(self.events)

    def send(self, node: NodeProcess) -> bool:
        """Sends the next few events; False if the node has ended. Raises SubmitError if it refuses valid events."""
        batch = self.events[self.acknowledged : self.acknowledged + self.batch]
        try:
            answer = node.client.post("/v1/events", json=list(batch))
        except httpx.TransportError:
            return node.process.poll() is None
        # The batch is sent again as it is, refused or unanswered: the node recognises what it already has.
        if answer.status_code != httpx.codes.OK:
            self.refusals.append(answer.status_code)
            time.sleep(_PAUSE_S)
            return True
        told = answer.json()
        if told["accepted"] + told["duplicates"] != len(batch):
            raise SubmitError(f"the node refused events: {told['refused'][:1]}", hint="report this, with the seed")
        self.acknowledged += len(batch)
        return True


def is_killed(code: int | None) -> bool:
    """Whether a process, or the command it was wrapped in, ended by SIGKILL."""
    return code in (-signal.SIGKILL, 128 + signal.SIGKILL)
