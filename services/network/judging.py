"""What is wrong with a network and what to do, from one look at it."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from millmark.ledger.signatures import Address
from millmark.services.network.first_blocks import FIRST_BLOCKS, FRESH_HINT
from millmark.services.network.kinds import Consensus
from millmark.services.network.observing import Observation, Vote

__all__ = ["Finding", "Level", "State", "by_gravity", "judge", "stands", "state_of"]

Name = Callable[[Address], str]
"""What people call a validator."""


_STALL_S, _STALL_BLOCKS = 15, 10
"""QBFT waits 4 s for one silent proposer and 8 s more for a second one; Clique, a second or two."""
_HALT_ENDS = (
    "within about twice the time that the chain stood, or four times while a validator is down: QBFT's round time-outs "
    "double"
)
"""Round r lasts 2^r time-outs T. After a halt of t, those that stayed are in a round r with (2^r - 1) T <= t. Who is
started again begins with round 0, and meets them in round r + 1, after (2^(r+1) - 1) T <= 2 t + T. If the turn there is
that of one that is down, that takes 2^(r+1) T <= 2 t + 2 T more."""


class Level(enum.Enum):
    """How much a finding matters; the value is the exit code of `millmark network status`."""

    NOTE = 0
    ALARM = 3
    """No blocks come, or this node is not where they do."""
    WARNING = 4
    """Blocks come, but a validator does not take part."""


class State(enum.Enum):
    """What a validator does, as far as this node knows."""

    SEALS = "seals"
    SILENT = "SILENT"
    """It took no part in any of the latest blocks, though its turn came twice."""
    NEW = "not seen yet"
    """The chain, or its membership, is too young to tell."""
    CONNECTED = "connected"
    """No blocks come, but this node has a connection to it."""
    NOT_CONNECTED = "NOT CONNECTED"
    """No blocks come, and this node has no connection to it."""
    UNKNOWN = "unknown"
    """No blocks come, and the node does not tell who is connected."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should know."""

    level: Level
    text: str
    remedy: str = ""


def state_of(validator: Address, seen: Observation, own: Address | None) -> State:
    """What a validator does. Who sealed the last block before a standstill says nothing about who is down now."""
    if stands(seen):
        if validator == own:
            return State.CONNECTED
        if seen.connected is None:
            return State.UNKNOWN
        return State.CONNECTED if validator in seen.connected else State.NOT_CONNECTED
    if seen.last_sealed(validator) is not None:
        return State.SEALS
    return State.SILENT if _is_whole(seen, validator) else State.NEW


def judge(seen: Observation, own: Address | None, name: Name, down: frozenset[Address] = frozenset()) -> list[Finding]:
    """All findings, the worst first. `own` is the address of the node that was asked, `down` those of nodes that are
    known not to run."""
    found = [*_catching_up(seen)]
    if stands(seen):
        found.append(_stalled(seen, own, name, down))
    else:
        found += [*_silent(seen, own, name), *_rounds(seen), *_unconnected(seen, own, name)]
    found += [*_tolerance(seen), *(_vote(vote, seen, own, name) for vote in seen.votes)]
    return by_gravity(found)


