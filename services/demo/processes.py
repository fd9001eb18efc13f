"""Programs of Millmark as processes, the ports that they get, and their end, whatever ends the program itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

from millmark.ledger.errors import ChainError, MillmarkError, SettingsError
from millmark.services.cli import main
from millmark.services.serving.hosts import ABSENT

_READY_S = 180.0
_STOP_S = 20.0
_TRIES = 20
_PRELOADED = (
    "millmark.services.commands.gateway",
    "millmark.services.gateway",
    "millmark.services.serving.server",
    "millmark.services.commands.chain",
    "alembic.command",
    "alembic.runtime.environment",
    "millmark.services.commands.participants",
    "millmark.services.commands.keys",
    "millmark.services.commands.node",
)


@contextmanager
def held_port(preferred: int = 0) -> Iterator[int]:
    """A port that no other program gets until exit, and that a program of ours may listen on: the preferred one, unless
    it is in use or was within the last minute, else one that the system chooses."""
    with ExitStack() as stack:
        for port in (preferred, *[0] * _TRIES):
            try:
                holders = _hold(port)
                break
            except OSError:
                continue
        else:
            raise SettingsError("no port is free at both addresses of the loopback", hint="stop other programs")
        for holder in holders:
            stack.enter_context(holder)
            # Only now: whoever binds first without it has the port alone, and our servers, which set it, may share it
            # as long as nobody else listens (ip(7)).
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        yield int(holders[0].getsockname()[1])


def _hold(port: int) -> list[socket.socket]:
    """Sockets bound to the port at all addresses of `localhost`, or to one that the system chooses. Raises OSError."""
    with ExitStack() as stack:
        found = [stack.enter_context(_bound(socket.AF_INET, "127.0.0.1", port))]
        try:
            found.append(stack.enter_context(_bound(socket.AF_INET6, "::1", found[0].getsockname()[1])))
        except OSError as error:
            if error.errno not in ABSENT:
                raise
        stack.pop_all()
        return found


def _bound(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    holder = socket.socket(family)
    try:
        holder.bind((address, port))
    except OSError:
        holder.close()
        raise
    return holder


def wait_for(port: int, process: subprocess.Popen[bytes] | BaseProcess) -> None:
    """Returns when something listens on the port. Raises ChainError if the process ends, or takes 3 minutes."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline and _is_running(process):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise ChainError("a program did not start", hint="run it by itself to see why")


def _is_running(process: subprocess.Popen[bytes] | BaseProcess) -> bool:
    return process.is_alive() if isinstance(process, BaseProcess) else process.poll() is None


def start_command(arguments: Sequence[str], log: Path) -> BaseProcess:
    """Starts `millmark` with the arguments, as a process of its own, which ends with this one even if that is killed.
    What it prints goes to the file `log`."""
    # All are forked off one process that has imported the gateway: ten of them would take twenty seconds of processor
    # for that alone.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    process = context.Process(target=_run, args=(list(arguments), log), daemon=True)
    process.start()
    return process


def _run(arguments: list[str], log: Path) -> None:
    end_with_parent()
    with log.open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    for name in [name for name in os.environ if name.startswith("MILLMARK_")]:
        del os.environ[name]  # each of them has settings of its own
    sys.argv = ["millmark", *arguments]
    main()


def stop_commands(processes: Sequence[BaseProcess]) -> None:
    """Asks the processes to end, all at once, and kills those that have not ended in time."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _STOP_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def run_command(arguments: Sequence[str], log: Path) -> None:
    """Runs `millmark` with the arguments until it ends. Raises MillmarkError with its last line if it fails."""
    process = start_command(arguments, log)
    process.join()
    if process.exitcode != 0:
        said = log.read_text(errors="replace").strip().splitlines()
        raise MillmarkError(f"`millmark {' '.join(arguments)}` failed: {said[-1] if said else ''}", hint=f"see {log}")


_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
_LEAVE_S = 20.0


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP end this process as an exit does, with 128 and the signal's number: contexts are
    left and `finally` blocks run, which stop what was started. A signal that is ignored, as nohup has it, stays so.

    Only the main thread may enter it.
    """
    before = {one: signal.getsignal(one) for one in _SIGNALS if signal.getsignal(one) is not signal.SIG_IGN}
    for one in before:
        signal.signal(one, _leave)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _leave(number: int, _: object) -> None:
    for one in _SIGNALS:
        signal.signal(one, signal.SIG_IGN)  # another one would interrupt the cleaning up
    sys.exit(128 + number)


def end_with_parent() -> None:
    """Ends this process, a child started by multiprocessing, when its parent is gone, whether killed or not.

    It gets SIGTERM then, and SIGKILL if that does not end it.
    """
    threading.Thread(target=_follow, name="millmark-parent", daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()  # the system closes its end of a pipe, however it ends
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LEAVE_S)
    os.kill(os.getpid(), signal.SIGKILL)
