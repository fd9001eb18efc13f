"""An inspector's drift alarm becomes a note on the ledger, which is a cause at the machine's owner.

What one model said of what one machine made is compared in groups, by the rule of `millmark.quality.drift`: a change is
a statistic above its limit in two groups in a row. Every inspection counts once, in the order of the ledger. After a
change, the groups that showed it are what later ones are compared with, so that each change is noted once, however
long it lasts. The model's reference is what is usual, unless the machine's first two groups already differ from it:
then they are, since a machine that makes one variant of several has changed nothing. So a model that inspects for many
machines blames the one that drifts. A change beside fewer than `millmark.quality.drift.ACTING_ROWS` rows of reference
is not noted: a person sees the alarm on the model's page, and may note it.

Only what can be a cause counts: certificates of this company on what one machine made, at a gate of the lot's order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

from structlog.typing import FilteringBoundLogger

from millmark.ledger.canonical import Json
from millmark.ledger.claims import build_claims
from millmark.ledger.events import Event
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.records import Note, NoteKind
from millmark.ledger.store import rows
from millmark.ledger.store.repository import Feed
from millmark.quality.errors import QualityError
from millmark.services.planning.feedback.repository import MODELS, FeedbackRepository, InspectionRow
from millmark.services.planning.feedback.taking import Queue
from millmark.services.planning.reading import PlanningTables

_MOST = 2000
"""Inspections that wait for their measurements; the oldest of more are dropped."""
_NOTHING = bytes(32)


@dataclass(frozen=True, slots=True)
class DriftAlarms:
    """The alarms of one company's inspections, within one transaction."""

    tables: PlanningTables
    me: int
    """Participant."""
    queue: Queue
    logger: FilteringBoundLogger | None = None
    """Is told of inspections that could not be compared."""
    _kept: FeedbackRepository = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", FeedbackRepository(self.tables.connection))

    def take(self, feed: Feed, record: rows.RecordRow, event: Event) -> None:
        """Takes note of a final record, if it is a certificate of this company. Without numpy, nothing is compared."""
        if record.participant != self.me or not isinstance(event, CertificateIssued) or not _can_compare():
            return
        if not event.statement.model:
            return  # by a procedure, which measures nothing that could be compared
        machine = self._find_machine(feed.histories([record.sequence]).get(record.sequence, []))
        if machine:
            model = event.statement.model
            row = self._kept.inspections(model, machine) or InspectionRow(model, machine, "[]")
            waiting = [*json.loads(row.waiting), record.sequence][-_MOST:]
            self._kept.put_inspections(replace(row, waiting=json.dumps(waiting)))

    def is_idle(self) -> bool:
        """Whether no group is complete."""
        return not _can_compare() or not any(self._next_group(row) for row in self._kept.all_inspections())

    def go_on(self) -> None:
        """Compares the groups that are complete, and queues a note for each alarm."""
        for row in self._kept.all_inspections() if _can_compare() else ():
            while group := self._next_group(row):
                row = self._compare(row, group)
                self._kept.put_inspections(row)

    def _next_group(self, row: InspectionRow) -> list[int]:
        """Sequences of the next certificates that are compared together; empty if too few have their measurements
        here. A certificate's come after it is final, in the order of certificates, so one that was passed over has
        none here."""
        from millmark.quality.drift import GROUP  # noqa: PLC0415 - numpy is optional

        waiting: list[int] = json.loads(row.waiting)
        if len(waiting) < GROUP:
            return []
        known = self.tables.rows.values(rows.InferenceRow, "certificate", "certificate", waiting)
        group = [one for one in waiting if one in known][:GROUP]
        return group if len(group) == GROUP else []

    def _compare(self, row: InspectionRow, group: Sequence[int]) -> InspectionRow:
        waiting = json.dumps([one for one in json.loads(row.waiting) if one > group[-1]])
        both = [*json.loads(row.before or "[]"), *group]
        found = self._measure(row, both)
        if found is None:
            return replace(row, waiting=waiting, before="")
        left = replace(row, waiting=waiting, before=json.dumps(list(group)))
        if row.before and not row.usual:
            # Where the first two groups differ from the reference, the machine did not change while it was watched.
            return replace(left, before="", usual=found.state) if found.index else replace(left, usual=MODELS)
        if not found.index:
            return left
        if found.unusual and found.is_acting:
            self._note(row, found, both, self._find_ends(both))
        elif found.unusual and self.logger is not None:
            place = {"model": row.model, "machine": row.machine, "last_certificate": group[-1]}
            self.logger.warning("drift is not noted: the reference is small", **place, statistics=list(found.unusual))
        return replace(left, before="", latest=found.state)

    def _measure(self, row: InspectionRow, group: Sequence[int]) -> Change | None:
        """None where the inspections cannot be compared; why is on the model's page too."""
        model, kept = self.tables.rows.get(rows.ModelRow, row.model), self.tables.book.inferences(group)
        file = None if model is None else self.tables.book.model(model.digest)
        try:
            return find_change(file, [kept[one] for one in group], row.usual.removeprefix(MODELS), row.latest)
        except (QualityError, ValueError, ImportError) as error:
            # Files of models come from whoever trained them. One that cannot be read must not stop all feedback.
            if self.logger is not None:
                place = {"model": row.model, "machine": row.machine, "last_certificate": group[-1]}
                self.logger.warning("inspections were not compared", **place, error=str(error))
            return None

    def _find_ends(self, group: Sequence[int]) -> tuple[bytes, bytes]:
        """The lot of these certificates that was begun first, and the one that was inspected last. What was measured
        began with the first."""
        lots = {row.sequence: row.lot for row in self.tables.rows.among(rows.CertificateRow, "sequence", group)}
        made = {row.subject: row for row in self.tables.rows.among(rows.LotRow, "subject", set(lots.values()))}
        works = {row.sequence: row for row in self._works(list(made.values()))}

        def begun(lot: bytes) -> tuple[int, int]:
            work = works.get(made[lot].assignment)
            return (work.started_at if work else 0) or made[lot].created_at, made[lot].sequence

        return min(made, key=begun), lots[group[-1]]

    def _works(self, lots: Sequence[rows.LotRow]) -> list[rows.AssignmentRow]:
        return self.tables.rows.among(rows.AssignmentRow, "sequence", {lot.assignment for lot in lots})

    def _find_machine(self, subjects: Sequence[bytes]) -> int:
        """The machine that made all of these lots, of orders at which the company inspects; 0 if there is none."""
        lots = self.tables.rows.among(rows.LotRow, "subject", subjects)
        machines = {row.machine for row in self._works(lots)}
        if len(machines) != 1 or not lots or not all(map(self._inspects, lots)):
            return 0
        return machines.pop()

    def _inspects(self, lot: rows.LotRow) -> bool:
        order = None if lot.order is None or not lot.assignment else self.tables.rows.get(rows.OrderRow, lot.order)
        return order is not None and any(gate.inspector == self.me for gate in rows.gates_of(order))

    def _note(self, row: InspectionRow, found: Change, group: Sequence[int], lots: Sequence[bytes]) -> None:
        """Queues the note about the first and the last of what was measured, and keeps its document."""
        named = sorted(set(lots))
        orders = {lot.subject: lot.order or _NOTHING for lot in self.tables.rows.among(rows.LotRow, "subject", named)}
        indices: dict[str, Json] = {name: found.index[name] for name in found.unusual}
        cause: dict[str, Json] = {
            "kind": CauseKind.DRIFT.value,
            "machine": row.machine,
            "model": row.model,
            "inspections": len(group),
            "last_certificate": group[-1],
            "psi_per_mille": indices,
        }
        text = f"model {row.model} on machine {row.machine}: drift of {', '.join(found.unusual)}"[:200]
        claims = build_claims({"cause": cause, "text": text})
        self.tables.book.put_document(claims.root, json.dumps(claims.to_json()))
        note = Note(tuple(named), tuple(orders[one] for one in named), NoteKind.DRIFT, 0, claims.root)
        # Named by what was measured, so that two processes on one database queue one note.
        key = f"feedback/drift/{row.model}/{row.machine}/{group[-1]}"
        self.queue(self.tables.connection, key, note)


