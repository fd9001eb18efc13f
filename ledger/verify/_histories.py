"""Step 5: the records are all that the histories contain, each once and in order."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from millmark.ledger.bundle import Bundle, HistoryShown, RecordShown, WithheldRecord
from millmark.ledger.events import HISTORY_EVENTS, Event, topic_of
from millmark.ledger.heads import inner_of, link, start_of
from millmark.ledger.verify._abi import MalformedError, decode
from millmark.ledger.verify._state import Entry
from millmark.ledger.verify.refusals import HeadsRefused

__all__ = ["verify_histories"]


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
