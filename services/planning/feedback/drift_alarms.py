"""An inspector's drift alarm becomes a note on the ledger, which is a cause at the machine's owner.

What one model said of what one machine made is compared with the model's reference in groups, by the rule of
`quality.drift`: the alarm is given when a statistic is above its limit in two groups in a row. Every inspection counts
once, in the order of the ledger; after an alarm, the next one needs two new groups. So a model that inspects for many
machines blames the one that drifts.

Only what can be a cause counts: certificates of this company on what one machine made, at a gate of the lot's order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from ledger.canonical import Json
from ledger.claims import build_claims
from ledger.events import Event
from ledger.events.certificates import CertificateIssued
from ledger.plans.plan import CauseKind
from ledger.records import Note, NoteKind
from ledger.store.book_rows import InferenceRow
from ledger.store.feed import Feed
from ledger.store.rows import AssignmentRow, CertificateRow, LotRow, ModelRow, OrderRow, RecordRow, gates_of
from quality.errors import InputError
from services.planning.feedback.repository import FeedbackRepository, InspectionRow
from services.planning.feedback.taking import Queue
from services.planning.shelf import Shelf

if TYPE_CHECKING:
    from quality.drift import Drift

__all__ = ["DriftAlarms"]

_MOST = 2000
"""Inspections that wait for their measurements; the oldest of more are dropped."""
_NOTHING = bytes(32)


@dataclass(frozen=True, slots=True)
class DriftAlarms:
    """The alarms of one company's inspections, within one transaction."""

    shelf: Shelf
    me: int
    """Participant."""
    queue: Queue
    _kept: FeedbackRepository = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", FeedbackRepository(self.shelf.connection))

    def take(self, feed: Feed, record: RecordRow, event: Event) -> None:
        """Takes note of a final record, if it is a certificate of this company. Without numpy, nothing is compared."""
        if record.participant != self.me or not isinstance(event, CertificateIssued) or not _can_compare():
            return
        machine = self._find_machine(feed.histories([record.sequence]).get(record.sequence, []))
        if machine:
            model = event.statement.model
            row = self._kept.inspections(model, machine) or InspectionRow(model, machine, "[]", "[]", b"")
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
        from quality.drift import GROUP  # noqa: PLC0415 - numpy is optional

        waiting: list[int] = json.loads(row.waiting)
        if len(waiting) < GROUP:
            return []
        known = self.shelf.rows.values(InferenceRow, "certificate", "certificate", waiting)
        group = [one for one in waiting if one in known][:GROUP]
        return group if len(group) == GROUP else []

    def _compare(self, row: InspectionRow, group: Sequence[int]) -> InspectionRow:
        waiting = [one for one in json.loads(row.waiting) if one > group[-1]]
        left = replace(row, waiting=json.dumps(waiting), above="[]", first=b"")
        found = self._measure(row.model, group)
        if found is None:
            return left
        from quality.drift import ALARM_PSI  # noqa: PLC0415 - numpy is optional

        above = sorted(name for name, index in found.latest.items() if index > ALARM_PSI)
        first, last = self._find_ends(group, row.first)
        if alarms := [name for name in above if name in json.loads(row.above)]:
            self._note(row, alarms, found, group, (first, last))
            return left
        return replace(left, above=json.dumps(above), first=self._find_ends(group, b"")[0])

    def _measure(self, model: int, group: Sequence[int]) -> Drift | None:
        """The group beside the model's reference; None where that is not here, as the model's page says."""
        from services.inspections.model_health import measure_drift  # noqa: PLC0415 - numpy is optional

        row, kept = self.shelf.rows.get(ModelRow, model), self.shelf.book.inferences(group)
        try:
            return (
                None if row is None else measure_drift(self.shelf.book.model(row.digest), [kept[one] for one in group])
            )
        except InputError:
            return None

    def _find_ends(self, group: Sequence[int], before: bytes) -> tuple[bytes, bytes]:
        """Of the group, and of the one before: the lot that was begun first, and the one that was inspected last. What
        was measured began with the first."""
        lots = {row.sequence: row.lot for row in self.shelf.rows.among(CertificateRow, "sequence", group)}
        named = {*lots.values(), *filter(None, [before])}
        rows = {row.subject: row for row in self.shelf.rows.among(LotRow, "subject", named)}
        works = {row.sequence: row for row in self._works(list(rows.values()))}

        def begun(lot: bytes) -> tuple[int, int]:
            work = works.get(rows[lot].assignment)
            return (work.started_at if work else 0) or rows[lot].created_at, rows[lot].sequence

        return min(rows, key=begun), lots[group[-1]]

    def _works(self, lots: Sequence[LotRow]) -> list[AssignmentRow]:
        return self.shelf.rows.among(AssignmentRow, "sequence", {lot.assignment for lot in lots})

    def _find_machine(self, subjects: Sequence[bytes]) -> int:
        """The machine that made all of these lots, of orders at which the company inspects; 0 if there is none."""
        lots = self.shelf.rows.among(LotRow, "subject", subjects)
        machines = {row.machine for row in self._works(lots)}
        if len(machines) != 1 or not lots or not all(map(self._inspects, lots)):
            return 0
        return machines.pop()

    def _inspects(self, lot: LotRow) -> bool:
        order = None if lot.order is None or not lot.assignment else self.shelf.rows.get(OrderRow, lot.order)
        return order is not None and any(gate.inspector == self.me for gate in gates_of(order))

    def _note(
        self, row: InspectionRow, alarms: Sequence[str], found: Drift, group: Sequence[int], lots: Sequence[bytes]
    ) -> None:
        """Queues the note about the first and the last of what was measured, and keeps its document."""
        named = sorted(set(lots))
        orders = {lot.subject: lot.order or _NOTHING for lot in self.shelf.rows.among(LotRow, "subject", named)}
        indices: dict[str, Json] = {name: round(1000 * found.latest[name]) for name in alarms}
        cause: dict[str, Json] = {
            "kind": CauseKind.DRIFT.value,
            "machine": row.machine,
            "model": row.model,
            "inspections": 2 * len(group),
            "last_certificate": group[-1],
            "psi_per_mille": indices,
        }
        text = f"model {row.model} on machine {row.machine}: drift of {', '.join(alarms)}"[:200]
        claims = build_claims({"cause": cause, "text": text})
        self.shelf.book.put_document(claims.root, json.dumps(claims.to_json()))
        note = Note(tuple(named), tuple(orders[one] for one in named), NoteKind.DRIFT, claims.root)
        # Named by what was measured, so that two processes on one database queue one note.
        key = f"feedback/drift/{row.model}/{row.machine}/{group[-1]}"
        self.queue(self.shelf.connection, key, note)


def _can_compare() -> bool:
    return find_spec("numpy") is not None
