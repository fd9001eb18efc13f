"""`millmark network`: the chain that the companies run together, from its genesis to its validators' health."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.chain import HttpTransport, find_profile
from millmark.ledger.chain.profiles import depth_of
from millmark.ledger.errors import ChainUnreachableError, InputError
from millmark.ledger.signatures import Address, parse_address, to_checksum
from millmark.services import network
from millmark.services.files import read_bounded, write_whole
from millmark.services.network import observing
from millmark.services.network.peers import KINDS, NodeAnswerError, NodeProgramError
from millmark.services.network.processes import READY_S, NodeProcess, is_running, start_together, stop_recorded
from millmark.services.network.setup import MAX_BYTES, parse_request
from millmark.services.output import AsJson, print_json, print_lines
from millmark.services.settings import read_settings

_FOLDER, _FILE = "network", "network.json"
MOST_PERIOD_S = 8
"""A node and `millmark status` take half a minute without a block for a standstill (`STALL_S`). A silent proposer takes
a period and a time-out, which are three periods, and a moment more."""
_PRODUCTION = "besu"
_LOOPBACK = "127.0.0.1"
_MONEY_WEI = 10**27
_LOWEST_CHAIN_ID, _HIGHEST_CHAIN_ID = 1_000_000, (1 << 31) - 1

Program = Annotated[
    Path | None,
    typer.Option("--program", help="Executable of the node program; node_program, or the PATH, if omitted."),
]

KindName = Annotated[
    str | None,
    typer.Option(
        "--kind",
        help="Node program: " + ", ".join(KINDS) + ". If omitted, besu; with --local, the one on this machine.",
    ),
]
Local = Annotated[int | None, typer.Option("--local", min=1, max=20, help="Make this many validators here, to try.")]
Fund = Annotated[
    list[str] | None, typer.Option("--fund", help="Key that has money for fees from the start; repeatable.")
]


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Set up and watch the chain that the companies run together.")
    group.command(
        "init", epilog="Example: millmark network init alder.json birch.json cedar.json dogwood.json --kind besu"
    )(run_init)
    group.command(
        "join",
        epilog="Example: millmark --home alder network join --name Alder --host 10.0.0.1",
    )(run_join)
    group.command("add", epilog="Example: millmark network add elm.json")(run_add)
    group.command("remove", epilog="Example: millmark network remove Birch")(run_remove)
    group.command("vote", epilog="Example: millmark --home alder network vote add Elm")(run_vote)
    group.command("start", epilog="Example: millmark network start --program /usr/local/bin/geth")(run_start)
    group.command("stop", epilog="Example: millmark network stop")(run_stop)
    group.command("status", epilog="Example: millmark --home alder network status --json")(run_status)
    app.add_typer(group, name="network")


def run_init(
    context: typer.Context,
    requests: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[REQUEST]...", dir_okay=False, help="Each company's validator.json."),
    ] = None,
    kind: KindName = None,
    local: Local = None,
    chain_id: Annotated[
        int | None, typer.Option("--chain-id", min=1, max=(1 << 53) - 1, help="A random one if omitted.")
    ] = None,
    period_s: Annotated[int, typer.Option("--period-s", min=1, max=MOST_PERIOD_S, help="Seconds between blocks.")] = 1,
    gas_limit: Annotated[int, typer.Option("--gas-limit", min=10_000_000, help="Gas of a block.")] = network.GAS_LIMIT,
    fund: Fund = None,
    port: Annotated[
        int, typer.Option("--port", min=1, max=65_000, help="With --local: first port for peers.")
    ] = 30_303,
    rpc_port: Annotated[
        int, typer.Option("--rpc-port", min=1, max=65_000, help="With --local: first port for JSON-RPC.")
    ] = 8_545,
    allow_few: Annotated[bool, typer.Option("--allow-few", help="Fewer than four validators.")] = False,
    allow_even: Annotated[bool, typer.Option("--allow-even", help="An even number of Clique signers.")] = False,
) -> None:
    """Write network.json: the genesis with the companies' validators, and where each reaches the others.

    Every company makes the key of its own node with `millmark network join`, and gives the request that it writes.
    Fewer than four validators are refused, and an even number of them for Clique, unless you allow it.
    """
    folder = context.obj / _FOLDER
    if (folder / _FILE).exists():
        raise network.NetworkError(
            f"{folder / _FILE} exists already", hint="a network begins once: move it away for another"
        )
    if (local is None) == (not requests):
        raise InputError("give either the companies' requests, or --local NUMBER", hint="one of the two")
    program = network.find_kind(kind) if kind is not None else _usual_kind(context.obj, is_local=local is not None)
    network.verify_number(
        program.consensus, len(requests or ()) if local is None else local, allow_few=allow_few, allow_even=allow_even
    )
    peers = [_read_request(path) for path in requests or ()]
    homes = [network.NodeFolder(folder / f"validator-{number + 1}") for number in range(local or 0)]
    peers += [_create_here(home, port + number, rpc_port + number) for number, home in enumerate(homes)]
    balances = {parse_address(text): _MONEY_WEI for text in fund or ()}
    number = chain_id or _LOWEST_CHAIN_ID + secrets.randbelow(_HIGHEST_CHAIN_ID - _LOWEST_CHAIN_ID)
    shared = network.found_network(network.Agreed(program, number, period_s, gas_limit, balances), peers)
    network.NodeFolder(folder).create()
    for home in homes:
        network.join_network(home, shared, None)
    write_whole(folder / _FILE, shared.to_bytes())
    _tell(context.obj, folder / _FILE, shared, is_local=local is not None)


def _usual_kind(home: Path, *, is_local: bool) -> network.Kind:
    """The kind of the program that `start` would run on this machine; Besu for companies, or where there is none."""
    path = read_settings(home).node_program if is_local else None
    if path is not None:
        return network.identify_program(path).kind
    try:
        return network.find_program().kind if is_local else network.find_kind(_PRODUCTION)
    except NodeProgramError:
        return network.find_kind(_PRODUCTION)


def _create_here(home: network.NodeFolder, port: int, rpc_port: int) -> network.Peer:
    """Makes a validator on this machine."""
    return network.create_node(home, home.path.name, _LOOPBACK, port, _LOOPBACK, rpc_port).peer


def run_join(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="[NETWORK]", dir_okay=False, help="network.json, once there is one.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="What others are to call it: the company.")] = None,
    host: Annotated[str | None, typer.Option("--host", help="IP address at which other companies reach it.")] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="TCP port for other nodes.")] = 30_303,
    rpc_host: Annotated[
        str, typer.Option("--rpc-host", help="IP address to answer this company's programs on; it asks no password.")
    ] = _LOOPBACK,
    rpc_port: Annotated[int, typer.Option("--rpc-port", min=1, max=65_535, help="Port of JSON-RPC.")] = 8_545,
    program: Program = None,
) -> None:
    """Make the key of this company's chain node and the request to be in a network; then, with network.json, its files.

    The second part writes genesis, peers, start script, systemd unit and compose file. Repeat it when network.json has
    other peers, and restart the node. The key never leaves this machine.
    """
    folder = network.NodeFolder(context.obj / _FOLDER)
    if file is None or name is not None or host is not None:
        if name is None or host is None:
            raise InputError("--name and --host are missing", hint="or name the network.json that you were given")
        own = network.create_node(folder, name, host, port, rpc_host, rpc_port)
        print_lines(f"validator {to_checksum(own.peer.address)} of {name}", f"key {folder.key}: keep a copy offline")
        if file is None:
            print_lines(
                f"next: give {folder.request} to whoever sets the network up; with the network.json that comes back:",
                f"    millmark --home {context.obj} network join network.json",
            )
            return
    shared = network.read_network(file)
    executable = _program_or_none(context.obj, program, shared)
    own = network.join_network(folder, shared, executable)
    print_lines(
        *_describe(shared),
        f"{own.peer.name} answers other nodes at {own.peer.host} port {own.peer.port}, its own programs at {own.url}",
        f"wrote {folder.script}, millmark-chain-node.service and compose.yml: use one of them, or",
        f"    millmark --home {context.obj} network start",
        f"then: chain_url = {own.url!r} and engine = {shared.kind.engine!r} in millmark.toml",
    )


def run_add(
    context: typer.Context,
    requests: Annotated[
        list[Path], typer.Argument(metavar="REQUEST...", dir_okay=False, help="Each new company's validator.json.")
    ],
) -> None:
    """Let further chain nodes connect: they follow the chain, and validators may vote to add them.

    Changes network.json here; every company joins again with it, and restarts its node.
    """
    path = context.obj / _FOLDER / _FILE
    shared = network.read_network(path)
    added = [_read_request(one) for one in requests]
    kept = [peer for peer in shared.peers if peer.public_key not in {one.public_key for one in added}]
    shared = shared.with_peers([*kept, *added])
    write_whole(path, shared.to_bytes())
    print_lines(
        *(f"{peer.name} {to_checksum(peer.address)} at {peer.host} port {peer.port}" for peer in added),
        *_after_change(path),
        "3. the new node follows the chain: `millmark network status` there shows no alarm",
        *(
            f"4. more than half of the validators run `millmark network vote add {to_checksum(p.address)}`"
            for p in added
        ),
        "   `millmark network status` counts the votes",
    )


def run_remove(
    context: typer.Context, name: Annotated[str, typer.Argument(help="The chain node's name in network.json.")]
) -> None:
    """Let a chain node connect no longer. Remove it from the validators by votes first.

    Changes network.json here; every company joins again with it, and restarts its node.
    """
    path = context.obj / _FOLDER / _FILE
    shared = network.read_network(path)
    gone = shared.find(name)
    if gone is None:
        raise InputError(f"the network has no node {name[:80]!a}", hint=", ".join(peer.name for peer in shared.peers))
    shared = shared.with_peers([peer for peer in shared.peers if peer is not gone])
    write_whole(path, shared.to_bytes())
    print_lines(
        f"removed {name} {to_checksum(gone.address)} from {path}",
        "if it is still a validator, more than half of the validators must vote it out first:",
        f"    millmark network vote remove {to_checksum(gone.address)}",
        *_after_change(path),
    )


def run_vote(
    context: typer.Context,
    act: Annotated[observing.Act, typer.Argument(help="What this company's validator votes for.")],
    who: Annotated[str, typer.Argument(metavar="NAME|ADDRESS", help="A node's name in network.json, or address.")],
) -> None:
    """Tell this company's validator to vote on another one. More than half of the validators decide.

    The node casts the vote when it proposes a block, and forgets the order when it restarts. `millmark network status`
    counts the votes.
    """
    for folder in network.find_nodes(context.obj / _FOLDER):
        shared, own = network.read_network(folder.network), network.read_node(folder)
        candidate = _candidate(shared, who, act)
        observing.cast_vote(HttpTransport(own.url), shared.kind, candidate, act)
        print_lines(f"{own.peer.name} votes: {act} {who}")
    print_lines("`millmark network status` counts the votes")


def run_start(context: typer.Context, program: Program = None) -> None:
    """Start this company's chain node, or all nodes of a network made with `init --local`, in the background.

    For a machine that should run it always, use the systemd unit or the compose file that `join` wrote.
    """
    folders = network.find_nodes(context.obj / _FOLDER)
    shared = network.read_network(folders[0].network)
    executable = _program(context.obj, program, shared)
    print_lines(f"{executable.kind.name} {executable.version}, {executable.path}")
    started: list[tuple[str, NodeProcess]] = []
    for folder in folders:
        own = network.read_node(folder)
        if is_running(folder):
            print_lines(f"{own.peer.name} runs already")
            continue
        started.append((own.peer.name, NodeProcess(folder, executable.path, own.url, shared.chain_id)))
    sys.stdout.flush()  # Besu takes half a minute from here
    try:
        _await_started(shared, started, is_whole=len(started) == len(shared.peers))
    finally:
        for _, node in started:
            node.detach()
    print_lines(f"next: millmark --home {context.obj} network status")


def _await_started(shared: network.NetworkFile, started: Sequence[tuple[str, NodeProcess]], *, is_whole: bool) -> None:
    """Starts nodes of this machine; if they are the `is_whole` network, until its first blocks."""
    if is_whole and len(started) > 1:
        times = start_together([node for _, node in started], READY_S, period_s=shared.period_s)
        if times > 1:
            print_lines(f"the new network made no blocks, and was begun again {times - 1} times")
    else:
        for _, node in started:
            node.start()
        for _, node in started:
            node.wait_ready()
    for name, node in started:
        print_lines(f"{name} answers at {node.url}, process {node.pid}, log {node.folder.log}")


def run_stop(context: typer.Context) -> None:
    """Stop what `millmark network start` started. What is on disk stays."""
    for folder in network.find_nodes(context.obj / _FOLDER):
        name, was_there = network.read_node(folder).peer.name, stop_recorded(folder)
        print_lines(f"{name} {'has stopped' if was_there else 'did not run'}")


def _candidate(shared: network.NetworkFile, who: str, act: observing.Act) -> Address:
    peer = shared.find(who)
    address = parse_address(who) if peer is None else peer.address
    if act is observing.Act.ADD and shared.name_of(address) is None:
        raise InputError(
            f"the network has no node {to_checksum(address)}: as a validator it would be one that is down",
            hint="let it connect first: `millmark network add`",
        )
    return address


def _read_request(path: Path) -> network.Peer:
    return parse_request(read_bounded(path, MAX_BYTES))


def _program(home: Path, named: Path | None, shared: network.NetworkFile) -> network.NodeProgram:
    """The executable of the network's kind. Raises NodeProgramError."""
    path = named or read_settings(home).node_program
    if path is None:
        return network.find_program(shared.kind)
    found = network.identify_program(path)
    if found.kind != shared.kind:
        raise NodeProgramError(
            f"{path} is {found.kind.name}, and the network runs {shared.kind.name}",
            hint="name the other with --program",
        )
    return found


