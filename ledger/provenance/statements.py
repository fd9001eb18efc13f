"""The statements that a report on a bundle would make about lots, made from the index, so that pages say the same of a
part, in the same words, whether they have a proof or not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from millmark.ledger.errors import MillmarkError, StoreDamagedError
from millmark.ledger.events import Event
from millmark.ledger.events.orders import AssignmentFinished
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.bundles import Selection, TooManyRecordsError, select_few
from millmark.ledger.provenance.openings import find_shared
from millmark.ledger.provenance.permissions import Limits
from millmark.ledger.provenance.reader import HINT_INDEX, Direction, LookupGround, Reader, open_reader, verify_name
from millmark.ledger.provenance.traces import build_trace
from millmark.ledger.records import Contract, LotState, ModelState
from millmark.ledger.slots import KeySlots, MachineSlots, ModelSlots, ParticipantSlots, StreamSlots
from millmark.ledger.store import Store
from millmark.ledger.store import rows as tables
from millmark.ledger.verify import Statement, VerificationError
from millmark.ledger.verify._state import Entry, Proved
from millmark.ledger.verify.recorded import Left, Measured, Recorded, tell

MAX_RECORDS = 5_000
"""Most records that statements are made from while a reader waits; `millmark bundle` has no such limit."""
_FINISHED = AssignmentFinished.__name__


@dataclass(frozen=True, slots=True)
class StatedTrace:
    """A trace, and what there is to say about its lots."""

    trace: answers.Trace | answers.OrderTrace
    statements: tuple[Statement, ...]
    """About the lot, or what the order came to: how each stands, what needs attention, and where it came from."""
    failure: MillmarkError | None
    """Why there are no statements: too many records, or a damaged index. None if there are."""


def tell_trace(
    store: Store, name: str | bytes, *, direction: Direction, limits: Limits, viewer: int | None = None
) -> StatedTrace:
    """Like `trace`, with the statements about the lot or the order's lots. Raises as `trace` does."""
    verify_name(name)
    with open_reader(store, viewer) as reader:
        found = build_trace(reader, name, direction, limits)
        try:
            return StatedTrace(found, build_statements(reader, _subjects(found), found.assignments), None)
        except (TooManyRecordsError, StoreDamagedError) as error:
            return StatedTrace(found, (), error)


def _subjects(found: answers.Trace | answers.OrderTrace) -> list[bytes]:
    """The lots that an answer is about. Of an order's, those of which nothing is left but what others were made of are
    told of as the origin of these."""
    if isinstance(found, answers.Trace):
        return [found.lot.subject]
    used = {taken.lot for step in found.transformations for taken in step.inputs}
    return [one.subject for one in found.lots if one.state is not LotState.SPENT or one.subject not in used]


def build_statements(
    reader: Reader, lots: Collection[bytes], assignments: Collection[answers.Assignment] = ()
) -> tuple[Statement, ...]:
    """The statements about lots, what needs attention, and where they came from, at the last indexed block. What else
    on the ledger rests on a measurement of theirs, or of `assignments`, is told, too.

    Raises TooManyRecordsError if more than MAX_RECORDS records are about them and what they came from, and
    StoreDamagedError if these break the contracts' rules.
    """
    found = select_few(reader.rows, lots, reader.cursor.block_number, MAX_RECORDS)
    try:
        return tell(_recorded(reader, found), lots, _measured(reader, found, assignments))
    except VerificationError as error:
        raise StoreDamagedError(LookupGround.INDEX_DAMAGED.write(words=error.cause), hint=HINT_INDEX) from error


def _measured(reader: Reader, found: Selection, assignments: Collection[answers.Assignment]) -> Iterator[Measured]:
    """Measurements of these records or assignments that records elsewhere name as well."""
    named: dict[bytes, set[int]] = defaultdict(set)
    for event in found.events.values():
        if (leaf := event.leaf()) is not None:
            named[leaf.stream].add(leaf.index)
    for one in assignments:
        if one.stream is not None and one.leaf_index is not None:
            named[one.stream].add(one.leaf_index)
    for shared in find_shared(reader, named):
        records = {*shared.certificates, *_finishes(reader, shared.assignments)}
        if shared.others or not found.events.keys() >= records:
            yield Measured(shared.stream, shared.leaf_index, tuple(sorted(records)), shared.others)


