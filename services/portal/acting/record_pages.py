"""What became of a record that somebody asked for: queued, sent, final, or why the contract refused it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.store.outbox import OutboxState
from millmark.ledger.store.rows import LotRow, OrderRow, RecordRow
from millmark.services.portal.acting.acting import Acting, Offer
from millmark.services.portal.acting.acts import Act
from millmark.services.portal.acting.desk import RecordStatus
from millmark.services.portal.acting.outcomes import Outcome, find_outcome
from millmark.services.portal.acting.summaries import Value, named
from millmark.services.portal.forms import Forms
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import OWNER, Number, PageRoute
from millmark.services.portal.sign_in import safe_path

__all__ = ["RecordPages"]

_STEPS = (OutboxState.QUEUED, OutboxState.SENT, OutboxState.MINED, OutboxState.FINAL)
"""What a person is told of the way of a record."""
_REACHED = {
    OutboxState.QUEUED: 0,
    OutboxState.NONCED: 0,
    OutboxState.SIGNED: 0,
    OutboxState.SENT: 1,
    OutboxState.MINED: 2,
    OutboxState.FINAL: 3,
}
"""The step that a record has reached; others have left the way."""
_REFRESH_S = 2
_ANSWERED = (OutboxState.PAUSED, OutboxState.BLOCKED)
_SLOW_S = 15
"""How often a page is loaded again whose record waits for something else than the chain."""


@dataclass(frozen=True, slots=True)
class Link:
    """A thing that a record made or is about, with the path of its page."""

    path: str
    name: Value


@dataclass(frozen=True, slots=True)
class RecordPages:
    acting: Acting
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (PageRoute("/portal/records/{number}", self.show, OWNER),)

    def show(self, request: Request, number: Number, back: str = "/portal", form: str = "") -> Response:
        """The page of one record, which the form of that name led to. Raises NotFoundError."""
        status = self.acting.desk.status(number)
        state = OutboxState(status.state)
        act = self._find_act(form, status.kind)
        row = self._find_row(status)
        awaits = act is not None and bool(act.then) and state is OutboxState.FINAL
        # The index may be behind the chain, and then does not know yet what is so now, and what is possible next.
        behind = act is not None and state is OutboxState.FINAL and status.sequence is not None and row is None
        reloads = behind or not status.done
        values: dict[str, Any] = {
            "record": status,
            "state": state,
            "reloads": reloads,
            "way": tuple((step, _place(step, state)) for step in _STEPS),
            "links": self._links(status, row),
            "back": safe_path(back),
            "act": act,
            "outcome": self._find_outcome(row, act) if act is not None and row is not None else None,
            "next": self._find_next(request, act, row) if act is not None and awaits and row is not None else (),
        }
        # The browser loads the page again by itself, without a script.
        every = _SLOW_S if state in _ANSWERED else _REFRESH_S
        headers = {"Refresh": str(every)} if reloads else {}
        return self.pages.render(request, "record.html", headers=headers, forms=self.forms, **values)

    def _find_act(self, name: str, kind: str) -> Act | None:
        """The act of that name, if it makes records of this kind."""
        act = self.acting.acts.get(name)
        return act if act is not None and act.operation == f"{kind[:1].lower()}{kind[1:]}" else None

    def _find_row(self, status: RecordStatus) -> RecordRow | None:
        """The record as the index has it by now."""
        if status.sequence is None:
            return None
        with open_reader(self.acting.store) as reader:
            return reader.rows.get(RecordRow, status.contract, status.sequence)

    def _find_outcome(self, row: RecordRow, act: Act) -> Outcome | None:
        with open_reader(self.acting.store) as reader:
            return find_outcome(reader, row, lasts=bool(act.opens))

    def _find_next(self, request: Request, act: Act, row: RecordRow) -> tuple[Offer, ...]:
        """The button for the step that has to follow, if it is possible now."""
        return self.acting.offers_on(request.state.principal, act.about, row.subject.hex(), act.then)

    def _links(self, status: RecordStatus, row: RecordRow | None) -> tuple[Link, ...]:
        """The things that have a page by now."""
        with open_reader(self.acting.store) as reader:
            subjects = list(dict.fromkeys([*status.subjects, *([] if row is None else [row.subject])]))
            return tuple(link for one in subjects for link in _link(reader, one))


def _link(reader: Reader, subject: bytes) -> list[Link]:
    for kind, folder in ((OrderRow, "orders"), (LotRow, "lots")):
        if reader.rows.get(kind, subject) is not None:
            return [Link(f"/portal/{folder}/{subject.hex()}", Value("thing", named(reader, subject)))]
    return []


def _place(step: OutboxState, state: OutboxState) -> str:
    """Where a step stands: `done`, `now` or `open`."""
    reached = _REACHED.get(state, 0)
    place = _STEPS.index(step)
    if place < reached or state is OutboxState.FINAL:
        return "done"
    return "now" if place == reached else "open"