def by_gravity(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first."""
    order = [Level.ALARM, Level.WARNING, Level.NOTE]
    return sorted(findings, key=lambda finding: order.index(finding.level))


def stands(seen: Observation) -> bool:
    """Whether no block came for so long that no waiting for a slow or silent proposer explains it."""
    return seen.head_age_s >= max(_STALL_S, _STALL_BLOCKS * seen.interval_s) and not _is_behind(seen)


def _is_behind(seen: Observation) -> bool:
    return seen.highest_block is not None and seen.highest_block > seen.number


def _is_whole(seen: Observation, validator: Address) -> bool:
    """Whether the window shows that the validator had its turns: it is long enough, and it was a validator all along.
    Clique's headers do not list the signers, so there a new signer counts as silent until its first turn."""
    if len(seen.window) < 2 * len(seen.validators):
        return False
    return all(validator in block.validators for block in seen.window if block.validators)


def _catching_up(seen: Observation) -> Iterator[Finding]:
    if _is_behind(seen):
        yield Finding(
            Level.ALARM,
            f"this node is catching up: it has block {seen.number} of {seen.highest_block}",
            "wait: all that is said here is as of its block",
        )


def _stalled(seen: Observation, own: Address | None, name: Name, down: frozenset[Address]) -> Finding:
    count, quorum = len(seen.validators), seen.consensus.quorum(len(seen.validators))
    age = f"no block for {seen.head_age_s} s"
    if seen.peers == 0 and count > 1:
        return Finding(
            Level.ALARM,
            f"{age}, and this node is connected to nobody (net_peerCount 0): it is cut off, or all others are down",
            "check this machine's network and firewall, and ask another company whether blocks come at its node",
        )
    stopped = down.intersection(seen.validators)
    if seen.connected is None:
        reached, missing = min(seen.peers + (own in seen.validators), count), ""
        known = max(reached, len(stopped))  # which ones are reached is not known: at least the larger number of them
    else:
        there = {one for one in seen.validators if one == own or one in seen.connected}
        reached, missing = len(there), _listed((one for one in seen.validators if one not in there), name)
        known = len(there | stopped)
    reach = f"reaches {reached} of {count} validators, {quorum} are needed"
    absent = f"; not connected: {missing}" if missing else ""
    if reached >= quorum:
        return Finding(
            Level.ALARM, f"{age}: HALTED, though {reached} of {count} validators are connected", _agree(seen)
        )
    # Those of which nothing is known are enough to go on among themselves. Then this node is cut off, as far as anybody
    # can tell from here, and to start other nodes again would be the wrong advice.
    if count - known >= quorum:
        return Finding(
            Level.ALARM,
            f"{age}: HALTED as far as this node sees: it {reach}{absent}; they may go on without it",
            "ask one of them whether blocks come there: if so, mend this node's line, otherwise start their nodes",
        )
    wait = "blocks come again by themselves" + (f", {_HALT_ENDS}" if _is_qbft(seen) else "")
    return Finding(
        Level.ALARM,
        f"{age}: the chain is HALTED: this node {reach}{absent}",
        f"get {quorum - reached} more of them to run and connect; {wait}",
    )


def _agree(seen: Observation) -> str:
    """Enough validators are connected, and still they do not agree."""
    if _is_qbft(seen):
        return (
            f"wait: blocks come {_HALT_ENDS}; if it lasts over ten minutes, restart all validators within the same few "
            "seconds, so that they begin the same round"
        )
    if seen.number < FIRST_BLOCKS:
        return f"the network is new, and its signers wait for each other's first turns: {FRESH_HINT}"
    return (
        "start the validators that are down: one more ends the wait of a fork of equal weight. If all run, compare the "
        "latest block's hash at all nodes, and delete the data folder of those on the fork that fewer of them have"
    )


def _silent(seen: Observation, own: Address | None, name: Name) -> Iterator[Finding]:
    silent = [one for one in seen.validators if state_of(one, seen, own) is State.SILENT]
    if not silent:
        return
    count, tolerated = len(seen.validators), seen.consensus.tolerates(len(seen.validators))
    left = tolerated - len(silent)
    if left > 0:
        outlook = f"{left} more may fail before the chain stands still"
    elif left == 0:
        outlook = f"with one more, the chain {'stands' if _is_qbft(seen) else 'may stand'} still"
    else:
        outlook = "the chain may stand still at any block"
    verb = "is" if len(silent) == 1 else "are"
    text = f"{len(silent)} of {count} validators {verb} silent for {len(seen.window)} blocks: {_listed(silent, name)}"
    remedy = f"ask {_listed(silent, name)} to look at {'its node' if len(silent) == 1 else 'their nodes'}"
    if own in silent:
        remedy = (
            "see the log of this node: it may lack peers, its clock may be wrong, or its key is not the validator's"
        )
    yield Finding(Level.WARNING, f"{text}; {outlook}", remedy)


def _rounds(seen: Observation) -> Iterator[Finding]:
    late = [block.round for block in seen.window if block.round]
    if late:
        yield Finding(
            Level.NOTE,
            f"{len(late)} of the last {len(seen.window)} blocks took more than one round, at most {max(late) + 1}",
            "a validator whose turn it was did not propose in time: it is down, slow or far away",
        )


def _unconnected(seen: Observation, own: Address | None, name: Name) -> Iterator[Finding]:
    """Validators at work to which this node has no line: a second broken line could cut it off."""
    if seen.connected is None:
        return
    apart = [v for v in seen.validators if v != own and v not in seen.connected and seen.last_sealed(v) is not None]
    if apart:
        yield Finding(
            Level.NOTE,
            f"this node has no connection to {_listed(apart, name)}, whose blocks come through others",
            "check the address and port that network.json has for it, and the firewalls between",
        )


def _tolerance(seen: Observation) -> Iterator[Finding]:
    count = len(seen.validators)
    if seen.consensus.tolerates(count) == 0:
        least = "four" if _is_qbft(seen) else "five"
        yield Finding(Level.NOTE, f"with {count} validators, none may be down", f"add validators: {least} tolerate one")
    if seen.consensus is Consensus.CLIQUE and count % 2 == 0:
        yield Finding(
            Level.NOTE,
            f"with {count} signers, an even number, a restart of half of them can halt the chain for good",
            "add one or remove one",
        )


def _vote(vote: Vote, seen: Observation, own: Address | None, name: Name) -> Finding:
    needed = len(seen.validators) // 2 + 1
    act, word = ("add", "to add") if vote.adds else ("remove", "to remove")
    waiting = [one for one in seen.validators if one not in vote.voters]
    text = f"vote {word} {name(vote.candidate)}: {len(vote.voters)} of {needed} needed ({_listed(vote.voters, name)})"
    who = "this company" if own in waiting else "another company"
    return Finding(
        Level.NOTE,
        text,
        f"who agrees runs `millmark network vote {act} {_spelt(name(vote.candidate))}`: {who} has not voted",
    )


def _spelt(name: str) -> str:
    return f'"{name}"' if " " in name else name


def _listed(validators: Iterable[Address], name: Name) -> str:
    return ", ".join(sorted(name(one) for one in validators))


def _is_qbft(seen: Observation) -> bool:
    return seen.consensus is Consensus.QBFT
