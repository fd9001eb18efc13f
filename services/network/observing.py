"""What one chain node tells about its network: who seals, how old the head is, who is connected, which votes run.

All of it is what this node knows. Who sealed a block is taken from the block's header alone, by recovering the keys of
its seals, so that a node cannot claim that one of the network's validators is at work which is not. That the validators
which it lists are the network's is its word.
"""

from __future__ import annotations

import enum
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import RpcError, Transport
from millmark.ledger.errors import ChainUnreachableError, ProofError, SealsError, SigningError
from millmark.ledger.headers import FIELDS, encode_header, encode_integer, replace_extra
from millmark.ledger.seals import MAX_ROUND, build_digest, parse_extra
from millmark.ledger.signatures import ADDRESS_BYTES, Address, Signature, recover_address
from millmark.services.network.peers import PUBLIC_KEY_BYTES, Consensus, Kind, NetworkError, NodeAnswerError
from millmark.services.network.processes import FIRST_BLOCKS, FRESH_HINT

# Who made and sealed a block, from its header alone: the keys of the seals are recovered, so a node cannot name a
# validator that did not sign.

_CLIQUE_SEAL, _VANITY = 65, 32


@dataclass(frozen=True, slots=True)
class SealedBy:
    """What a block's header says about the validators."""

    number: int
    hash: bytes
    """According to the node."""
    timestamp: int
    consensus: Consensus
    proposer: Address
    """Who made it: the signer, with Clique."""
    sealers: tuple[Address, ...]
    """Whose seals this node holds: with QBFT at least a quorum, not always all that were given."""
    validators: tuple[Address, ...]
    """As the header lists them; empty with Clique, outside of epochs."""
    round: int
    """QBFT: rounds before this one ended without a block. 0 with Clique."""
    vote: tuple[Address, bool] | None
    """The proposer's vote: whom, and whether to add."""


def read_block(raw: Mapping[str, Any]) -> SealedBy:
    """What a block, as eth_getBlockByNumber returns it, says about the validators. Raises NetworkError for a block of
    another consensus, and whatever parsing raises for one that is malformed."""
    extra = parse_bytes(raw["extraData"])
    encoded = _encode(raw)
    number, found_hash, timestamp = int(raw["number"], 16), parse_bytes(raw["hash"]), int(raw["timestamp"], 16)
    try:
        found = parse_extra(extra)
    except SealsError:
        return _read_clique(number, found_hash, timestamp, extra, encoded)
    seals = () if number == 0 else found.seals
    digest = build_digest(encoded, min(found.round, MAX_ROUND))
    sealers = tuple(one for one in (_recover(digest, seal) for seal in seals) if one is not None)
    vote = None if found.vote is None else (found.vote[0], found.vote[1] == b"\xff")
    return SealedBy(
        number=number,
        hash=found_hash,
        timestamp=timestamp,
        consensus=Consensus.QBFT,
        proposer=parse_bytes(raw["miner"]),
        sealers=sealers,
        validators=found.validators,
        round=found.round,
        vote=vote,
    )


def _read_clique(number: int, found_hash: bytes, timestamp: int, extra: bytes, encoded: bytes) -> SealedBy:
    listed = len(extra) - _VANITY - _CLIQUE_SEAL
    if listed < 0 or listed % ADDRESS_BYTES:
        raise NetworkError(
            "the chain's blocks name no validators", hint="status is for networks of QBFT or Clique, see PRODUCTION.md"
        )
    body = extra[_VANITY:-_CLIQUE_SEAL]
    named = tuple(body[place : place + ADDRESS_BYTES] for place in range(0, listed, ADDRESS_BYTES))
    # EIP-225: the signature is over the header as it would be without the signature.
    digest = keccak256(replace_extra(encoded, extra[:-_CLIQUE_SEAL]))
    signer = None if number == 0 else _recover(digest, extra[-_CLIQUE_SEAL:])
    sealers = () if signer is None else (signer,)
    return SealedBy(
        number, found_hash, timestamp, Consensus.CLIQUE, signer or bytes(ADDRESS_BYTES), sealers, named, 0, None
    )


