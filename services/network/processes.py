"""Node programs on this machine: found, started, awaited and stopped, alone or together."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from millmark.ledger.chain import HttpTransport, Node, RpcError
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.files import replace_file
from millmark.ledger.store.process_identity import describe_process, is_gone
from millmark.services.network.layout import NodeFolder
from millmark.services.network.peers import KINDS, Kind, NodeProgramError, find_kind

# Node programs on this machine: found, and asked what they are. A name tells nothing: `geth` may be go-ethereum of any
# version, or GoQuorum.

_ANSWER_S = 180.0
"""A Java program takes seconds to print its version, and much longer on a busy machine: Besu took 69 s where it had a
twentieth of a core."""
_QUESTIONS = ("--version", "version")
"""Besu knows the first alone, and needs a whole start of its virtual machine to refuse the second. The geth family
answers or refuses the first at once, without naming the fork."""
_LAST_CLIQUE = (1, 13)
_HINT = "name the executable of Besu, of geth 1.13.15 or older, of GoQuorum or of electroneum-sc"


@dataclass(frozen=True, slots=True)
class NodeProgram:
    """An executable, and what it says it is."""

    kind: Kind
    path: Path
    version: str


def find_program(kind: Kind | None = None) -> NodeProgram:
    """The first program on the PATH of that kind, or of any. Raises NodeProgramError if there is none."""
    for command in dict.fromkeys(name for known in (kind and [kind]) or KINDS.values() for name in known.commands):
        path = shutil.which(command)
        if path is None:
            continue
        program = identify_program(Path(path))
        if kind is None or program.kind == kind:
            return program
    what = "node program" if kind is None else kind.name
    raise NodeProgramError(f"there is no {what} on the PATH", hint="name the executable with --program")


def _ask(path: Path, argument: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "JAVA_HOME")}
    try:
        answer = subprocess.run(
            [path.absolute(), argument], capture_output=True, stdin=subprocess.DEVNULL, timeout=_ANSWER_S,
            env=environment, check=False, text=True, errors="replace",
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise NodeProgramError(f"{path} does not tell its version in {_ANSWER_S:.0f} s", hint=_HINT) from None
    except OSError as error:
        raise NodeProgramError(f"{path} cannot be run: {error.strerror}", hint=_HINT) from None
    return answer.stdout[:10_000]


def identify_program(path: Path, ask: Callable[[Path, str], str] | None = None) -> NodeProgram:
    """Asks an executable what it is. Raises NodeProgramError if it is not a node program that can be used here."""
    for argument in _QUESTIONS:
        if (program := parse_program(path, (ask or _ask)(path, argument))) is not None:
            return program
    raise NodeProgramError(f"{path} is not a node program that is known here", hint=_HINT)


def parse_program(path: Path, text: str) -> NodeProgram | None:
    """The program that printed `text` when asked for its version; None if it is not known. Raises NodeProgramError for
    a geth without Clique."""
    found = _parse_version(text)
    if found is None:
        return None
    kind, version = found
    if kind.name == "geth" and tuple(map(int, re.findall(r"\d+", version)[:2])) > _LAST_CLIQUE:
        raise NodeProgramError(
            f"{path} is geth {version}, which has no Clique any more", hint="geth 1.13.15 is the last with it"
        )
    return NodeProgram(kind, path.resolve(), version)


def _parse_version(text: str) -> tuple[Kind, str] | None:
    if besu := re.match(r"besu/v?([0-9][\w.+-]*)", text.strip()):
        return find_kind("besu"), besu[1]
    if quorum := re.search(r"^Quorum Version: *(\S+)", text, re.MULTILINE):
        return find_kind("goquorum"), quorum[1]
    version = re.search(r"^Version: *(\S+)", text, re.MULTILINE)
    name = text.strip().partition("\n")[0].lower()
    if version is None or name not in ("geth", "etn-sc"):
        return None
    return find_kind("geth" if name == "geth" else "electroneum-sc"), version[1].removesuffix("-stable")


# Chain nodes as processes of this machine: started, awaited, stopped, and hurt on purpose by tests.

READY_S = 180.0
"""Besu needs 16 to 26 s on two busy cores, and several times that when all nodes of a machine start at once."""
_STOP_S = 30.0
_POLL_S = 0.1
_LOG_BYTES = 16 << 20
_ENVIRONMENT = ("PATH", "HOME", "JAVA_HOME", "JAVA_OPTS", "BESU_OPTS", "LANG", "TMPDIR")


@dataclass(slots=True)
class NodeProcess:
    """The process of one chain node, which this object started. Not safe for threads."""

    folder: NodeFolder
    program: Path
    url: str
    """Where it answers JSON-RPC."""
    chain_id: int
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        """Process id. Raises NodeProgramError if it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise NodeProgramError(f"the node in {self.folder.path} does not run")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process exists; a paused one does."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the program, and returns before it answers. Raises NodeProgramError if it runs already."""
        if self.is_running or is_running(self.folder):
            raise NodeProgramError(f"the node in {self.folder.path} runs already", hint="millmark network stop")
        _rotate(self.folder.log)
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        with self.folder.log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "start.sh"],
                cwd=self.folder.path,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment | {"NODE_PROGRAM": str(self.program)},
                start_new_session=True,  # Ctrl-C at the terminal is for the command, not for the nodes
            )
        self.folder.pid.write_text(describe_process(self._process.pid))

    def wait_ready(self, timeout_s: float = READY_S) -> None:
        """Returns once it answers for the right chain. Raises NodeProgramError if it ends, answers for another chain,
        or takes too long; it is not stopped then."""
        deadline, node = time.monotonic() + timeout_s, HttpTransport(self.url, timeout_s=2.0)
        while time.monotonic() < deadline:
            if not self.is_running:
                raise NodeProgramError(
                    f"the node program ended: {_last_line(self.folder.log)}", hint=f"see {self.folder.log}"
                )
            with contextlib.suppress(ChainUnreachableError, RpcError):
                answer = node.request("eth_chainId", [])
                if answer == hex(self.chain_id):
                    return
                raise NodeProgramError(f"{self.url} answers for chain {answer!a}, not {self.chain_id}")
            time.sleep(_POLL_S)
        raise NodeProgramError(f"{self.url} does not answer after {timeout_s:.0f} s", hint=f"see {self.folder.log}")

    def stop(self, timeout_s: float = _STOP_S) -> None:
        """Asks it to end, and kills it if it does not in time. Does nothing if it does not run."""
        if self._process is None:
            return
        if self.is_running:
            self._process.send_signal(signal.SIGCONT)  # a paused process does not hear
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        self.kill()

    def kill(self) -> None:
        """SIGKILL, as a power cut: nothing is flushed. Returns when it is gone."""
        if self._process is None:
            return
        if self.is_running:
            self._process.kill()
        self._process.wait()
        self._process = None
        self.folder.pid.unlink(missing_ok=True)

    def detach(self) -> None:
        """Lets the process run on after this one has ended; `stop_recorded` finds it."""
        if self._process is not None:
            self._process.returncode = 0  # Popen warns of a child that nobody waited for, which this is on purpose
            self._process = None

    @property
    def has_data(self) -> bool:
        """Whether it ran before, and was not erased since."""
        return self.folder.data.exists()

    def erase(self) -> None:
        """Deletes its data, not its key: it fetches everything from the peers again. Raises NodeProgramError if it
        runs."""
        if self.is_running:
            raise NodeProgramError(f"the node in {self.folder.path} runs", hint="stop or kill it first")
        if self.folder.data.exists():
            shutil.rmtree(self.folder.data)


