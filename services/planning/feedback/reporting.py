"""What a company itself reports of its machine: an entry of the machine's stream, which the cause names as evidence."""

from __future__ import annotations

from millmark.ledger.canonical import Json
from millmark.ledger.errors import InputError
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.records import Anchor
from millmark.services.planning.feedback.causes import MachineCause
from millmark.services.planning.feedback.taking import Queue, find_kept_stream
from millmark.services.planning.papers import seal_event
from millmark.services.planning.reading import Shelf

REPORTED = (CauseKind.MACHINE_DOWN, CauseKind.DRIFT)
"""What no record of the ledger shows by itself."""


def name_report(form: str) -> str:
    """The key of the anchor of what a form reports."""
    return f"feedback/report/{form}"


def report_event(
    shelf: Shelf,
    me: int,
    machine: int,
    kind: str,
    text: str,
    now_s: int,
    queue: Queue,
    *,
    captured: bool = False,
    form: str = "",
) -> MachineCause:
    """Writes what happened into the machine's stream, and has it anchored. Raises InputError for a kind that records
    show by themselves, and for a machine without a stream of the company to which this gateway writes. `captured`:
    whether a node captures the company's streams. `form`: the name of the form that says so, if one does."""
    if kind not in REPORTED:
        raise InputError(f"a cause of kind {kind[:40]!r} cannot be reported", hint=f"report {' or '.join(REPORTED)}")
    own = find_kept_stream(shelf, me, machine, captured=captured)
    entry: dict[str, Json] = {"cause": kind, "machine": machine, "text": text, "at": now_s}
    sealed = seal_event(shelf.connection, own, entry)
    key = name_report(form) if form else f"feedback/anchor/{own.subject.hex()}/{sealed.size:013d}"
    queue(shelf.connection, key, Anchor(own.subject, sealed.size, sealed.root))
    place = None, own.subject, sealed.first, sealed.leaves[0]
    return MachineCause(CauseKind(kind), machine, text, now_s, now_s, *place)