def _encode(raw: Mapping[str, Any]) -> bytes:
    present = [field for field in FIELDS if raw.get(field[0]) is not None]
    fields = (encode_integer(int(raw[name], 16)) if number else parse_bytes(raw[name]) for name, number, _ in present)
    return encode_header(list(fields))


def _recover(digest: bytes, seal: bytes) -> Address | None:
    """The signer; None for a seal that is none, which a node should not have."""
    try:
        signature = Signature(int.from_bytes(seal[:32], "big"), int.from_bytes(seal[32:64], "big"), seal[64])
        return recover_address(digest, signature)
    except SigningError:
        return None


def parse_bytes(value: Any) -> bytes:
    """Bytes from hexadecimal digits after 0x. Raises TypeError, ValueError."""
    if not isinstance(value, str):
        raise TypeError("not hexadecimal digits")
    return bytes.fromhex(value.removeprefix("0x"))


_NO_METHOD = (-32601, -32604)
"""Unknown method; Besu's code for one of an API that is not switched on."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Vote:
    """A motion to add a validator, or to remove one."""

    candidate: Address
    adds: bool
    voters: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a network through one of its nodes."""

    url: str
    chain_id: int
    consensus: Consensus
    number: int
    hash: bytes
    """Hash of the latest block, according to the node."""
    head_age_s: int
    """Age of the latest block by this machine's clock."""
    highest_block: int | None
    """The highest block that the node knows of while it catches up; None if it does not catch up."""
    peers: int
    """Number of nodes that it is connected to."""
    connected: frozenset[Address] | None
    """Which nodes these are; None if it does not tell."""
    validators: tuple[Address, ...]
    """For the block after the latest, ascending."""
    window: tuple[SealedBy, ...]
    """The latest blocks, the last one first: as many as it takes for each validator to come to its turn twice."""
    votes: tuple[Vote, ...]
    votes_since: int | None
    """First block in which votes were looked for; None if the node itself counted them, which is complete."""
    period_s: int | None = None
    """Time between blocks by the genesis; None where it is not known."""

    @property
    def interval_s(self) -> float:
        """Time between blocks: by the genesis, otherwise the median of the window; 0 if there are too few."""
        # Of the first blocks, the median is that of a start, in which signers waited for each other's connections.
        if self.period_s is not None:
            return self.period_s
        times = [block.timestamp for block in self.window]
        return statistics.median(later - earlier for later, earlier in pairwise(times)) if len(times) > 1 else 0

    def last_sealed(self, validator: Address) -> int | None:
        """The latest block of the window that the validator proposed or sealed; None if there is none."""
        return next((b.number for b in self.window if validator in b.sealers or self.is_proposed(b, validator)), None)

    def is_proposed(self, block: SealedBy, validator: Address) -> bool:
        """Whether the validator proposed the block. With QBFT that is the word of those who sealed it, so that a
        quorum is needed of those whom its header lists, and of today's validators more than may lie: anybody can make
        a header that lists its own keys."""
        if block.proposer != validator:
            return False
        if block.consensus is Consensus.CLIQUE:
            return True
        sealers, listed = {*block.sealers}, block.validators or self.validators
        known = len(sealers.intersection(self.validators)) > block.consensus.may_lie(len(self.validators))
        return known and len(sealers.intersection(listed)) >= block.consensus.quorum(len(listed))


