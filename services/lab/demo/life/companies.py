"""Founds the demonstration's consortium as in life, and keeps its programs running.

The chain, the gateways and the inspector's node (`life.node`) are processes. This process only does what people and
other programs of each company do: it queues records and writes to the private book in that company's own database, and
its gateway does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from millmark.ledger.chain import Chain, HttpTransport, Node, deploy, find_profile, write_deployment
from millmark.ledger.errors import ChainUnreachableError, MillmarkError, SubmitError
from millmark.ledger.records import Contract, Record
from millmark.ledger.store import Registry, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter, build_entry
from millmark.services.directory import DirectoryRepository
from millmark.services.handover.repository import HandoverRepository, count_handovers
from millmark.services.home import Layout
from millmark.services.lab.demo.consortium import COMPANIES, VALIDATORS, Company, Consortium
from millmark.services.lab.demo.existing import ExistingChain
from millmark.services.lab.demo.home import JOURNAL, settings_of
from millmark.services.lab.demo.life.homes import Home, make_company_home, make_operator_home
from millmark.services.lab.processes import held_port, run_command, start_command, stop_commands, wait_for
from millmark.services.store import open_store

__all__ = ["Life", "found_in_life"]

_PAUSE_S = 0.05
_CHAIN_PORT, _BUYER_PORT, _OTHER_PORTS = 8601, 8600, range(8610, 8620)
"""Where they are free; 8602 and 8603 are those of the forecasts."""
_SETTLE_S = 120.0
_JOIN_S = 90.0
LOG = "gateway.log"


class _OwnGateway:
    """Queues a company's records in its own database, for its own gateway to submit."""

    def __init__(self, store: Store, key: bytes) -> None:
        self._outbox, self._key = Outbox(store), key

    def submit(self, records: Sequence[tuple[str, Record]]) -> list[int]:
        return self._outbox.enqueue(self._key, [build_entry(name, record) for name, record in records])

    def begin(self) -> None:
        """Do nothing: the gateway sends what is queued."""

    def await_mined(self, _: Sequence[int]) -> None:
        """Like `drain`: blocks are final at once."""
        self.drain()

    def await_final(self, _: Sequence[int]) -> None:
        """Like `drain`."""
        self.drain()

    def drain(self) -> None:
        """Returns when the gateway has got them all onto the ledger, or been refused. Raises SubmitError if it takes
        too long."""
        deadline = time.monotonic() + _SETTLE_S
        while not self._outbox.is_idle(self._key):
            if time.monotonic() > deadline:
                raise SubmitError(
                    f"records of 0x{self._key.hex()} are still pending after {_SETTLE_S:.0f} s",
                    hint=f"see {LOG} in the company's folder",
                )
            time.sleep(_PAUSE_S)


@dataclass(slots=True)
class Life:
    """The running consortium."""

    consortium: Consortium
    operator: Home
    homes: list[Home]
    """Homes of the companies, in the order of `consortium.companies`."""
    journal: Path | None
    """The chain's journal; None if it is not the demonstration's own."""
    chain_settings: Mapping[str, str]
    """The settings by which a program finds the chain."""
    node_port: int
    """Kept free for the inspector's node."""
    _chain: BaseProcess | None
    _existing: ExistingChain | None
    _programs: dict[str, BaseProcess] = field(default_factory=dict)
    """Gateways by the names of their homes, and others."""

    @property
    def buyer_home(self) -> Home:
        return self.homes[0]

    def endow(self, keys: Sequence[bytes]) -> None:
        """Gives keys what they need for fees, where the chain takes some. Raises FundsError, ChainError."""
        if self._existing is not None:
            self._existing.endow(keys)

    def start_program(self, name: str, arguments: Sequence[str], log: Path) -> BaseProcess:
        """Starts another program, which ends with the gateways."""
        self._programs[name] = start_command(arguments, log)
        return self._programs[name]

    def start_gateways(self, homes: Sequence[Home]) -> None:
        """Starts these gateways side by side, and returns when all of them listen. Raises ChainError if one ends."""
        for home in homes:
            self.start_program(home.name, ["--home", str(home.folder), "gateway"], home.folder / LOG)
        for home in homes:
            wait_for(home.port, self._programs[home.name])

    def stop_all_but(self, homes: Sequence[Home]) -> None:
        """Stops all other gateways, and the node."""
        kept = {home.name for home in homes}
        stop_commands([self._programs.pop(name) for name in list(self._programs) if name not in kept])

    def stop(self) -> None:
        """Stops gateways and node, then the chain."""
        self.stop_all_but([])
        stop_commands([] if self._chain is None else [self._chain])

    def await_handovers(self) -> int:
        """Returns when each company has seen all records, and none owes another one a hand-over; how many were
        delivered in all.

        Raises SubmitError if none is delivered for long.
        """
        # Of the chain: an index may be behind it.
        last = self.consortium.chain.sequence(Contract.LEDGER)
        deadline, before = time.monotonic() + _SETTLE_S, -1
        while True:
            counts = [count_handovers(company.store) for company in self.consortium.companies]
            delivered = sum(count.get("delivered", 0) for count in counts)
            # A gateway that has not looked at the last records yet does not know of what it owes for them.
            if not any(count.get("waiting") for count in counts) and self._have_all_collected(last):
                return delivered
            if delivered > before:  # a busy machine may have many to deliver
                deadline, before = time.monotonic() + _SETTLE_S, delivered
            if time.monotonic() > deadline:
                raise SubmitError("hand-overs were not delivered in time", hint="see `millmark handovers list`")
            time.sleep(_PAUSE_S)

    def _have_all_collected(self, last: int) -> bool:
        for company in self.consortium.companies:
            with company.store.reading() as connection:
                if HandoverRepository(connection).cursor() < last:
                    return False
        return True


