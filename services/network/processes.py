"""Chain nodes as processes of this machine: started, awaited, stopped, and hurt on purpose by tests."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from millmark.ledger.chain import HttpTransport, RpcError
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.files import replace_file
from millmark.ledger.store.process_identity import describe_process, is_gone
from millmark.services.network.errors import NodeProgramError
from millmark.services.network.layout import NodeFolder

__all__ = ["READY_S", "NodeProcess", "is_running", "stop_recorded"]

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
