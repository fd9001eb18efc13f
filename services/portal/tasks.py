"""What each task is about, and the acts that do it: for the work list, and for what an order waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millmark.ledger.ids import SubjectKind
from millmark.ledger.provenance import open_reader
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.provenance.worklist import Task, Todo, Wait, find_waits
from millmark.ledger.store.rows import OrderRow
from millmark.services.access import Principal
from millmark.services.portal.acting.acting import Acting, Offer
from millmark.services.portal.acting.things import About, find_thing

__all__ = ["Pending", "find_doing", "find_pending"]

TASKS: Mapping[Task, tuple[About, tuple[str, ...]]] = {
    Task.ACCEPT_ORDER: (About.ORDER, ("acceptOrder", "rejectOrder")),
    Task.AGREE_REVISION: (About.ORDER, ("acceptRevision",)),
    Task.AGREE_END: (About.ORDER, ("endOrder",)),
    Task.SEND_BACK: (About.LOT, ("returnLot", "releaseLot")),
    Task.REWORK: (About.LOT, ("reworkLot", "reworkAnew", "returnLot", "releaseLot", "scrapLot")),
    Task.ASSIGN_REWORK: (About.ORDER, ("proposeAssignment",)),
    Task.REASSIGN: (About.ORDER, ("proposeAssignment",)),
    Task.ASSIGN: (About.ORDER, ("proposeAssignment",)),
    Task.ACCEPT_WORK: (About.ASSIGNMENT, ("acceptAssignment", "declineAssignment")),
    Task.START_WORK: (About.ASSIGNMENT, ("startAssignment",)),
    Task.FINISH_WORK: (About.ASSIGNMENT, ("finishAssignment",)),
    Task.INSPECT: (About.LOT, ("certifyLot",)),
    Task.ACCEPT_CUSTODY: (About.LOT, ("acceptCustody", "acceptInPart", "declineCustody")),
    Task.ACCEPT_RETURN: (About.LOT, ("acceptCustody", "declineCustody")),
    Task.COMPLETE_ORDER: (About.ORDER, ("completeOrder",)),
    Task.HAND_OVER: (About.LOT, ("offerCustody",)),
    Task.CONFIRM_DELIVERY: (About.ORDER, ("confirmDelivery",)),
    Task.OPEN_CERTIFICATE: (About.CERTIFICATE, ("openCertificate",)),
    Task.APPROVE_MODEL: (About.MODEL, ("approveModel",)),
    Task.RECOVERY: (About.NOTHING, ("objectToRecovery",)),
    Task.ANSWER_NOTICE: (About.NOTHING, ()),
}
"""What each task is about, and the acts that do it. One without acts is done on the command line, as its text says."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Something that an order waits for, with the buttons for whoever may do it."""

    wait: Wait
    identifier: str | None
    """Identifier of the lot that it is about."""
    offers: tuple[Offer, ...]


def find_doing(
    acting: Acting, reader: Reader, principal: Principal, todo: Todo | Wait
) -> tuple[str, tuple[Offer, ...]]:
    """The page of what a task is about, and the buttons that do it; empty if there are none."""
    about, names = TASKS[todo.task]
    key = _key(todo, about)
    if about is About.NOTHING and names:
        scene = acting.scene(reader, principal, find_thing(reader, about, "", ""))
        return "", acting.offers(principal, scene, *names)
    if about is About.NOTHING or not key:
        case = todo.case if isinstance(todo, Todo) else None
        return f"/portal/cases/{case}" if case else "", ()
    thing = find_thing(reader, about, key, key)
    offers = acting.offers(principal, acting.scene(reader, principal, thing), *names) if names else ()
    return thing.path, tuple(one for name in names for one in offers if one.name == name)


def find_pending(acting: Acting, principal: Principal, order: bytes) -> tuple[Pending, ...]:
    """What an order waits for, as far as the caller may see it. Buttons for the order itself are left out: its page has
    them."""
    with open_reader(acting.store, principal.viewer) as reader:
        row = reader.rows.get(OrderRow, order)
        waits = () if row is None else find_waits(reader, [row], whole=True)
        lots = [one.lot for one in waits if one.lot is not None]
        seen = set(lots) if reader.visibility is None else set(reader.visibility.among(SubjectKind.LOT, lots))
        reader.name(seen)
        company, found = acting.desk.company(principal), []
        for wait in waits:
            if wait.lot is not None and wait.lot not in seen:
                continue
            offers: tuple[Offer, ...] = ()
            if wait.assignment is not None:
                # All that may be done about it: an assignment has no other page.
                thing = find_thing(reader, About.ASSIGNMENT, str(wait.assignment), str(wait.assignment))
                offers = acting.offers(principal, acting.scene(reader, principal, thing))
            elif wait.who.participant == company and TASKS[wait.task][0] is not About.ORDER:
                offers = find_doing(acting, reader, principal, wait)[1]
            found.append(Pending(wait, None if wait.lot is None else reader.identifier(wait.lot), offers))
        return tuple(found)


def _key(todo: Todo | Wait, about: About) -> str:
    if isinstance(todo, Wait):
        keys: dict[About, bytes | int | None] = {About.ORDER: todo.order, About.LOT: todo.lot}
    else:
        keys = {
            About.ORDER: todo.order,
            About.LOT: todo.lot,
            About.CERTIFICATE: todo.certificate,
            About.MODEL: todo.model,
        }
    key = {**keys, About.ASSIGNMENT: todo.assignment}.get(about)
    return key.hex() if isinstance(key, bytes) else str(key or "")
