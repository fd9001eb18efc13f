"""Whether the chain goes on, and whether the company's own node is part of it, in words."""

from __future__ import annotations

from dataclasses import dataclass

from millmark.ledger.chain import Chain
from millmark.ledger.events import Header
from millmark.services.text.outbox import STALL_S

ROUNDS_SEEN, ROUNDS_LATE = 8, 2
"""Among this number of latest blocks, so many sealed in a later round than the first are worth a word: with one
validator of four down, every fourth one is."""
ROUNDS_REMEDY = "a validator is down, cut off or slow; which one, and how many more may fail: `millmark network status`"
STANDS_REMEDY = (
    "compare with another company's node: if its blocks go on, mend this node's connections; if not, start the "
    "validators that are down. With QBFT, blocks may then take twice as long as the chain stood, or four times while a "
    "validator is down, for round time-outs double; see `millmark network status`"
)


@dataclass(frozen=True, slots=True)
class ChainHealth:
    """One observation of a node."""

    block_number: int
    """Its latest block."""
    head_age_s: int
    """Age of that block by this machine's clock."""
    peers: int | None
    """Number of nodes that it is connected to; None if it does not tell."""
    highest_block: int | None
    """The highest block that it knows of while it catches up; None if it does not catch up."""
    seen_block: int
    """The highest block that outbox and index know; -1 if there is none."""
    timed_blocks: bool
    """Whether blocks come by themselves on this engine."""
    rounds: tuple[int, ...] = ()
    """For each of the latest blocks, the number of rounds that ended without one; empty on engines without rounds."""

    @property
    def stalls(self) -> bool:
        """Whether no block came for too long. Where blocks come with transactions alone, their age says nothing."""
        return self.timed_blocks and self.head_age_s >= STALL_S

    def alarms(self) -> list[str]:
        """What keeps this node's state from being the chain's, one line each; empty if nothing does."""
        lines = []
        if self.highest_block is not None:
            lines.append(f"this node is catching up: block {self.block_number} of {self.highest_block}")
        elif self.block_number < self.seen_block:
            lines.append(
                f"this node is behind: its latest block is {self.block_number}, block {self.seen_block} is known"
            )
        if self.stalls:
            lines.append(f"no block for {self.head_age_s} s: {self._stalled()}; {STANDS_REMEDY}")
        return lines

    def warnings(self) -> list[str]:
        """What does not keep the chain from going on, but may soon, one line each."""
        late = sum(one > 0 for one in self.rounds)
        if late < ROUNDS_LATE:
            return []
        return [f"{late} of the last {len(self.rounds)} blocks took more than one round: {ROUNDS_REMEDY}"]

    def _stalled(self) -> str:
        if self.peers == 0:
            return "this node is cut off (net_peerCount 0), or the network has no other node"
        known = "unknown" if self.peers is None else self.peers
        return f"the chain stands, or this node is cut off from its validators (net_peerCount {known})"

    def to_json(self) -> dict[str, object]:
        return {
            "block_number": self.block_number,
            "head_age_s": self.head_age_s,
            "stalls": self.stalls,
            "peers": self.peers,
            "highest_block": self.highest_block,
            "late_rounds": sum(one > 0 for one in self.rounds),
        }


def observe_chain(chain: Chain, seen_block: int, now_s: float) -> ChainHealth:
    """Ask a node about itself. `now_s` is Unix time. Raises ChainUnreachableError."""
    head, syncing = chain.node.header(), chain.node.syncing()
    latest = (
        [] if head.round is None else chain.node.find_headers(range(max(head.number - ROUNDS_SEEN + 1, 0), head.number))
    )
    before = [one.round for one in latest if isinstance(one, Header)]
    return ChainHealth(
        block_number=head.number,
        # Never negative, even if this machine's clock was set back.
        head_age_s=max(round(now_s - head.timestamp), 0),
        peers=chain.node.peer_count(),
        highest_block=None if syncing is None else syncing[1],
        seen_block=seen_block,
        timed_blocks=chain.profile.timed_blocks,
        rounds=tuple(one for one in (*before, head.round) if one is not None),
    )