def _finishes(reader: Reader, assignments: Collection[int]) -> set[int]:
    """The records that finished assignments."""
    orders = reader.rows.values(tables.AssignmentRow, "order", "sequence", assignments)
    links = reader.rows.values(tables.RecordHistoryRow, "sequence", "subject", orders)
    rows = reader.rows.among(tables.RecordRow, "sequence", links, contract=Contract.LEDGER.value, kind=_FINISHED)
    return {row.sequence for row in rows if getattr(row.event(), "assignment", None) in assignments}


def _recorded(reader: Reader, found: Selection) -> Recorded:
    machines = reader.rows.among(tables.MachineRow, "number", found.machines)
    reader.name([*found.histories, *(row.subject for row in machines)])
    named = {name: reader.identifier(name) for name in (*found.histories, *(row.subject for row in machines))}
    rows = reader.rows.among(tables.LotRow, "subject", (name for name, left_out in found.left_out.items() if left_out))
    parties = map(reader.party, (*found.participants, *(row.owner for row in machines)))
    return Recorded(
        histories=found.histories,
        left_out=found.left_out,
        left={row.subject: Left(LotState(row.state), row.quantity) for row in rows},
        entries=[_entry(row, found) for row in found.shown()],
        registered=_registered(reader, found, machines),
        identifiers={name: identifier for name, identifier in named.items() if identifier},
        participants={one.participant: one.name for one in parties if one.name},
        block_number=reader.cursor.block_number,
        block_time=reader.cursor.block_time,
    )


def _entry(row: tables.RecordRow, found: Selection) -> Entry[Event]:
    return Entry(
        event=found.events[row.sequence],
        sequence=row.sequence,
        participant=row.participant,
        key=row.key,
        time=row.block_time,
        histories=found.touched[row.sequence],
    )


def _registered(reader: Reader, found: Selection, machines: Collection[tables.MachineRow]) -> Proved:
    rows = reader.rows
    return Proved(
        heads={},
        participants={
            one.number: _participant(one) for one in rows.among(tables.ParticipantRow, "number", found.participants)
        },
        keys={one.address: _key(one) for one in rows.among(tables.KeyRow, "address", found.keys)},
        machines={one.number: MachineSlots(one.owner, one.retired_at) for one in machines},
        models={one.number: _model(one) for one in rows.among(tables.ModelRow, "number", found.models)},
        streams={
            one.subject: StreamSlots(one.sequence, one.machine, one.owner, one.size, one.root)
            for one in rows.among(tables.StreamRow, "subject", found.streams)
        },
        named_machines={one.subject: one.number for one in machines if reader.identifier(one.subject)},
        name_keys={},
        taken={},
    )


def _participant(row: tables.ParticipantRow) -> ParticipantSlots:
    return ParticipantSlots(
        roles=row.roles,
        keys=row.keys,
        admins=0,
        name_keys=0,
        generation=0,
        suspended=row.suspended,
        departed=row.departed,
        sequence=row.sequence,
        inactive_since=row.inactive_since,
    )


def _key(row: tables.KeyRow) -> KeySlots:
    return KeySlots(
        participant=row.participant,
        roles=row.roles,
        admin=row.admin,
        generation=0,
        added_at=row.added_at,
        revoked_at=row.revoked_at,
        compromised_since=row.compromised_since,
        declared_at=row.declared_at,
    )


def _model(row: tables.ModelRow) -> ModelSlots:
    return ModelSlots(
        inspector=row.inspector,
        approver=row.approver,
        state=ModelState(row.state),
        open=row.open,
        retired_at=row.retired_at,
        withdrawn_at=row.withdrawn_at,
        defective_since=row.defective_since,
        digest=row.digest,
        code=row.code or bytes(20),
    )