def observe(transport: Transport, url: str, now_s: float, *, vote_blocks: int = 200) -> Observation:
    """Asks a node about itself and its network. `now_s` is Unix time; `vote_blocks`, how many blocks to search for
    votes where the node does not count them. Raises ChainUnreachableError (NodeAnswerError for answers that are none),
    and NetworkError for a chain without validators."""
    ask = _Asking(transport, url)
    head = ask.block(None)
    validators = ask.signers() if head.consensus is Consensus.CLIQUE else ask.validators(head)
    window = [head, *ask.blocks_before(head.number, 2 * len(validators) - 1)]
    votes, since = ask.votes(head, window, vote_blocks)
    return Observation(
        url=url,
        chain_id=ask.number("eth_chainId"),
        consensus=head.consensus,
        number=head.number,
        hash=head.hash,
        head_age_s=max(round(now_s - head.timestamp), 0),
        highest_block=ask.highest_block(),
        peers=ask.number("net_peerCount"),
        connected=ask.connected(),
        validators=tuple(sorted(validators)),
        window=tuple(window),
        votes=votes,
        votes_since=since,
    )


class _Asking:
    """Requests to one node; each answer is checked for its form."""

    def __init__(self, transport: Transport, url: str) -> None:
        self._transport, self._url = transport, url

    def number(self, method: str) -> int:
        return self._ask(method, [], lambda answer: int(answer, 16))

    def block(self, number: int | None) -> SealedBy:
        return self._ask("eth_getBlockByNumber", ["latest" if number is None else hex(number), False], read_block)

    def blocks_before(self, number: int, count: int) -> list[SealedBy]:
        """The blocks before `number`, the latest first, without the genesis, which nobody sealed."""
        return [self.block(one) for one in range(number - 1, max(number - 1 - count, 0), -1)]

    def highest_block(self) -> int | None:
        return self._ask("eth_syncing", [], lambda found: None if found is False else int(found["highestBlock"], 16))

    def signers(self) -> tuple[Address, ...]:
        found = self._ask("clique_getSigners", [], _addresses)
        if not found:
            raise NetworkError(f"{self._url} names no signers")
        return found

    def validators(self, head: SealedBy) -> tuple[Address, ...]:
        """QBFT: who may seal the block after `head`."""
        if head.validators and head.vote is None:
            return head.validators
        # The vote in the head may be the one that was missing; or the network keeps its validators in a contract.
        for method in ("qbft_getValidatorsByBlockNumber", "istanbul_getValidators"):
            found = self._ask_if_known(method, [hex(head.number)], _addresses)
            if found:
                return found
        if not head.validators:
            raise NetworkError(f"neither {self._url} nor the blocks name the validators")
        return head.validators

    def connected(self) -> frozenset[Address] | None:
        return self._ask_if_known("admin_peers", [], lambda peers: frozenset(_peer_address(one) for one in peers))

    def votes(self, head: SealedBy, window: Sequence[SealedBy], blocks: int) -> tuple[tuple[Vote, ...], int | None]:
        """The votes in progress, and the first block that was searched if the node does not count them itself."""
        method = "clique_getSnapshot" if head.consensus is Consensus.CLIQUE else "istanbul_getSnapshot"
        counted = self._ask_if_known(method, [], lambda found: _counted(found.get("votes") or []))
        if counted is not None:
            return counted, None
        further = self.blocks_before(window[-1].number, blocks - len(window))
        searched = [*window, *further]
        return _gather(searched, frozenset(head.validators)), searched[-1].number

    def _ask_if_known(self, method: str, params: list[Any], parse: Callable[[Any], T]) -> T | None:
        """None if the node has no such method, or it is not switched on."""
        try:
            return self._parsed(method, self._transport.request(method, params), parse)
        except RpcError as error:
            if error.code in _NO_METHOD:
                return None
            raise self._refused(method, error) from None

    def _ask(self, method: str, params: list[Any], parse: Callable[[Any], T]) -> T:
        try:
            return self._parsed(method, self._transport.request(method, params), parse)
        except RpcError as error:
            raise self._refused(method, error) from None

    def _parsed(self, method: str, answer: Any, parse: Callable[[Any], T]) -> T:
        try:
            return parse(answer)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError, ProofError) as error:
            raise NodeAnswerError(
                f"{self._url} gave an answer to {method} that makes no sense ({type(error).__name__})",
                hint="check that it is the chain node's JSON-RPC",
            ) from error

    def _refused(self, method: str, error: RpcError) -> NodeAnswerError:
        return NodeAnswerError(
            f"{self._url} refuses {method}: {error.message}", hint="see the flags in the node's start.sh"
        )


