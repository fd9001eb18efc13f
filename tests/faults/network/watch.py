"""What a run sees while it goes on: the heads of all nodes, and what the companies' processes say."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from millmark.ledger.chain import HttpTransport, RpcError
from millmark.ledger.errors import ChainError, MillmarkError
from tests.faults.network.company import CompanyPlan
from tests.faults.network.judge import CompanyAccount

__all__ = ["Heads", "RunningCompany", "running_companies", "wait_until", "watched_heads"]

_POLL_S = 0.2
_TIMEOUT_S = 1.0
_READY_S = 300.0
_DRAIN_S = 180.0


def wait_until(holds: Callable[[], bool], most_s: float) -> bool:
    """Returns whether it came true in time."""
    deadline = time.monotonic() + most_s
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S / 2)
    return True


class Heads:
    """The latest block of each node, and when each was first seen there."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = list(urls)
        self._seen: list[list[tuple[float, int]]] = [[] for _ in urls]
        self.stop = threading.Event()

    def watch(self, number: int) -> None:
        node = HttpTransport(self._urls[number], _TIMEOUT_S)
        while not self.stop.wait(_POLL_S):
            with contextlib.suppress(ChainError, RpcError):
                head, seen = int(node.request("eth_blockNumber", []), 16), self._seen[number]
                if not seen or seen[-1][1] != head:
                    seen.append((time.monotonic(), head))

    def highest(self) -> int:
        """The highest block that any node showed."""
        return max((seen[-1][1] for seen in self._seen if seen), default=0)

    def shown_at(self, number: int, above: int, since: float) -> float | None:
        """When node `number` first showed a block above block `above`, at `since` or later; None if it has not."""
        return next((at for at, head in reversed_until(self._seen[number], since) if head > above), None)


def reversed_until(seen: Sequence[tuple[float, int]], since: float) -> list[tuple[float, int]]:
    """What was seen since a time, in order. Only the end of the list is read."""
    place = len(seen)
    while place and seen[place - 1][0] >= since:
        place -= 1
    return list(seen[place:])


@contextmanager
def watched_heads(urls: Sequence[str]) -> Iterator[Heads]:
    """Asks each node for its head several times a second until exit."""
    heads = Heads(urls)
    threads = [threading.Thread(target=heads.watch, args=(number,), daemon=True) for number in range(len(urls))]
    for thread in threads:
        thread.start()
    try:
        yield heads
    finally:
        heads.stop.set()
        for thread in threads:
            thread.join()


@dataclass(slots=True)
class RunningCompany:
    """The process of a company, and what it said so far."""

    plan: CompanyPlan
    process: subprocess.Popen[bytes]
    report: Path
    acknowledged: list[int] = field(default_factory=list)
    finals: list[tuple[float, int]] = field(default_factory=list)
    """When how many records became final."""
    undone: int = 0
    troubles: list[str] = field(default_factory=list)
    returned: int = 0
    """Transactions whose records were queued again."""
    reorganised: int = 0
    drained: bool = False
    _read: int = 0

    def listen(self) -> None:
        """Reads what was said since the last time."""
        with self.report.open("rb") as file:
            file.seek(self._read)
            said = file.read()
        whole = said[: said.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            self._hear(line)

    def _hear(self, line: str) -> None:
        text, _, at = line.rpartition(" ")
        word, _, rest = text.partition(" ")
        if word == "ack":
            self.acknowledged.append(int(rest))
        elif word == "final":
            self.finals.append((float(at), int(rest)))
        elif word == "undone":
            self.undone += int(rest)
        elif word == "returned":
            self.returned += 1
        elif word == "reorganised":
            self.reorganised += 1
        elif word == "trouble":
            self.troubles.append(rest)
        elif text == "drained":
            self.drained = True

    def final_since(self, at: float) -> float | None:
        """When the first record after that time became final; None if none has yet."""
        self.listen()
        return next((when for when, _ in reversed_until(self.finals, at)), None)

    def account(self) -> CompanyAccount:
        return CompanyAccount(self.plan.site(), self.plan.number, self.acknowledged, self.plan.database)

    def finish(self) -> None:
        """Tells the process to take in no more records and to end; `await_drained` waits until it has."""
        self.process.terminate()

    def await_drained(self) -> bool:
        """Whether everything became final and indexed, and the process ended. It is killed if that takes too long."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_DRAIN_S)
        self.process.kill()
        self.process.wait()
        self.listen()
        return self.drained


@contextmanager
def running_companies(folder: Path, plans: Sequence[CompanyPlan]) -> Iterator[list[RunningCompany]]:
    """Runs the companies' processes. Raises MillmarkError if one does not start."""
    with ExitStack() as stack:
        companies = [_start(stack, folder, plan) for plan in plans]
        for company in companies:
            if not wait_until(lambda report=company.report: "ready" in report.read_text(), _READY_S):  # type: ignore[misc]
                raise MillmarkError("a company's process did not start", hint=f"see {company.report}")
        yield companies


def _start(stack: ExitStack, folder: Path, plan: CompanyPlan) -> RunningCompany:
    report = folder / f"company-{plan.number}.txt"
    path = plan.write(folder / f"company-{plan.number}.json")
    command = [sys.executable, "-m", "tests.faults.network.company", str(path)]
    errors = stack.enter_context(report.with_suffix(".errors.txt").open("wb"))
    with report.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=errors)
    stack.callback(process.wait)
    stack.callback(process.kill)
    return RunningCompany(plan, process, report)