def _can_compare() -> bool:
    return find_spec("numpy") is not None


@dataclass(frozen=True, slots=True)
class Change:
    """What changed in two groups in a row."""

    index: Mapping[str, int]
    """The index of each statistic that changed, in the later group, in thousandths; empty if none did."""
    unusual: tuple[str, ...]
    """Those of them that are above the limit beside what is usual, in one of the groups at least."""
    is_acting: bool
    """Whether what is usual rests on enough rows for anything to follow without a person."""
    state: str
    """Reference made of the two groups, as JSON; empty if nothing changed."""


def find_change(
    file: rows.ModelFileRow | None, inferences: Sequence[rows.InferenceRow], usual: str, latest: str
) -> Change:
    """Needs numpy, which not every gateway has. Whether the machine differs from how it was at its latest change, or
    from what is usual if there was none. `inferences`: of one group, in which nothing can have changed yet, or of two.
    `usual` and `latest` are references as JSON; without `usual`, the one in the model's card counts, and without
    `latest`, what is usual. Raises QualityError, ValueError and ImportError for a model or card that cannot be read."""
    from millmark.quality.drift import ALARM_PSI, build_reference, parse_reference, watch  # noqa: PLC0415 - numpy
    from millmark.services.inspections.model_health import read_reference, read_statistics  # noqa: PLC0415 - numpy

    words, margins = read_statistics(file, inferences)
    reference = parse_reference(json.loads(usual)) if usual else read_reference(file)
    beside = watch(reference, words, margins)
    found = watch(parse_reference(json.loads(latest)), words, margins) if latest else beside
    if not found.alarms:
        return Change({}, (), reference.is_acting, "")
    # A machine that is again as it usually is has changed, but does not drift.
    unusual = tuple(sorted(name for name in found.alarms if any(one[name] > ALARM_PSI for one in beside.history)))
    index = {name: round(1000 * found.latest[name]) for name in found.alarms}
    return Change(index, unusual, reference.is_acting, json.dumps(build_reference(words, margins).describe()))