def _program_or_none(home: Path, named: Path | None, shared: network.NetworkFile) -> Path | None:
    """For the systemd unit, which may be written on a machine that lacks the program: an executable that is named must
    be right."""
    if named is not None or read_settings(home).node_program is not None:
        return _program(home, named, shared).path
    try:
        return network.find_program(shared.kind).path
    except NodeProgramError:
        return None


def _describe(shared: network.NetworkFile) -> list[str]:
    return [f"chain {shared.chain_id} of {shared.kind.name}, genesis {shared.digest.hex()[:16]}"]


def _tell(home: Path, path: Path, shared: network.NetworkFile, *, is_local: bool) -> None:
    consensus, count = shared.kind.consensus, len(shared.peers)
    lines = _describe(shared)
    lines += [f"{peer.name} {to_checksum(peer.address)} at {peer.host} port {peer.port}" for peer in shared.peers]
    lines += _tolerance(consensus, count)
    if not shared.kind.is_production:
        lines.append(f"{shared.kind.name} is for trials; for production take besu: see services/network/PRODUCTION.md")
    if shared.lacks_money:
        lines.append(
            f"{shared.kind.name} charges fees, and no key has money there: to record, begin anew with --fund and the "
            "address of a key (`millmark keys new`), from which `millmark init --treasury` pays then"
        )
    lines.append(f"wrote {path}")
    if is_local:
        lines.append(f"next: millmark --home {home} network start")
    else:
        lines += [
            "next: give it to the companies, and compare the genesis by telephone; each runs:",
            f"    millmark --home FOLDER network join {path}",
        ]
    print_lines(*lines)