def _counted(votes: Sequence[Mapping[str, Any]]) -> tuple[Vote, ...]:
    """Votes as a snapshot of the geth family has them; Clique says `signer`, the others `validator`."""
    found: dict[tuple[Address, bool], list[Address]] = {}
    for vote in votes:
        voter = _address(vote.get("signer") or vote["validator"])
        found.setdefault((_address(vote["address"]), bool(vote["authorize"])), []).append(voter)
    return tuple(Vote(candidate, adds, tuple(sorted(voters))) for (candidate, adds), voters in sorted(found.items()))


def _gather(blocks: Sequence[SealedBy], validators: frozenset[Address]) -> tuple[Vote, ...]:
    """Votes in headers, the latest block first. A later vote of the same voter on the same candidate replaces its
    earlier one; a vote that has taken effect no longer counts."""
    latest: dict[tuple[Address, Address], bool] = {}
    for block in blocks:
        if block.vote is not None:
            latest.setdefault((block.proposer, block.vote[0]), block.vote[1])
    found: dict[tuple[Address, bool], list[Address]] = {}
    for (voter, candidate), adds in latest.items():
        if adds != (candidate in validators) and voter in validators:
            found.setdefault((candidate, adds), []).append(voter)
    return tuple(Vote(candidate, adds, tuple(sorted(voters))) for (candidate, adds), voters in sorted(found.items()))


def _peer_address(raw: Mapping[str, Any]) -> Address:
    """The address of a peer's key: from its enode URL with the geth family, from `id` with Besu."""
    enode = raw.get("enode")
    key = enode.removeprefix("enode://").partition("@")[0] if isinstance(enode, str) else raw["id"]
    public_key = parse_bytes(key)
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise ValueError("not a public key")
    return keccak256(public_key)[-ADDRESS_BYTES:]


def _addresses(values: Any) -> tuple[Address, ...]:
    return tuple(_address(one) for one in values)


def _address(value: Any) -> Address:
    found = parse_bytes(value)
    if len(found) != ADDRESS_BYTES:
        raise ValueError("not an address")
    return found


# What is wrong with a network and what to do, from one look at it.

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


# Votes on validators. A node casts its company's vote in the blocks that it proposes, so it must be a validator that
# runs; more than half of the validators decide, and votes lapse at the end of an epoch.


class Act(enum.StrEnum):
    """What a company wants its node to vote for."""

    ADD = "add"
    REMOVE = "remove"
    WITHDRAW = "withdraw"
    """Neither. What stands in blocks already counts until the epoch ends, unless the node votes the other way."""


def cast_vote(transport: Transport, kind: Kind, candidate: Address, act: Act) -> None:
    """Tells a node what to vote for. It forgets that when it is restarted. Raises ChainUnreachableError."""
    propose, discard = _methods(kind)
    address = f"0x{candidate.hex()}"
    params: list[Any] = [address] if act is Act.WITHDRAW else [address, act is Act.ADD]
    method = discard if act is Act.WITHDRAW else propose
    try:
        transport.request(method, params)
    except RpcError as error:
        raise ChainUnreachableError(
            f"the node refuses {method}: {error.message}", hint="it must be a validator; see the flags in its start.sh"
        ) from None


def _methods(kind: Kind) -> tuple[str, str]:
    if kind.consensus is Consensus.CLIQUE:
        return "clique_propose", "clique_discard"
    if kind.name == "besu":
        return "qbft_proposeValidatorVote", "qbft_discardValidatorVote"
    return "istanbul_propose", "istanbul_discard"
