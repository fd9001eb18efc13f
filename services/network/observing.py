"""What one chain node tells about its network: who seals, how old the head is, who is connected, which votes run.

All of it is what this node knows. Who sealed a block is taken from the block's header alone, by recovering the keys of
its seals, so that a node cannot claim that one of the network's validators is at work which is not. That the validators
which it lists are the network's is its word.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain import RpcError, Transport
from millmark.ledger.errors import ProofError
from millmark.ledger.signatures import ADDRESS_BYTES, Address
from millmark.services.network.errors import NetworkError, NodeAnswerError
from millmark.services.network.keys import PUBLIC_KEY_BYTES
from millmark.services.network.kinds import Consensus
from millmark.services.network.sealed_blocks import SealedBy, parse_bytes, read_block

__all__ = ["MAX_BLOCKS", "Observation", "Vote", "observe"]

MAX_BLOCKS = 5_000
"""Most headers that are read for one answer."""
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
    votes where the node does not count them.

    Raises ChainUnreachableError (NodeAnswerError for answers that are none), and NetworkError for a chain without
    validators.
    """
    ask = _Asking(transport, url)
    head = ask.block(None)
    validators = ask.signers() if head.consensus is Consensus.CLIQUE else ask.validators(head)
    window = [head, *ask.blocks_before(head.number, 2 * len(validators) - 1)]
    votes, since = ask.votes(head, window, min(vote_blocks, MAX_BLOCKS))
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