def _tolerance(consensus: network.Consensus, count: int) -> Sequence[str]:
    quorum, tolerated, may_lie = consensus.quorum(count), consensus.tolerates(count), consensus.may_lie(count)
    lines = [f"{count} validators: {tolerated} may be down; with fewer than {quorum}, no block comes"]
    if consensus is network.Consensus.CLIQUE:
        return [*lines, f"a block is final {depth_of(count)} blocks later, if no signer cheats"]
    return [*lines, f"a block is final at once, and stays so if at most {may_lie} cheat"]


def _after_change(path: Path) -> list[str]:
    return [
        f"1. give {path} to all companies; each runs `millmark network join network.json`",
        "2. they restart their nodes one by one: the next when `millmark network status` says that all validators seal",
    ]


_ANSWER_S = 5.0


def run_status(
    context: typer.Context,
    chain_url: Annotated[
        str | None, typer.Option("--chain-url", help="JSON-RPC of a node to ask, instead of the home's own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which validators seal and which are silent, whether the chain goes on, what is wrong and what to do about it.

    Exit code 0: all validators seal; 1: no node answers, or one of another chain; 3: no blocks come, or this node is
    not where they do; 4: blocks come, but a validator is silent, or a node of this home does not answer.
    """
    nodes = _Nodes(context.obj, chain_url)
    found, own, others = nodes.look()
    findings = observing.by_gravity([*others, *observing.judge(found, own, nodes.name, nodes.down)])
    if as_json:
        print_json(context, _as_json(found, own, nodes, findings))
    else:
        print_lines(*_as_text(found, own, nodes, findings))
    raise typer.Exit(findings[0].level.value if findings else 0)


class _Nodes:
    """The nodes of a home that can be asked, and the names of all nodes of its network."""

    def __init__(self, home: Path, chain_url: str | None) -> None:
        self.network: network.NetworkFile | None = None
        self._own: dict[str, Address] = {}
        self._labels: dict[str, str] = {}
        self.down: frozenset[Address] = frozenset()
        """Validators of this home that do not answer."""
        try:
            folders = network.find_nodes(home / "network")
        except InputError:
            if chain_url is None:
                chain_url = _own_chain(home)
            if chain_url is None:
                raise
        else:
            self.network = network.read_network(folders[0].network)
            for folder in folders:
                own = network.read_node(folder)
                self._own[own.url] = own.peer.address
                ran = "its process has ended" if folder.pid.exists() and not is_running(folder) else ""
                self._labels[own.url] = f"{own.peer.name} does not answer at {own.url}" + (f": {ran}" if ran else "")
        self.urls = [chain_url] if chain_url is not None else list(self._own)

    def name(self, address: Address) -> str:
        return (None if self.network is None else self.network.name_of(address)) or to_checksum(address)

    def look(self) -> tuple[observing.Observation, Address | None, list[observing.Finding]]:
        """What the node with the latest block tells, which node that is, and which nodes do not answer. Raises
        ChainUnreachableError if none answers as asked, NetworkError if one of the home's is of another chain."""
        seen: list[observing.Observation] = []
        failed: dict[str, ChainUnreachableError] = {}
        for url in self.urls:
            try:
                seen.append(self._observe(url))
            except ChainUnreachableError as error:
                failed[url] = error
        if not seen:
            raise _none_of(list(failed.values()))
        silent = [url for url, error in failed.items() if not isinstance(error, NodeAnswerError)]
        self.down = frozenset(self._own[url] for url in silent if url in self._own)
        best = max(seen, key=lambda one: one.number)
        warnings = [self._trouble(url, error) for url, error in failed.items()]
        return best, self._own.get(best.url), [*warnings, *self._forks(seen, best)]

    def _trouble(self, url: str, error: ChainUnreachableError) -> observing.Finding:
        if isinstance(error, NodeAnswerError):  # it runs
            return observing.Finding(observing.Level.WARNING, error.cause, error.hint)
        return observing.Finding(
            observing.Level.WARNING, self._labels.get(url, error.cause), "start it again, and read its log"
        )

    def _observe(self, url: str) -> observing.Observation:
        seen = observing.observe(HttpTransport(url, _ANSWER_S), url, time.time())
        if self.network is None:
            return seen
        if seen.chain_id == self.network.chain_id:
            return replace(seen, period_s=self.network.period_s)
        if url in self._own:  # that all seal there would say nothing about this network
            raise network.NetworkError(
                f"{url} answers for chain {seen.chain_id}, and this home's network is chain {self.network.chain_id}",
                hint="another node has the port: stop it, or run `millmark network join` with another --rpc-port",
            )
        return seen

    def _forks(self, seen: Sequence[observing.Observation], best: observing.Observation) -> list[observing.Finding]:
        """Nodes with another block of the same height: for a moment that is ordinary with Clique."""
        apart = [one for one in seen if one.number == best.number and one.hash != best.hash]
        there = ", ".join(self.name(self._own[one.url]) for one in apart if one.url in self._own)
        text = (
            f"two blocks {best.number}: 0x{best.hash.hex()[:12]} and 0x{apart[0].hash.hex()[:12]} at {there}"
            if apart
            else ""
        )
        return [observing.Finding(observing.Level.NOTE, text)] if apart else []


def _none_of(failed: Sequence[ChainUnreachableError]) -> ChainUnreachableError:
    """Why no node of a home can be judged by. One that runs is told first: to start it would not help."""
    answered = [one for one in failed if isinstance(one, NodeAnswerError)]
    if answered:
        return answered[0]
    return ChainUnreachableError(
        failed[0].cause if len(failed) == 1 else f"none of the {len(failed)} nodes of this home answers",
        hint="start it with `millmark network start`, systemd or compose, and read its log",
    )


def _own_chain(home: Path) -> str | None:
    """The chain that the home's settings name. Raises InputError if it is not a network."""
    settings = read_settings(home)
    if settings.chain_url is not None and not find_profile(settings.engine).timed_blocks:
        raise InputError(
            f"the chain of {home} is of the kind {settings.engine!r}: one process, without validators that run",
            hint="see `millmark status`",
        )
    return settings.chain_url


def _as_text(
    found: observing.Observation, own: Address | None, nodes: _Nodes, findings: Sequence[observing.Finding]
) -> list[str]:
    consensus, count = found.consensus, len(found.validators)
    lines = [
        f"chain {found.chain_id} ({'Clique' if consensus.value == 'clique' else 'QBFT'}), block {found.number}, "
        f"{found.head_age_s} s old; {found.url} has {found.peers} peers",
        f"{count} validators: {consensus.tolerates(count)} may be down; with fewer than {consensus.quorum(count)}, "
        "no block comes",
    ]
    width = max(len(nodes.name(one)) for one in found.validators)
    for validator in sorted(found.validators, key=nodes.name):
        lines.append(f"  {nodes.name(validator):<{width}}  {_line(validator, found, own, nodes.name(validator))}")
    words = {observing.Level.ALARM: "ALARM  ", observing.Level.WARNING: "warning", observing.Level.NOTE: "note   "}
    for finding in findings:
        lines.append(f"{words[finding.level]} {finding.text}")
        if finding.remedy:
            lines.append(f"        -> {finding.remedy}")
    states = {observing.state_of(one, found, own) for one in found.validators}
    if states == {observing.State.SEALS}:
        lines.append("all validators seal")
    elif states == {observing.State.SEALS, observing.State.NEW} or states == {observing.State.NEW}:
        lines.append("no validator is known to be silent: the chain, or one of them, is too young to tell")
    return lines


def _line(validator: Address, found: observing.Observation, own: Address | None, name: str) -> str:
    state = observing.state_of(validator, found, own)
    proposed = sum(found.is_proposed(block, validator) for block in found.window)
    sealed = sum(validator in block.sealers for block in found.window)
    last = found.last_sealed(validator)
    parts = [f"{state.value:<13}", f"proposed {proposed} of the last {len(found.window)} blocks"]
    if found.consensus.value == "qbft":
        parts[-1] += f", sealed {sealed}"
    parts.append("" if last is None else f"last {last}")
    parts.append("this node" if validator == own else "")
    address = to_checksum(validator)
    return "  ".join(part for part in (*parts, "" if name == address else address) if part)


def _as_json(
    found: observing.Observation, own: Address | None, nodes: _Nodes, findings: Sequence[observing.Finding]
) -> dict[str, Json]:
    count = len(found.validators)
    return {
        "url": found.url,
        "chain_id": found.chain_id,
        "consensus": found.consensus.value,
        "block_number": found.number,
        "head_age_s": found.head_age_s,
        "highest_block": found.highest_block,
        "peers": found.peers,
        "quorum": found.consensus.quorum(count),
        "tolerates": found.consensus.tolerates(count),
        "window": len(found.window),
        "rounds": [block.round for block in found.window],
        "validators": [_validator_json(one, found, own, nodes.name) for one in found.validators],
        "votes": [
            {
                "candidate": to_checksum(vote.candidate),
                "name": nodes.name(vote.candidate),
                "adds": vote.adds,
                "voters": [to_checksum(one) for one in vote.voters],
                "needed": count // 2 + 1,
            }
            for vote in found.votes
        ],
        "votes_since": found.votes_since,
        "findings": [{"level": one.level.name, "text": one.text, "remedy": one.remedy} for one in findings],
    }


def _validator_json(
    validator: Address, found: observing.Observation, own: Address | None, name: Callable[[Address], str]
) -> dict[str, Json]:
    return {
        "address": to_checksum(validator),
        "name": name(validator),
        "state": observing.state_of(validator, found, own).name,
        "is_own": validator == own,
        "proposed": sum(found.is_proposed(block, validator) for block in found.window),
        "sealed": sum(validator in block.sealers for block in found.window),
        "last_block": found.last_sealed(validator),
        "connected": None if found.connected is None else validator in found.connected,
    }
