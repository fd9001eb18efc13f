"""Step 6: replays the records, one by one, through the contracts' state machines.

It establishes that each participant was in the position that its record requires (buyer, owner, custodian ...), and
that each transition was possible after the earlier records. Not established: that participants had the roles at the
time. For that, only the contracts' code can be relied on, whose hash step 2 compares.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

from millmark.ledger.bundle import Bundle, HistoryShown, RecordShown, WithheldRecord
from millmark.ledger.events import HISTORY_EVENTS, Event, topic_of
from millmark.ledger.events.certificates import CertificateIssued, CertificateRevoked, NoteRecorded
from millmark.ledger.events.lots import LotReworked, LotsPacked, LotsTransformed, LotsUnpacked
from millmark.ledger.slots import inner_of, link, start_of
from millmark.ledger.verify._abi import MalformedError, decode
from millmark.ledger.verify._lot_rules import CUSTODY_RULES, LOT_RULES, NOTE_RULES, TRANSFORMATION_RULES, pass_withheld
from millmark.ledger.verify._order_rules import CERTIFICATE_RULES, ORDER_RULES
from millmark.ledger.verify._state import Entry, Proved, State, broken, hold
from millmark.ledger.verify.report import HeadsRefused, ReplayRefused

# Step 5: the records are all that the histories contain, each once and in order.


def verify_histories(bundle: Bundle, heads: Mapping[bytes, bytes]) -> list[Entry[Event]]:
    """Decode the records, oldest first, and verify that they result in the proved heads. Raises HeadsRefused."""
    entries = {record.sequence: _decode(record) for record in bundle.records}
    inners = {
        record.sequence: inner_of(
            sequence=record.sequence,
            participant=record.participant,
            key=entries[record.sequence].key,
            data=record.data,
            block_time=record.block_time,
        )
        for record in bundle.records
    }
    _verify_names(bundle.histories, entries)
    for history in bundle.histories:
        _verify_head(bundle, history, heads[history.subject], entries, inners)
    return list(entries.values())


def _decode(record: RecordShown) -> Entry[Event]:
    kind = HISTORY_EVENTS.get(record.kind)
    if kind is None:
        raise HeadsRefused(
            f"{record.kind} is not a known kind of record", sequence=record.sequence, hint="update this program"
        )
    # The contract's types. The inner hash pads numbers to 256 bits, so it alone would not exclude larger ones.
    if record.participant >> 32 or record.sequence >> 40 or not record.sequence:
        raise HeadsRefused("its numbers are out of range", sequence=record.sequence)
    try:
        key, histories, event = decode(kind, record.data)
    except MalformedError as error:
        raise HeadsRefused(f"its data are not those of a {record.kind}: {error}", sequence=record.sequence) from None
    return Entry(event, record.sequence, record.participant, key, record.block_time, histories)


def _verify_names(histories: Sequence[HistoryShown], entries: Mapping[int, Entry[Event]]) -> None:
    """Raises HeadsRefused unless each record is in exactly those of the bundle's histories that it names."""
    shown = {history.subject for history in histories}
    missing = {(name, entry.sequence) for entry in entries.values() for name in entry.histories if name in shown}
    placed: set[int] = set()
    for history in histories:
        numbers = [one for one in history.records if isinstance(one, int)]
        for number in numbers:
            if number not in entries:
                raise HeadsRefused("the record is missing", subject=history.subject, sequence=number)
            if history.subject not in entries[number].histories:
                cause = "the record does not belong to this history"
                raise HeadsRefused(cause, subject=history.subject, sequence=number)
            missing.discard((history.subject, number))
            placed.add(number)
        for one, two in itertools.pairwise(numbers):
            if one >= two:
                raise HeadsRefused(f"the history lists it after record {one}", subject=history.subject, sequence=two)
    # By name too: the order of a set differs from run to run, and the reason must not.
    for name, number in sorted(missing, key=lambda item: (item[1], item[0])):
        raise HeadsRefused("the record is left out of its history", subject=name, sequence=number)
    for number in entries:
        if number not in placed:
            raise HeadsRefused("the record belongs to no history in the bundle", sequence=number)


def _verify_head(
    bundle: Bundle,
    history: HistoryShown,
    proved: bytes,
    entries: Mapping[int, Entry[Event]],
    inners: Mapping[int, bytes],
) -> None:
    head, last = start_of(bundle.chain_id, bundle.ledger, bundle.ledger_id, history.subject), 0
    for one in history.records:
        if isinstance(one, WithheldRecord):
            # The link commits to the kind, so no other kind of record can be passed off as one that may be withheld.
            kind = HISTORY_EVENTS.get(one.kind)
            if kind is None or not kind.withholdable:
                raise HeadsRefused(f"a {one.kind} is withheld", subject=history.subject, sequence=last)
            head = link(head, topic_of(kind), one.inner)
        else:
            last = one
            head = link(head, entries[one].event.topic, inners[one])
    if head != proved:
        raise HeadsRefused(
            f"its {len(history.records)} records do not result in the proved head: "
            "one is missing, was changed or belongs elsewhere",
            subject=history.subject,
            sequence=last,
        )


