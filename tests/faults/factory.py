"""A factory on a chain: the demo's test bench with a real node in its own process, which `node` kills.

The bench measures the demo's signals (FordA). A machine sends them over HTTP in order, and repeats each request until
it is acknowledged, like a machine that must not lose data.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import cast

import httpx

from millmark.ledger.chain import Chain, Deployment, Node, find_profile, write_deployment
from millmark.ledger.errors import SettingsError, SubmitError
from millmark.ledger.evidence import WINDOW_ID
from millmark.ledger.index import Follower, fetch_status
from millmark.ledger.records import Contract
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import CertificateRow
from millmark.quality import to_fixed
from millmark.quality.data import load_ford_a_test
from millmark.services.demo.consortium import found_consortium
from millmark.services.demo.plant import build_gtin, build_plant, receive
from millmark.services.node.evidence_recorder import MerkleFrontier, leaf_of
from millmark.services.node.streamlog import StreamLog
from millmark.services.store import open_store
from tests.faults.chains import ChainProcess, running_chain, stop_process
from tests.faults.ledger_check import LedgerCheck, Outcome
from tests.support.processor import cpu_s

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
            ready_s, processor_s = time.monotonic() - started, cpu_s(process.pid)
            headers = {"Authorization": f"Bearer {_TOKEN}"}
            with httpx.Client(base_url=found[1], headers=headers, timeout=_ANSWER_S) as client:
                yield NodeProcess(process, client, ready_s, processor_s)
        finally:
            stop_process(process, _STOP_S)


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


def check_factory(factory: Factory, chain: Chain, index: Store, folder: Path, machine: Machine) -> LedgerCheck:
    """Compares events, log and ledger after the node has ended.

    An event counts as on the ledger if the anchored root of its stream covers it. A window without a certificate counts
    as lost, one with two as duplicated; a certificate for an entry that does not exist counts as phantom.
    """
    sent = [str(event["id"]) for event in machine.events]
    acknowledged = sent[: machine.acknowledged]
    with closing(StreamLog(factory.log, factory.stream)) as log:
        entries = [entry for frame in log.frames(log.start) for entry in frame.entries]
    read = [str(json.loads(entry.content)["id"]) for entry in entries]
    leaves = [leaf_of(entry) for entry in entries]
    stream = chain.read_struct(Contract.LEDGER, "streamOf", factory.stream)
    size = cast(int, stream["size"])
    # A log with fewer entries than the anchor lost some that were on the ledger.
    rooted = size <= len(leaves) and _root(leaves[:size]) == stream["root"]
    with open_store(f"sqlite:///{folder / 'fresh.sqlite'}") as fresh:
        Follower(chain, fresh).follow()
        Follower(chain, index).follow()
        ours, theirs = fetch_status(index), fetch_status(fresh)
        with fresh.reading() as connection:
            certificates = Rows(connection).find(CertificateRow, stream=factory.stream)
    counts, anchored = Counter(read), set(read[:size])
    certified = Counter(row.lot for row in certificates)
    inspected = sum(name.startswith("window-") for name in acknowledged)
    places = {name: place for place, name in enumerate(sent)}
    order = [places[name] for name in read if name in places]
    return LedgerCheck(
        events=len(sent),
        acknowledged=len(acknowledged),
        failed=0,
        unknown=len(sent) - len(acknowledged),
        lost=sum(name not in anchored for name in acknowledged)
        + sum(certified[lot] == 0 for lot in factory.lots[:inspected]),
        duplicate=sum(count - 1 for count in counts.values()) + sum(count - 1 for count in certified.values()),
        phantom=sum(name not in places and not name.startswith(WINDOW_ID) for name in counts)
        + sum(row.leaf_index >= len(leaves) or row.leaf_hash != leaves[row.leaf_index] for row in certificates),
        misordered=sum(one > other for one, other in itertools.pairwise(order)),
        replay_equal=ours is not None and theirs is not None and ours.digest == theirs.digest,
        heads_equal=rooted and theirs is not None and theirs.ledger_sequence == chain.sequence(Contract.LEDGER),
    )


def _root(leaves: list[bytes]) -> bytes:
    peaks = MerkleFrontier()
    peaks.extend(leaves)
    return peaks.root()


SYSTEM_CALLS = {
    "frame written": ("pwrite64", "streams/bench/log"),
    "frame synchronised": ("fdatasync", "streams/bench/log"),
    "outbox and book written": ("pwrite64", "millmark.sqlite-wal"),
    "outbox and book synchronised": ("fdatasync", "millmark.sqlite-wal"),
    "draft synchronised": ("fsync", "drafts"),
}
"""System call, and the file or folder below the data folder that it acts on, by the call's effect."""
_RANDOM_EVERY = 4
_LATEST_KILL_S = 1.5
_LATEST_CALL = 2
"""The kill comes at the first or second call of its kind: a node anchors and certifies only a few times."""
_WINDOWS_A_RUN = 3
_MAX_RUNS = 2
"""Runs of the node per wanted kill: a run may end before it reaches its call."""


