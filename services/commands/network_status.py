"""`millmark network status`: which validators are at work, what is wrong, and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import Json
from millmark.ledger.chain import HttpTransport, find_profile
from millmark.ledger.errors import ChainUnreachableError, InputError
from millmark.ledger.signatures import Address, to_checksum
from millmark.services.network import NetworkError, NetworkFile, find_nodes, read_network, read_node
from millmark.services.network.observing import (
    MAX_BLOCKS,
    Finding,
    Level,
    Observation,
    State,
    by_gravity,
    judge,
    observe,
    state_of,
)
from millmark.services.network.peers import NodeAnswerError
from millmark.services.network.processes import is_running
from millmark.services.output import AsJson, print_json, print_lines
from millmark.services.settings import read_settings

_ANSWER_S = 5.0


def run_status(
    context: typer.Context,
    chain_url: Annotated[
        str | None, typer.Option("--chain-url", help="JSON-RPC of a node to ask, instead of the home's own.")
    ] = None,
    vote_blocks: Annotated[
        int, typer.Option("--vote-blocks", min=1, max=MAX_BLOCKS, help="Besu: how many blocks to search for votes.")
    ] = 200,
    as_json: AsJson = False,
) -> None:
    """Say which validators seal and which are silent, whether the chain goes on, what is wrong and what to do about it.

    Exit code 0: all validators seal; 1: no node answers, or one of another chain; 3: no blocks come, or this node is
    not where they do; 4: blocks come, but a validator is silent, or a node of this home does not answer.
    """
    nodes = _Nodes(context.obj, chain_url)
    found, own, others = nodes.look(vote_blocks)
    findings = by_gravity([*others, *judge(found, own, nodes.name, nodes.down)])
    if as_json:
        print_json(context, _as_json(found, own, nodes, findings))
    else:
        print_lines(*_as_text(found, own, nodes, findings))
    raise typer.Exit(findings[0].level.value if findings else 0)


class _Nodes:
    """The nodes of a home that can be asked, and the names of all nodes of its network."""

    def __init__(self, home: Path, chain_url: str | None) -> None:
        self.network: NetworkFile | None = None
        self._own: dict[str, Address] = {}
        self._labels: dict[str, str] = {}
        self.down: frozenset[Address] = frozenset()
        """Validators of this home that do not answer."""
        try:
            folders = find_nodes(home / "network")
        except InputError:
            if chain_url is None:
                chain_url = _own_chain(home)
            if chain_url is None:
                raise
        else:
            self.network = read_network(folders[0].network)
            for folder in folders:
                own = read_node(folder)
                self._own[own.url] = own.peer.address
                ran = "its process has ended" if folder.pid.exists() and not is_running(folder) else ""
                self._labels[own.url] = f"{own.peer.name} does not answer at {own.url}" + (f": {ran}" if ran else "")
        self.urls = [chain_url] if chain_url is not None else list(self._own)

    def name(self, address: Address) -> str:
        return (None if self.network is None else self.network.name_of(address)) or to_checksum(address)

    def look(self, vote_blocks: int) -> tuple[Observation, Address | None, list[Finding]]:
        """What the node with the latest block tells, which node that is, and which nodes do not answer. Raises
        ChainUnreachableError if none answers as asked, NetworkError if one of the home's is of another chain."""
        seen: list[Observation] = []
        failed: dict[str, ChainUnreachableError] = {}
        for url in self.urls:
            try:
                seen.append(self._observe(url, vote_blocks))
            except ChainUnreachableError as error:
                failed[url] = error
        if not seen:
            raise _none_of(list(failed.values()))
        silent = [url for url, error in failed.items() if not isinstance(error, NodeAnswerError)]
        self.down = frozenset(self._own[url] for url in silent if url in self._own)
        best = max(seen, key=lambda one: one.number)
        warnings = [self._trouble(url, error) for url, error in failed.items()]
        return best, self._own.get(best.url), [*warnings, *self._forks(seen, best)]

    def _trouble(self, url: str, error: ChainUnreachableError) -> Finding:
        if isinstance(error, NodeAnswerError):  # it runs
            return Finding(Level.WARNING, error.cause, error.hint)
        return Finding(Level.WARNING, self._labels.get(url, error.cause), "start it again, and read its log")

    def _observe(self, url: str, vote_blocks: int) -> Observation:
        seen = observe(HttpTransport(url, _ANSWER_S), url, time.time(), vote_blocks=vote_blocks)
        if self.network is None:
            return seen
        if seen.chain_id == self.network.chain_id:
            return replace(seen, period_s=self.network.period_s)
        if url in self._own:  # that all seal there would say nothing about this network
            raise NetworkError(
                f"{url} answers for chain {seen.chain_id}, and this home's network is chain {self.network.chain_id}",
                hint="another node has the port: stop it, or run `millmark network join` with another --rpc-port",
            )
        return seen

    def _forks(self, seen: Sequence[Observation], best: Observation) -> list[Finding]:
        """Nodes with another block of the same height: for a moment that is ordinary with Clique."""
        apart = [one for one in seen if one.number == best.number and one.hash != best.hash]
        there = ", ".join(self.name(self._own[one.url]) for one in apart if one.url in self._own)
        text = (
            f"two blocks {best.number}: 0x{best.hash.hex()[:12]} and 0x{apart[0].hash.hex()[:12]} at {there}"
            if apart
            else ""
        )
        return [Finding(Level.NOTE, text)] if apart else []


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


def _as_text(found: Observation, own: Address | None, nodes: _Nodes, findings: Sequence[Finding]) -> list[str]:
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
    words = {Level.ALARM: "ALARM  ", Level.WARNING: "warning", Level.NOTE: "note   "}
    for finding in findings:
        lines.append(f"{words[finding.level]} {finding.text}")
        if finding.remedy:
            lines.append(f"        -> {finding.remedy}")
    states = {state_of(one, found, own) for one in found.validators}
    if states == {State.SEALS}:
        lines.append("all validators seal")
    elif states == {State.SEALS, State.NEW} or states == {State.NEW}:
        lines.append("no validator is known to be silent: the chain, or one of them, is too young to tell")
    return lines


def _line(validator: Address, found: Observation, own: Address | None, name: str) -> str:
    state = state_of(validator, found, own)
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


def _as_json(found: Observation, own: Address | None, nodes: _Nodes, findings: Sequence[Finding]) -> dict[str, Json]:
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
    validator: Address, found: Observation, own: Address | None, name: Callable[[Address], str]
) -> dict[str, Json]:
    return {
        "address": to_checksum(validator),
        "name": name(validator),
        "state": state_of(validator, found, own).name,
        "is_own": validator == own,
        "proposed": sum(found.is_proposed(block, validator) for block in found.window),
        "sealed": sum(validator in block.sealers for block in found.window),
        "last_block": found.last_sealed(validator),
        "connected": None if found.connected is None else validator in found.connected,
    }