_SEVERAL = (
    LotsTransformed,
    LotReworked,
    LotsPacked,
    LotsUnpacked,
    CertificateIssued,
    CertificateRevoked,
    NoteRecorded,
)
"""Kinds that enter several histories; every other kind enters one."""


RULES = ORDER_RULES | LOT_RULES | TRANSFORMATION_RULES | CUSTODY_RULES | CERTIFICATE_RULES | NOTE_RULES
"""The rule of each kind."""


def replay(bundle: Bundle, entries: Sequence[Entry[Event]], proved: Proved, time: int) -> State:
    """Replay all records of a bundle, and return the state after them. Raises ReplayRefused.

    Also verifies that the bundle's histories, and what it proves, are those that its parts need and no others. `time`
    is the proof block's, in seconds since 1970.
    """
    waiting = {(name, before): count for name, before, count in _withheld(bundle)}
    state = State(
        proved=proved,
        shown=frozenset(history.subject for history in bundle.histories),
        parts=frozenset(bundle.parts),
        with_withheld=frozenset(name for name, _ in waiting),
    )
    before = 0
    # By sequence, not history by history: a record is judged by the state of all that it touches.
    for entry in entries:
        hold(
            before <= entry.time <= time, entry, "it is older than the record before it, or newer than the proof block"
        )
        before = entry.time
        for name in entry.histories if waiting else ():
            _pass_withheld(state, name, waiting.pop((name, entry.sequence), 0))
        _apply(entry, state)
    for name, _ in list(waiting):
        _pass_withheld(state, name, waiting[name, 0])
    _verify_required(state)
    if (superfluous := proved.superfluous()) is not None:
        raise ReplayRefused(f"{superfluous} is proved, although no record names it")
    return state


def _withheld(bundle: Bundle) -> Iterator[tuple[bytes, int, int]]:
    """Yield (subject, sequence, count): `count` withheld records come right before record `sequence`, or at the end if
    0."""
    for history in bundle.histories:
        count = 0
        for one in (*history.records, 0):
            if isinstance(one, WithheldRecord):
                count += 1
            elif count:
                yield history.subject, one, count
                count = 0


def _pass_withheld(state: State, name: bytes, count: int) -> None:
    for _ in range(count):
        lot = state.lots.get(name)
        if lot is None or name in state.parts:
            raise ReplayRefused("a record that must be shown is withheld", subject=name)
        pass_withheld(lot, next(reversed(state.entries_of[name])))  # the latest: entries are added by sequence


def _apply(entry: Entry[Event], state: State) -> None:
    if len(entry.histories) != 1 and not isinstance(entry.event, _SEVERAL):
        raise broken(entry, f"a {entry.kind} of several histories")
    # The registry's owner is not a participant: what it may record, the rule of the kind says.
    if entry.participant or not isinstance(entry.event, NoteRecorded):
        _verify_signer(entry, state)
    RULES[type(entry.event)](entry, state)
    for name in entry.histories:
        if name not in state.shown:
            continue
        state.entries_of.setdefault(name, {})[entry.sequence] = entry


def _verify_signer(entry: Entry[Event], state: State) -> None:
    key = state.proved.key(entry, entry.key)
    state.proved.participant(entry, entry.participant)
    # Said only if it is so, like all that would be put together for every record.
    if key.participant != entry.participant:
        raise broken(entry, f"the key is of participant {key.participant}")
    hold(key.added_at <= entry.time, entry, "the key was added later")
    # Equal times are possible: the key may be added, or revoked, in the block of the record.
    hold(not key.revoked_at or key.revoked_at >= entry.time, entry, "the key was revoked before")


def _verify_required(state: State) -> None:
    required = set(_required(state))
    for name in sorted(state.shown - required):
        raise ReplayRefused("nothing in the bundle requires this history", subject=name)


def _required(state: State) -> Iterator[bytes]:
    waiting, seen = list(state.parts), set(state.parts)
    while waiting:
        name = waiting.pop()
        yield name
        lot = state.lots.get(name)
        # An order needs no further histories.
        if lot is None:
            if name in state.parts:
                raise ReplayRefused("the history of that lot is missing", subject=name)
            continue
        for next_ in (*lot.orders, *lot.inputs, *lot.parents):
            if next_ not in seen:
                seen.add(next_)
                waiting.append(next_)
