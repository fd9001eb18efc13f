"""Opens a finished demonstration: the chain and all gateways, until somebody stops them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from millmark.ledger.chain import HttpTransport, Node
from millmark.ledger.errors import ChainError, MillmarkError, SettingsError
from millmark.services.demo.home import Finished, Place, read_finished
from millmark.services.demo.life import LOG
from millmark.services.demo.processes import start_command, stop_commands
from millmark.services.devchain import check_unused
from millmark.services.serving.server import listen_at_all
from millmark.services.settings import Settings

_READY_S, _LOOK_S, _ANSWER_S = 180.0, 0.1, 5.0
_MOST_SAID = 1 << 16


@dataclass(frozen=True, slots=True)
class _Program:
    place: Place
    origin: str
    log: Path
    process: BaseProcess

    def verify_runs(self) -> None:
        """Raises MillmarkError, with the last that it said, if it has ended."""
        if self.process.is_alive():
            return
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _MOST_SAID))
            said = file.read().decode(errors="replace").strip().splitlines()
        raise MillmarkError(
            f"the gateway of {self.place.company} ended with {self.process.exitcode}, and said last: "
            + (said[-1] if said else "nothing"),
            hint=f"see {self.log}",
        )


@dataclass(slots=True)
class Opened:
    """A demonstration whose gateways run."""

    finished: Finished
    _programs: list[_Program] = field(default_factory=list)

    def attend(self) -> None:
        """Returns at Ctrl-C. Raises MillmarkError if one of the gateways ends before."""
        try:
            while True:
                for one in self._programs:
                    one.verify_runs()
                time.sleep(_LOOK_S)
        except KeyboardInterrupt:
            return

    def start(self, place: Place, settings: Settings) -> None:
        log = settings.home / LOG
        process = start_command(["--home", str(settings.home), "gateway"], log)
        self._programs.append(_Program(place, settings.origin, log, process))

    def await_ready(self) -> None:
        """Returns when all gateways that were started are ready. Raises MillmarkError if one ends, or takes longer than
        3 minutes."""
        deadline = time.monotonic() + _READY_S
        for one in self._programs:
            while not _is_ready(one.origin):
                one.verify_runs()
                if time.monotonic() > deadline:
                    raise MillmarkError(
                        f"the gateway of {one.place.company} is not ready after {_READY_S:.0f} s",
                        hint=f"see {one.origin}/ready and {one.log}",
                    )
                time.sleep(_LOOK_S)

    def stop(self) -> None:
        """The first one last, since it runs the chain of the others."""
        stop_commands([one.process for one in self._programs[1:]])
        stop_commands([one.process for one in self._programs[:1]])


@contextmanager
def open_demo(folder: Path, say: Callable[[str], object]) -> Iterator[Opened]:
    """Runs the chain and the gateways of the demonstration in the folder until exit.

    Raises SettingsError, before anything is started, if there is no finished demonstration, it is open already, its
    chain does not answer, or a port is taken; MillmarkError if a gateway does not start.
    """
    finished = read_finished(folder)
    settings = {place: finished.settings(place) for place in finished.places}
    _verify_free(finished, settings)
    first, *others = finished.places
    with ExitStack() as stack:
        opened = Opened(finished)
        stack.callback(opened.stop)
        say(f"starting the chain, and the gateway of {first.company} ...")
        opened.start(first, settings[first])
        opened.await_ready()  # the others ask its chain
        if others:
            say(f"starting {len(others)} more gateways ...")
        for place in others:
            opened.start(place, settings[place])
        opened.await_ready()
        yield opened


def _verify_free(finished: Finished, settings: Mapping[Place, Settings]) -> None:
    """Raises SettingsError if something stands in the way of the chain or of a gateway."""
    if settings[finished.places[0]].devchain_journal is None:
        _verify_answers(str(settings[finished.places[0]].chain_url))
    for place, own in settings.items():
        journal = own.from_home(own.devchain_journal)
        if journal is not None:
            _verify_unused(journal)
            _verify_port("127.0.0.1", urlsplit(str(own.chain_url)).port or 0, f"the chain of {place.company}")
        _verify_port(own.gateway_host, own.gateway_port, f"the gateway of {place.company}")


def _verify_unused(journal: Path) -> None:
    if not journal.is_file():
        raise SettingsError(f"{journal} is gone, which is the chain", hint="run the demonstration again")
    try:
        check_unused(journal)
    except SettingsError as error:
        raise SettingsError(
            f"the chain in {journal} runs already, or cannot be opened",
            hint="stop the gateway, `millmark devchain` or `millmark demo open` that uses it",
        ) from error


def _verify_port(host: str, port: int, whose: str) -> None:
    try:
        for one in listen_at_all(host, port):
            one.close()
    except SettingsError as error:
        raise SettingsError(
            f"port {port} of {whose} is taken", hint="stop what listens there; `ss -ltnp` names it"
        ) from error


def _verify_answers(url: str) -> None:
    try:
        Node(HttpTransport(url)).chain_id()
    except ChainError as error:
        raise SettingsError(f"the demonstration's chain does not answer: {error.cause}", hint="start it") from error


def _is_ready(origin: str) -> bool:
    try:
        return httpx.get(f"{origin}/ready", timeout=_ANSWER_S, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False