@dataclass(slots=True)
class _Runs:
    kills: Counter[str] = field(default_factory=Counter)
    ready_s: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)
    """CPU time until ready; like `ready_s`, only of runs without strace."""


def run_node_kills(folder: Path, count: int, seed: int) -> Outcome:
    """Runs the node until `count` runs ended by SIGKILL while the bench was measuring, then once more undisturbed."""
    chance, runs = random.Random(seed), _Runs()  # noqa: S311 - a replay needs a seed, not secrecy
    with running_chain(folder) as process:
        factory = found_factory(folder, process, count * _MAX_RUNS * _WINDOWS_A_RUN)
        planned = factory.events()
        machine = Machine([])
        with open_store(f"sqlite:///{folder / 'index.sqlite'}") as index:
            chain = connect(factory, process)
            for number in range(count * _MAX_RUNS):
                if runs.kills.total() >= count:
                    break
                machine.events = planned[: len(planned) * (number + 1) // (count * _MAX_RUNS)]
                _run_once(factory, machine, runs, _plan_kill(number, chance))
                Follower(chain, index).follow()
            finish(factory, machine)
            check = check_factory(factory, chain, index, folder, machine)
    broken = () if runs.kills.total() >= count else (f"only {runs.kills.total()} runs ended by SIGKILL",)
    return Outcome(process.engine, runs.kills, check, _figures(runs), broken)


@dataclass(frozen=True, slots=True)
class _Kill:
    """When to kill: at the `when`-th system call of a kind; if `call` is empty, `at_s` seconds after the start."""

    call: str
    when: int
    at_s: float


def _plan_kill(number: int, chance: random.Random) -> _Kill:
    calls = list(SYSTEM_CALLS)
    when, at_s = chance.randint(1, _LATEST_CALL), chance.random() * _LATEST_KILL_S
    turn = number - number // _RANDOM_EVERY
    return _Kill("" if number % _RANDOM_EVERY == _RANDOM_EVERY - 1 else calls[turn % len(calls)], when, at_s)


def _run_once(factory: Factory, machine: Machine, runs: _Runs, kill: _Kill) -> None:
    """Runs the node once while the machine sends all its events. The node is killed on the way, or stopped at the end
    if it did not reach its call."""
    wrapper: Sequence[str] = ()
    if kill.call:
        name, path = SYSTEM_CALLS[kill.call]
        wrapper = inject(factory, name, [path], f"signal=SIGKILL:when={kill.when}")
    with running_node(factory, *wrapper) as node:
        if node is not None:
            if not kill.call:
                runs.ready_s.append(node.ready_s)
                runs.processor_s.append(node.processor_s)
                threading.Timer(kill.at_s, node.kill).start()
            while not machine.is_done and machine.send(node):
                pass
            if not kill.call:
                node.process.wait()
            elif node.process.poll() is None:
                node.settle_or_die()
            code = node.process.poll()
    # A node that was killed while starting never answered, and counts as killed.
    if node is None or is_killed(code):
        runs.kills[kill.call or "at random"] += 1


def inject(factory: Factory, call: str, paths: Sequence[str], what: str, report: Path | None = None) -> list[str]:
    """A command prefix that runs a program under strace, which applies `what` (strace(1), -e inject) to system calls on
    the given files below the data folder. The program is not a child of strace."""
    # -D makes strace a grandchild, so that the process id and its signals are the program's own.
    places = [part for path in paths for part in ("-P", str(factory.data / path))]
    options = ["-D", "-f", "-qq", "-o", str(report or "/dev/null")]
    return [find_strace(), *options, *places, "-e", f"trace={call}", "-e", f"inject={call}:{what}"]


def connect(factory: Factory, process: ChainProcess) -> Chain:
    """A direct connection to the chain, bypassing the node."""
    return Chain(Node(process.transport), find_profile(process.engine), factory.deployment)


def finish(factory: Factory, machine: Machine) -> None:
    """Runs the node undisturbed until the machine has sent its remaining events and all are on the ledger."""
    with running_node(factory) as node:
        if node is not None:
            while not machine.is_done and machine.send(node):
                pass
            node.settle()


def _figures(runs: _Runs) -> dict[str, float]:
    if not runs.ready_s:
        return {}
    ready_s, processor_s = sorted(runs.ready_s), sorted(runs.processor_s)
    return {
        "ready_p50_s": round(ready_s[len(ready_s) // 2], 2),
        "ready_max_s": round(ready_s[-1], 2),
        "ready_processor_p50_s": round(processor_s[len(processor_s) // 2], 2),
        "ready_processor_max_s": round(processor_s[-1], 2),
    }
