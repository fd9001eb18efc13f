"""Processes of `millmark`: a devchain, gateways, and a node of the inspector of a consortium on that devchain."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import httpx

from millmark.ledger.chain import HttpTransport, write_deployment
from millmark.ledger.keys import create_keystore
from millmark.ledger.records import Contract
from millmark.ledger.store import Store
from millmark.services.demo.consortium import Consortium, found_consortium
from millmark.services.demo.plant import Plant, build_gtin, build_plant, receive
from tests.support.patience import MAX_S, wait_until

TOKEN = "canary-token-" + "7" * 32
PASSPHRASE = "canary-passphrase"
MODELS = Path(__file__).parents[2] / "quality" / "models"


@dataclass(frozen=True, slots=True)
class NodeSite:
    """The consortium's registered things, and the node's folder."""

    consortium: Consortium
    plant: Plant
    lots: list[bytes]
    folder: Path
    url: str

    @property
    def stream(self) -> bytes:
        return self.plant.bench.stream

    @property
    def config(self) -> Path:
        return self.folder / "node.toml"

    @property
    def evidence(self) -> Path:
        return self.folder / "evidence"

    def write_config(self, *, more: str = "", anchor: str = "count = 50\nseconds = 0.5", record: str = "") -> None:
        """Writes the node's configuration. `more`: additional TOML. Evidence goes into files if their folder exists."""
        evidence = 'evidence_folder = "evidence"\n' if self.evidence.is_dir() else ""
        self.config.write_text(
            f'data_folder = "data"\n{evidence}{record}\n'
            f'[chain]\nurl = "{self.url}"\n'
            f'[signer]\nuri = "keystore:{self.folder / "key.json"}"\npassphrase_file = "secret"\n'
            f'[[streams]]\nname = "bench"\nmachine = {self.plant.bench.number}\nsubject = "0x{self.stream.hex()}"\n'
            f'[http]\nport = 0\ntoken_file = "token"\n[anchor]\n{anchor}\n{more}'
        )

    def anchored(self) -> int:
        """Number of entries under the stream's latest anchor on the ledger."""
        return cast(int, self.consortium.chain.read_struct(Contract.LEDGER, "streamOf", self.stream)["size"])


def command_of(*words: str | Path) -> list[str]:
    """A process that runs `millmark` with these words."""
    return [sys.executable, "-m", "millmark.services.cli", *map(str, words)]


@contextmanager
def running_gateway(home: Path, answers: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a home's gateway until the end of the block, from when it `answers`. Its log is there if it ends before."""
    path = home / "gateway.log"
    with (
        path.open("a") as log,
        subprocess.Popen(command_of("--home", home, "gateway"), stdout=log, stderr=log) as process,
    ):
        try:
            wait_until(lambda: process.poll() is not None or answers())
            assert process.poll() is None, path.read_text()
            yield process
        finally:
            process.kill()


def is_healthy(url: str) -> bool:
    """Whether a gateway answers at this address."""
    try:
        return httpx.get(f"{url}/health", timeout=MAX_S).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running_devchain() -> Iterator[str]:
    """Runs a devchain; yields its URL."""
    with subprocess.Popen(command_of("devchain", "--port", "0"), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[2].rstrip(",")
        finally:
            process.terminate()


def build_site(folder: Path, url: str, store: Store, lots: int) -> NodeSite:
    """Creates companies, machines and an approved model, and `lots` lots in a factory's custody."""
    consortium = found_consortium(store, HttpTransport(url))
    plant = build_plant(consortium, (MODELS / "forda.bin").read_bytes(), (MODELS / "forda.json").read_text())
    names = [f"NODE{number}" for number in range(lots)]
    subjects = receive(consortium, consortium.makers[0], build_gtin("00101"), names, 1000, b"GRM") if lots else []
    home = folder / "node"
    home.mkdir()
    write_deployment(home / "deployment.json", consortium.chain.deployment)
    create_keystore(home / "key.json", PASSPHRASE, signer=consortium.inspector.signer, scrypt_cost=2)
    for name, text in (("secret", PASSPHRASE), ("token", TOKEN)):
        (home / name).touch(mode=0o600)
        (home / name).write_text(text + "\n")
    return NodeSite(consortium, plant, subjects, home, url)


@dataclass(slots=True)
class RunningNode:
    """A node's process, and a client for it."""

    process: subprocess.Popen[str]
    client: httpx.Client

    def send(self, events: Sequence[dict[str, object]]) -> dict[str, object]:
        answer = self.client.post("/v1/events", json=list(events))
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    def is_settled(self) -> bool:
        """Whether everything captured is on the ledger."""
        told = self.client.get("/ready").json()
        recorded = all(stream["anchored"] == stream["entries"] for stream in told["streams"])
        return recorded and told["outbox"]["oldest_waiting"] is None

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def running_node(config: Path) -> Iterator[RunningNode]:
    """Runs the node; stops it on exit if it still runs."""
    command = command_of("node", "--config", config)
    errors = config.with_name("node.log").open("a")
    with errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("node on http://"), config.with_name("node.log").read_text()[-2000:]
            url = line.split()[2].rstrip(";")
            # Keeps no connection: the server closes one that is idle, perhaps just when a request is on its way.
            limits = httpx.Limits(max_keepalive_connections=0)
            token = {"Authorization": f"Bearer {TOKEN}"}
            with httpx.Client(base_url=url, headers=token, timeout=MAX_S, limits=limits) as client:
                yield RunningNode(process, client)
        finally:
            process.terminate()
            process.wait(MAX_S)


def millmark(*arguments: str, fails: bool = False) -> str:
    """Runs `millmark node` with these arguments; returns its output. With `fails`, it must fail, and its error line is
    returned."""
    done = subprocess.run(command_of("node", *arguments), capture_output=True, text=True, timeout=MAX_S)
    assert done.returncode == (2 if fails else 0), done.stderr
    if fails:
        assert done.stderr.count("\n") == 1, done.stderr
        assert PASSPHRASE not in done.stderr
    return done.stderr if fails else done.stdout
