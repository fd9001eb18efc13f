"""Founds the demonstration's consortium as in life, and keeps its programs running.

The chain, the gateways and the inspector's node (`node`) are processes. This process only does what people and
other programs of each company do: it queues records and writes to the private book in that company's own database, and
its gateway does the rest.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx

from millmark.ledger.chain import Chain, Deployment, HttpTransport, Node, deploy, find_profile, write_deployment
from millmark.ledger.errors import ChainUnreachableError, MillmarkError, SettingsError, SubmitError
from millmark.ledger.keys import LocalSigner, write_private
from millmark.ledger.records import Contract, Record, Role
from millmark.ledger.store import Registry, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter, build_entry
from millmark.services.demo.consortium import COMPANIES, VALIDATORS, Company, Consortium
from millmark.services.demo.given import ExistingChain
from millmark.services.demo.home import (
    DISCLOSE,
    FINISHED,
    FORECASTING,
    FORECASTS,
    JOURNAL,
    ROLES,
    Place,
    check_forecasts,
    settings_of,
)
from millmark.services.demo.processes import held_port, run_command, start_command, stop_commands, wait_for
from millmark.services.devchain import discard_journal
from millmark.services.directory import DirectoryEntry, DirectoryRepository, sign_statement
from millmark.services.documents.encryption import create_recipient_key, read_recipient_key
from millmark.services.handover.repository import HandoverRepository, count_handovers
from millmark.services.home import AdmissionRequest, Layout
from millmark.services.settings import SETTINGS_FILE, build_origin
from millmark.services.store import open_store

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
    proposer = _OwnGateway(store, home.signer.address)
    return Company(home.name, found.number, home.signer, proposer, store, home.name_seed)


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


_DATABASE = "sqlite:///millmark.sqlite"
_OPERATOR = "operator"
_FOLLOW_S = 2.0
"""How often a gateway looks for new blocks: others wait for what it shows."""


@dataclass(frozen=True, slots=True)
class Home:
    """A folder, and who runs it."""

    name: str
    folder: Path
    port: int
    signer: LocalSigner
    name_seed: bytes

    @property
    def url(self) -> str:
        return build_origin("localhost", self.port, tls=False)

    @property
    def database_url(self) -> str:
        return _DATABASE.replace("sqlite:///", f"sqlite:///{self.folder}/")


def clear_homes(folder: Path) -> None:
    """Creates the folder, or deletes the homes of an earlier demonstration's companies in it, and nothing else: that of
    the forecasts is cleared by itself.

    Raises SettingsError if there are other files, or if a gateway still runs on the chain or on that of the forecasts.
    """
    check_forecasts(folder)
    discard_journal(folder / _OPERATOR / JOURNAL)  # first: its lock shows whether a gateway still uses the chain
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = sorted(path.name for path in folder.iterdir() if path.name != FORECASTS)
        if found and not (folder / _OPERATOR / SETTINGS_FILE).exists():
            raise SettingsError(
                f"{folder} contains files that are not from a demo ({found[0]})", hint="name another folder with --out"
            )
        (folder / FINISHED).unlink(missing_ok=True)
        for name in found:
            if (folder / name / SETTINGS_FILE).exists():
                shutil.rmtree(folder / name)
    except OSError as error:
        raise SettingsError(f"{folder} cannot be made empty: {error}", hint="name another folder") from error


def make_operator_home(folder: Path, port: int, chain: Mapping[str, str]) -> Home:
    """The operator's home, complete but for the deployment. `chain`: the settings by which it finds the chain."""
    home = _make(folder / _OPERATOR, "the operator", port)
    write_settings(home, {**chain, "operator_signer": "file:owner.key"})
    write_private(home.folder / "owner.key", home.signer.unsafe_secret().hex().encode())
    return home


def make_company_home(
    folder: Path,
    name: str,
    roles: Role,
    port: int,
    chain: Mapping[str, str],
    deployment: Deployment,
    operator: Home,
) -> Home:
    """A company's home, with the request that the operator admits it by."""
    home = _make(folder / name.lower().replace(" ", "-"), name, port)
    layout = Layout(home.folder)
    write_private(home.folder / "company.key", home.signer.unsafe_secret().hex().encode())
    write_private(home.folder / "names.key", home.name_seed.hex().encode())
    create_recipient_key(layout.recipient_key)
    write_deployment(layout.deployment, deployment)
    write_settings(
        home,
        {
            **chain,
            "gateway_signer": "file:company.key",
            "gateway_name_keys": ["file:names.key"],
            "recipient_key": layout.recipient_key.name,
            "directory_url": operator.url,
            "passport_disclose": list(DISCLOSE),
            # The demonstration looks itself, so that things happen in one order.
            "gateway_feedback": False,
        },
    )
    public_key = read_recipient_key(layout.recipient_key).public_key().public_bytes_raw()
    chain_id, ledger = deployment.chain_id, deployment.ledger
    statement = sign_statement(chain_id, ledger, public_key, int(time.time()), home.signer)
    entry = DirectoryEntry(0, name, None, home.url, statement)
    layout.request.write_bytes(AdmissionRequest(chain_id, ledger, home.signer.address, roles, entry).to_bytes())
    return home


def _make(folder: Path, name: str, port: int) -> Home:
    Layout(folder).create_folder()
    return Home(name, folder, port, LocalSigner.generate(), secrets.token_bytes(32))


def write_settings(home: Home, more: Mapping[str, str | int | Sequence[str]]) -> None:
    """Writes the settings file of a home."""
    common: dict[str, str | int | float] = {
        "database": _DATABASE,
        "gateway_port": home.port,
        "follow_interval_s": _FOLLOW_S,
    }
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in {**common, **more}.items())
    (home.folder / SETTINGS_FILE).write_text(text)


_TIMEOUT_S = 30.0


def fetch_passport(life: Life, code: str) -> int:
    """Stops all gateways but the buyer's, and reads a part's passport there, by the link in the code on the part.

    Returns the number of bytes. Raises MillmarkError if the gateway does not serve it.
    """
    life.stop_all_but([life.buyer_home])
    answer = httpx.get(code, timeout=_TIMEOUT_S, follow_redirects=True, trust_env=False)
    if answer.status_code != httpx.codes.OK:
        raise MillmarkError(
            f"the buyer's gateway answered {answer.status_code} for the passport", hint="see its gateway.log"
        )
    return len(answer.content)


def leave_homes(life: Life) -> tuple[Place, ...]:
    """Prepares the homes to be opened later, without this process, and returns the gateways that can be started.

    The buyer's runs the chain from now on, if that is the demonstration's own; people act as the operator at the
    operator's.
    """
    if life.journal is not None:
        journal = f"../{life.operator.folder.name}/{life.journal.name}"
        _add_setting(life.buyer_home, "devchain_journal", journal)
    # Not before: this process recorded with the operator's key itself, and a key has one sender.
    _add_setting(life.operator, "gateway_operates", True)
    homes = *life.homes, life.operator
    return (*(Place(one.folder.name, one.name, ROLES.get(one.folder.name, "")) for one in homes), FORECASTING)


def _add_setting(home: Home, name: str, value: str | bool) -> None:
    path = home.folder / SETTINGS_FILE
    path.write_text(f"{path.read_text()}{name} = {json.dumps(value)}\n")
