"""Recalls: everything that a bad model, lot or machine affects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import answers
from millmark.ledger.provenance.answers import Holder, Recall, RecallCounts
from millmark.ledger.provenance.permissions import MAX_RECALLED, Limits
from millmark.ledger.provenance.reader import (
    LookupGround,
    Nearest,
    Reader,
    build_unknown,
    find_machine,
    find_subject,
    open_reader,
    parse_machine,
    verify_name,
    verify_number,
)
from millmark.ledger.provenance.traces import build_lot, build_orders
from millmark.ledger.records import CertificateStatus, LotState
from millmark.ledger.store import Store
from millmark.ledger.store import rows as tables


@dataclass(frozen=True, slots=True)
class _Cause:
    """What is recalled, and the lots that it affects directly."""

    lots: list[bytes]
    model: answers.Model | None = None
    lot: answers.Lot | None = None
    machine: answers.Machine | None = None
    since: datetime | None = None
    until: datetime | None = None
    certificates: tuple[answers.Certificate, ...] | None = None
    """None for all certificates on the affected lots."""
    cuts: tuple[answers.Cut, ...] = ()


def recall(
    store: Store,
    *,
    model: int | None = None,
    lot: str | bytes | None = None,
    machine: int | str | bytes | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limits: Limits = MAX_RECALLED,
    viewer: int | None = None,
) -> Recall:
    """Find what is affected by a bad model, lot or machine, and all lots that were made from that.

    Affected are all lots that a model certified; a lot and its contents; or the lots that a machine made or measured
    from `since` to `until`, both included. `lot` is an identifier or subject, `machine` a number, identifier or
    subject. For a `viewer`, the number of a participant, only models that it registered or approved, lots that it made
    or held, and machines that it owns are found.

    Raises InputError unless exactly one of the three is given, with both times for a machine and with none otherwise;
    IdentifierError for a malformed name; NotFoundError if it is unknown.
    """
    if sum(one is not None for one in (model, lot, machine)) != 1:
        raise InputError(LookupGround.NOT_ONE_CAUSE.write(), hint="give one of them")
    since, until = (None if moment is None else _in_utc(moment) for moment in (since, until))
    _verify_span(machine is not None, since, until)
    if model is not None:
        verify_number("model", model)
    if lot is not None:
        verify_name(lot)
    if machine is not None:
        machine = parse_machine(machine)
    with open_reader(store, viewer) as reader:
        if model is not None:
            cause = _blame_model(reader, model)
        elif lot is not None:
            subject = find_subject(reader, lot, SubjectKind.LOT)[1]
            # Seeing a lot is not enough: a recall lists everything that was made from it.
            if reader.visibility is not None and not reader.visibility.held([subject]):
                raise build_unknown(reader, lot)
            cause = _blame_lot(reader, subject, limits)
        else:
            assert machine is not None  # noqa: S101  # narrows the types: one of the three is given, and a machine
            assert since is not None  # noqa: S101  # has both moments
            assert until is not None  # noqa: S101  # narrows the type
            cause = _blame_machine(reader, machine, since, until)
        return _follow(reader, cause, limits)


def _in_utc(moment: datetime) -> datetime:
    """Convert to UTC. Raises InputError for a time without a time zone, and for one outside the years 1 to 9999."""
    if moment.tzinfo is None:
        raise InputError(LookupGround.MOMENT_ZONELESS.write(moment=moment), hint="add one, such as Z or +01:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InputError(LookupGround.MOMENT_BEYOND.write(moment=moment), hint="use a time within them") from None


def _verify_span(of_machine: bool, since: datetime | None, until: datetime | None) -> None:
    given = [moment for moment in (since, until) if moment is not None]
    if of_machine and len(given) < 2:
        raise InputError(LookupGround.PERIOD_MISSING.write(), hint="give its first and last moment")
    if given and not of_machine:
        raise InputError(LookupGround.PERIOD_UNUSED.write(), hint="name a machine, or leave the period out")
    if given and given[0] > given[1]:
        raise InputError(
            LookupGround.PERIOD_BACKWARDS.write(since=_show(given[0]), until=_show(given[1])),
            hint="give the earlier time first",
        )


def _show(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _blame_model(reader: Reader, model: int) -> _Cause:
    known = reader.rows.get(tables.ModelRow, model)
    # The same error for an unknown model and for one that the viewer must not see.
    seen = reader.visibility
    if known is None or not (seen is None or seen.participant in (known.inspector, known.approver)):
        raise NotFoundError(
            f"record {model} registered no model up to block {reader.cursor.block_number}",
            hint="use the sequence of the record that registered it",
        )
    rows = reader.rows.find(tables.CertificateRow, model=model)
    lots = sorted({row.lot for row in rows})
    return _Cause(lots, model=reader.model(model), certificates=reader.certificates(rows))


def _blame_lot(reader: Reader, lot: bytes, limits: Limits) -> _Cause:
    contents, cuts = reader.nearest("contents", reader.lineage.contents, [lot], limits)
    lots = [lot, *(inner for inner, _ in contents)]
    return _Cause(lots, lot=build_lot(reader, reader.lot(lot)), cuts=cuts)


def _blame_machine(reader: Reader, name: int | str | bytes, since: datetime, until: datetime) -> _Cause:
    """Find the lots that a machine made or measured in a period. Made: the lots of its assignments that were open at
    some time in it. Measured: the lots whose certificates refer to evidence that was added to its streams in it."""
    # Records have the time at which they were made, not that of the work, so an assignment or an interval between two
    # anchors that only overlaps with the period is included as a whole. A recall must rather list too much.
    machine = find_machine(reader, name)
    first_s, last_s = int(since.timestamp()), int(until.timestamp())
    # By bounds that an index has, so that a machine's whole history is not read. Work is accepted before it is started.
    accepted = {"accepted_at": last_s}
    candidates = reader.rows.within(tables.AssignmentRow, {}, accepted, machine=machine.number, ended_at=0)
    candidates += reader.rows.within(
        tables.AssignmentRow, {"ended_at": max(first_s, 1)}, accepted, machine=machine.number
    )
    open_then = [row.sequence for row in candidates if 0 < (row.started_at or row.accepted_at) <= last_s]
    made = {row.subject for row in reader.rows.among(tables.LotRow, "assignment", open_then)}
    measured = set(_measured(reader, machine.number, first_s, last_s))
    return _Cause(sorted(made | measured), machine=reader.machine(machine.number), since=since, until=until)


def _measured(reader: Reader, machine: int, first_s: int, last_s: int) -> Iterator[bytes]:
    """The lots whose certificates refer to a leaf that was added between two anchors, an interval that overlaps with
    the period. Times in seconds since 1970."""
    for stream in reader.rows.find(tables.StreamRow, machine=machine):
        # Anchors grow in size and time alike, so the leaves of the period are those from one size to another.
        before = reader.rows.latest_before(tables.AnchorRow, "anchored_at", first_s, stream=stream.subject)
        after = reader.rows.first_after(tables.AnchorRow, "anchored_at", last_s, stream=stream.subject)
        if stream.opened_at > last_s:
            continue
        first, end = 0 if before is None else before.size, stream.size if after is None else after.size
        leaves = {"leaf_index": first}, {"leaf_index": end - 1}
        found = reader.rows.within(tables.CertificateRow, *leaves, stream=stream.subject)
        yield from reader.rows.values(tables.CertifiedLotRow, "lot", "certificate", (row.sequence for row in found))


def _follow(reader: Reader, cause: _Cause, limits: Limits) -> Recall:
    made, cut = reader.nearest("lots", reader.lineage.downstream, cause.lots, limits)
    reached: Nearest = [*((subject, 0) for subject in cause.lots), *made]
    lots = reader.related(reached)
    certificates = cause.certificates
    if certificates is None:
        certificates = reader.certificates_of([lot.subject for lot in lots])
    orders = build_orders(reader, {lot.order for lot in lots if lot.order is not None})
    holders = _holders(lots)
    return Recall(
        as_of=reader.as_of(),
        model=cause.model,
        lot=cause.lot,
        machine=cause.machine,
        since=cause.since,
        until=cause.until,
        counts=RecallCounts(
            lots=len(lots),
            unspent=sum(holder.lots for holder in holders),
            quarantined=sum(holder.quarantined for holder in holders),
            certificates=len(certificates),
            valid=sum(one.status is CertificateStatus.VALID for one in certificates),
            orders=len(orders),
            holders=len(holders),
        ),
        certificates=certificates,
        lots=lots,
        orders=orders,
        holders=holders,
        truncated=bool(cause.cuts or cut),
        cuts=(*cause.cuts, *cut),
    )


def _holders(lots: tuple[answers.RelatedLot, ...]) -> tuple[Holder, ...]:
    found: dict[int, Holder] = {}
    for lot in lots:
        if lot.state is not LotState.SPENT:
            party = lot.holder
            known = found.get(party.participant, Holder(party.participant, party.name, 0, 0))
            found[party.participant] = replace(
                known, lots=known.lots + 1, quarantined=known.quarantined + lot.quarantined
            )
    return tuple(found[participant] for participant in sorted(found))