def is_running(folder: NodeFolder) -> bool:
    """Whether the process that the folder records still runs."""
    try:
        return not is_gone(folder.pid.read_text())
    except (OSError, ValueError):
        return False


def stop_recorded(folder: NodeFolder, timeout_s: float = _STOP_S) -> bool:
    """Stops the node that an earlier command started; returns whether there was one. Raises NodeProgramError if it does
    not end."""
    if not is_running(folder):
        folder.pid.unlink(missing_ok=True)
        return False
    number = int(folder.pid.read_text().rsplit("/", 2)[1])
    _send(number, signal.SIGCONT, signal.SIGTERM)  # a paused process does not hear otherwise
    if not _await_end(folder, timeout_s):
        _send(number, signal.SIGKILL)
        if not _await_end(folder, timeout_s):
            raise NodeProgramError(f"process {number} of {folder.path} does not end")
    folder.pid.unlink(missing_ok=True)
    return True


def _send(process: int, *signals: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may end by itself at any moment
        for one in signals:
            os.kill(process, one)


def _await_end(folder: NodeFolder, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while is_running(folder):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _rotate(log: Path) -> None:
    """Keeps one earlier log of a node that was started many times."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            replace_file(log, log.with_name(f"{log.name}.1"))


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        lines = file.read().decode(errors="replace").split("\n")
    return next((" ".join(line.split())[:200] for line in reversed(lines) if line.strip()), "it printed nothing")


# Starts validators of a new network together, until blocks come.
# Clique's signers each make a first block while they are not connected yet. Now and then none of these is heavier than
# the others for a node that looks again, each signer waits for others' turns, and no further block ever comes. Nothing
# of value is on such a chain, so that all its nodes begin again, with their keys and empty data folders.

FIRST_BLOCKS = 3
"""Blocks after which the signers have seen each other's."""
_ATTEMPTS = 3
_WAIT_S, _WAIT_PERIODS = 60.0, 20
"""Far longer than a busy machine needs; geth looks for peers with a longer chain every ten seconds."""
_LOOK_S = 0.2
FRESH_HINT = (
    "stop the nodes of all companies, delete their data folders but not their keys, and start them again within the "
    "same few seconds"
)


class Startable(Protocol):
    """A validator's process on this machine (`NodeProcess`)."""

    @property
    def url(self) -> str: ...
    @property
    def has_data(self) -> bool:
        """Whether it ran before."""

    def start(self) -> None: ...
    def wait_ready(self, timeout_s: float = ...) -> None: ...
    def stop(self) -> None: ...
    def erase(self) -> None: ...


def ask_number(url: str) -> int:
    """The latest block of a node; -1 while it does not answer."""
    try:
        return Node(HttpTransport(url)).block_number()
    except ChainUnreachableError:
        return -1


def start_together(
    nodes: Sequence[Startable],
    timeout_s: float,
    *,
    period_s: int = 1,
    wait_s: float | None = None,
    number_of: Callable[[str], int] = ask_number,
) -> int:
    """Start all validators of a network, and return once all have its first blocks; how often they were started.

    A network that has data already is started once, and its blocks are not awaited. Raises NodeProgramError if a
    program ends or does not answer within `timeout_s`, or if the network stands still again and again.
    """
    was_fresh = not any(node.has_data for node in nodes)
    for attempt in range(1, _ATTEMPTS + 1):
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait_ready(timeout_s)
        if not was_fresh or _come(
            nodes, max(_WAIT_S, _WAIT_PERIODS * period_s) if wait_s is None else wait_s, number_of
        ):
            return attempt
        for node in nodes:
            node.stop()
            node.erase()
    raise NodeProgramError(
        f"a new network of {len(nodes)} validators stood still {_ATTEMPTS} times", hint="see the logs in their folders"
    )


def _come(nodes: Sequence[Startable], wait_s: float, number_of: Callable[[str], int]) -> bool:
    deadline = time.monotonic() + wait_s
    while True:
        if all(number_of(node.url) >= FIRST_BLOCKS for node in nodes):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_S)