@contextmanager
def found_in_life(folder: Path, say: Callable[[str], object], existing: ExistingChain | None = None) -> Iterator[Life]:
    """Deploys the contracts, admits the companies, and runs their gateways until exit, on a chain of its own or an
    `existing` one. The folder has no homes yet.

    Raises MillmarkError if a program fails.
    """
    with ExitStack() as stack:
        port, own, node, *ports = (
            stack.enter_context(held_port(preferred))
            for preferred in (_CHAIN_PORT, _OTHER_PORTS[0], 0, _BUYER_PORT, *_OTHER_PORTS[1 : len(COMPANIES)])
        )
        url = {"chain_url": f"http://127.0.0.1:{port}"} if existing is None else settings_of(existing)
        operator = make_operator_home(folder, own, url)
        journal = operator.folder / JOURNAL if existing is None else None
        chain_process = None if journal is None else _start_chain(stack, operator, port, journal)
        chain = _deploy(url["chain_url"], operator, existing)
        homes = [
            make_company_home(folder, name, roles, port, url, chain.deployment, operator)
            for (name, roles), port in zip(COMPANIES, ports, strict=True)
        ]
        if existing is not None:
            existing.endow([home.signer.address for home in homes])
        _admit(operator, homes)
        store = stack.enter_context(open_store(operator.database_url))
        owner = Company(operator.name, 0, operator.signer, Submitter(chain, Outbox(store), operator.signer), store)
        consortium = Consortium(chain, store, owner, one_store=False)
        life = Life(consortium, operator, homes, journal, url, node, chain_process, existing)
        stack.callback(life.stop)
        say("  starting a gateway for the operator, and one for each company")
        life.start_gateways([operator, *homes])
        for home in homes:
            life.consortium.companies.append(_company(home, stack.enter_context(open_store(home.database_url))))
        _await_names(life)
        yield life


def _start_chain(stack: ExitStack, operator: Home, port: int, journal: Path) -> BaseProcess:
    command = ["devchain", "--port", str(port), "--journal", str(journal), "--validators", str(VALIDATORS)]
    process = start_command(command, operator.folder / "chain.log")
    stack.callback(stop_commands, [process])
    wait_for(port, process)
    return process


def _deploy(url: str, operator: Home, existing: ExistingChain | None) -> Chain:
    node, profile = Node(HttpTransport(url)), find_profile("embedded")
    if existing is None:
        node.fund(operator.signer.address)
    else:
        profile = existing.profile
        existing.endow([operator.signer.address], deploys=True)
    deployment = deploy(node, profile, operator.signer)
    write_deployment(Layout(operator.folder).deployment, deployment)
    return Chain(node, profile, deployment)


def _admit(operator: Home, homes: Sequence[Home]) -> None:
    requests = [str(Layout(home.folder).request) for home in homes]
    run_command(["--home", str(operator.folder), "participants", "admit", *requests], operator.folder / "admission.log")


def _company(home: Home, store: Store) -> Company:
    with store.reading() as connection:
        found = Registry(connection).participant_of(home.signer.address)
    if found is None:
        raise MillmarkError(f"{home.name} has not joined", hint=f"see {home.folder / LOG}")
    desk = _OwnGateway(store, home.signer.address)
    return Company(home.name, found.number, home.signer, desk, store, home.name_seed)


def _await_names(life: Life) -> None:
    """Returns when every company's gateway has the directory. Raises ChainUnreachableError if it takes too long."""
    deadline = time.monotonic() + _JOIN_S
    for company in life.consortium.companies:
        while not _sees_all(company.store):
            if time.monotonic() > deadline:
                raise ChainUnreachableError(f"{company.name} does not have the directory", hint=f"see its {LOG}")
            time.sleep(_PAUSE_S)


def _sees_all(store: Store) -> bool:
    with store.reading() as connection:
        return len(DirectoryRepository(connection).entries()) == len(COMPANIES)
