"""Statements about lots from records that the caller believes, such as those of its own index: those of a report on a
bundle, but for what is about the bundle: what it proves, discloses or leaves open.

    statements = tell(recorded, [lot])
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from millmark.ledger.bundle import Bundle, HistoryShown, WithheldRecord
from millmark.ledger.events import Event
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.headers import BlockHeader
from millmark.ledger.records import LotState
from millmark.ledger.trust import CONTRACTS, BelievedBlock, TrustedContract, TrustFile
from millmark.ledger.verify._attention import attention
from millmark.ledger.verify._parts import origin, parts
from millmark.ledger.verify._proofs import Reasons
from millmark.ledger.verify._replay import replay
from millmark.ledger.verify._state import Entry, Proved, State
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.statements import Party, Section, Statement, say

__all__ = ["Entry", "Left", "Measured", "Proved", "Recorded", "tell"]

_NONE = bytes(32)
_LEFT_OUT = WithheldRecord(LotsTransformed.__name__, _NONE)
_SECTIONS = (parts, attention, origin)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a bundle about some lots would contain, as somebody has it who needs no proof of it."""

    histories: Mapping[bytes, Sequence[int]]
    """Sequences of the records, ascending, of the lots, what they were made from, and their orders, by subject."""
    entries: Sequence[Entry[Event]]
    """These records, oldest first."""
    left_out: Mapping[bytes, Sequence[int]]
    """Sequences of the records, ascending, that took material of a lot for others than these, by the lot's subject."""
    left: Mapping[bytes, Left]
    """What these left of the lots, by subject."""
    registered: Proved
    """Everything that they name, as it is now."""
    identifiers: Mapping[bytes, str]
    """By subject, as far as readers may know them."""
    participants: Mapping[int, str]
    """Names, by number."""
    block_number: int
    """The last block whose records are here."""
    block_time: int
    """In seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Left:
    """A lot as it is now."""

    state: LotState
    quantity: int


@dataclass(frozen=True, slots=True)
class Measured:
    """An entry of a stream that several records name, anywhere on the ledger."""

    stream: bytes
    index: int
    records: tuple[int, ...]
    """Certificates and finished operations, ascending."""
    others: int
    """Number of those that readers may not see."""


def tell(recorded: Recorded, lots: Collection[bytes], measured: Iterable[Measured] = ()) -> tuple[Statement, ...]:
    """The statements about lots, what needs attention and where they came from, as judged at the block's time; and
    about `measured`, which other records than these name.

    Raises ReplayRefused if the records are not complete, or do not follow each other by the contracts' rules.
    """
    bundle, time = _bundle(recorded, lots), recorded.block_time
    known = _Believed(
        bundle=bundle,
        trust=_TRUST,
        headers=(BlockHeader(_NONE, recorded.block_number, _NONE, _NONE, _NONE, time, b""),),
        reasons=Reasons(()),
        state=_state(bundle, recorded),
        entries=recorded.entries,
        identifiers=dict(recorded.identifiers),
        now_s=time,
        participants=recorded.participants,
    )
    said = [one for section in _SECTIONS for one in section(known)]
    return tuple(_with_measured(said, {(one.stream, one.index): one for one in measured}))


def _state(bundle: Bundle, recorded: Recorded) -> State:
    """The state after all records, with what is known of those that were left out."""
    state = replay(bundle, recorded.entries, recorded.registered, recorded.block_time)
    for name, left in recorded.left.items():
        lot = state.lots[name]
        lot.withheld, lot.quantity = 0, left.quantity
        if left.state is LotState.SPENT:
            lot.state, lot.counterparty = left.state, 0
    return state


def _with_measured(said: Iterable[Statement], measured: Mapping[tuple[bytes, int], Measured]) -> Iterator[Statement]:
    """The statements, and those about measurements at the end of what needs attention. What the records alone say of
    one of these would be a part of the truth."""
    kept = [
        one
        for one in said
        if one.code != "one_measurement" or (one.values["stream"], one.values["index"]) not in measured
    ]
    yield from (one for one in kept if one.section is not Section.ORIGIN)
    yield from map(_used_again, measured.values())
    yield from (one for one in kept if one.section is Section.ORIGIN)


def _used_again(one: Measured) -> Statement:
    named: dict[str, object] = {"measured": one.records, "stream": one.stream, "index": one.index}
    if one.others:
        return say("one_measurement_elsewhere", None, one.records, **named, others=one.others)
    return say("one_measurement", None, one.records, **named)


@dataclass(frozen=True, kw_only=True)
class _Believed(Verified):
    """Records that nobody had to verify, so that the names of participants are not from a trust file."""

    participants: Mapping[int, str]

    def party(self, number: int) -> Party:
        return Party(number, self.participants.get(number))


_TRUST = TrustFile(
    chain_id=0,
    ledger_id=_NONE,
    contracts={name: TrustedContract(bytes([place] * 20), _NONE) for place, name in enumerate(CONTRACTS)},
    participants={},
    checkpoint=BelievedBlock(0, _NONE),
)
"""Nothing is judged by it."""


def _bundle(recorded: Recorded, lots: Collection[bytes]) -> Bundle:
    return Bundle(
        chain_id=0,
        registry=b"",
        ledger=b"",
        ledger_id=_NONE,
        contracts=(),
        headers=(),
        signatures=(),
        nodes=(),
        parts=tuple(sorted(lots)),
        histories=tuple(_history(recorded, name) for name in sorted(recorded.histories)),
        records=(),
    )


def _history(recorded: Recorded, name: bytes) -> HistoryShown:
    shown, left_out = recorded.histories[name], set(recorded.left_out.get(name, ()))
    links = (_LEFT_OUT if number in left_out else number for number in sorted((*shown, *left_out)))
    return HistoryShown(name, tuple(links))
