"""`millmark custody`: who has what, and from whom to whom it goes.

A command that names several lots finds all of them before it records anything: a name that is wrong, or not here yet,
leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from millmark.ledger.errors import InputError
from millmark.services.commands.acts.act import Done, Group, Listing
from millmark.services.commands.acts.options import Claims, Company, LotNames, Reason
from millmark.services.commands.acts.words import name_of, party, quantity_of, read_claims, reason_of

if TYPE_CHECKING:
    from millmark.services.commands.acts.names import At

CUSTODY = Group("custody", "Hand lots on, with all that is packed in them, and take them.")


def register(app: typer.Typer) -> None:
    app.add_typer(CUSTODY.app, name=CUSTODY.name)


@CUSTODY.act("offer", "millmark custody offer pallet-1 --to Carrier")
def offer(at: At, lots: LotNames, to: Company, claims: Claims = None) -> Iterator[Done]:
    """Offer lots to another company, each with all that is packed in it. They are yours until it accepts."""
    company, said = at.participant(to), read_claims(claims)
    for lot, items in [(lot, at.consignment(lot)) for lot in lots]:
        done = at.gateway.offer_custody(lots=items, to=company, claims=said)
        yield Done(done, f"lot {lot}{_with(items)} is offered to {to}", f"there: millmark custody accept {lot}")


@CUSTODY.act("accept", "millmark custody accept pallet-1")
def accept(
    at: At,
    lots: LotNames,
    only: Annotated[int | None, typer.Option(min=1, help="How much of one lot is taken; the rest stays.")] = None,
    reason: Annotated[str | None, typer.Option(help="With --only: why not all.")] = None,
    claims: Claims = None,
) -> Iterator[Done]:
    """Accept lots that are offered to you, each with all that is packed in it."""
    if (only is None) is not (reason is None) or (only is not None and len(lots) > 1):
        raise InputError("one lot is accepted in part, for a reason", hint="give one lot, --only and --reason")
    for lot, number, items in [(lot, at.offered(lot)[0], at.consignment(lot)) for lot in lots]:
        if only is None:
            done = at.gateway.accept_custody(lots=items, offer=number, claims=read_claims(claims))
            yield Done(done, f"lot {lot}{_with(items)} is yours", _onward(lot))
        else:
            told = reason_of(str(reason))
            done = at.gateway.accept_in_part(lots=items, offer=number, accepted=only, reason=told)
            yield Done(done, f"{only} of lot {lot} is yours", _onward(lot))


@CUSTODY.act("decline", "millmark custody decline pallet-1 --reason 'the seal is broken'")
def decline(at: At, lots: LotNames, reason: Reason) -> Iterator[Done]:
    """Decline lots that are offered to you. They stay with who offers them."""
    for lot, (number, found) in [(lot, at.offered(lot)) for lot in lots]:
        done = at.gateway.decline_custody(found["subject"], offer=number, reason=reason_of(reason))
        yield Done(done, f"lot {lot} is declined")


@CUSTODY.act("withdraw", "millmark custody withdraw pallet-1 --reason 'the wrong pallet'")
def withdraw(at: At, lots: LotNames, reason: Reason) -> Iterator[Done]:
    """Withdraw the offer of lots."""
    for lot, subject in zip(lots, at.lots(lots), strict=True):
        done = at.gateway.withdraw_custody(subject, reason=reason_of(reason))
        yield Done(done, f"the offer of lot {lot} is withdrawn")


@CUSTODY.act("reclaim", "millmark custody reclaim pallet-1 --reason 'the carrier is insolvent'")
def reclaim(at: At, lots: LotNames, reason: Reason) -> Iterator[Done]:
    """Reclaim lots from a company that has not been able to act for 14 days."""
    for lot, items in [(lot, at.consignment(lot)) for lot in lots]:
        done = at.gateway.reclaim_custody(lots=items, reason=reason_of(reason))
        yield Done(done, f"lot {lot}{_with(items)} is reclaimed")


@CUSTODY.list("list", "millmark custody list", of="offers", whole=True)
def list_offers(at: At) -> Listing:
    """List the offers that stand, to you and from you."""
    columns = {
        "lot": name_of,
        "quantity": quantity_of,
        "from": lambda one: party(one["holder"]),
        "to": lambda one: party(one["counterparty"]),
        "offer": lambda one: one["offer"],
    }
    found = (one for word in ("offered", "returning") for one in at.gateway.iterate_lots(state=word))
    # What is packed in a lot goes with it.
    offered = (one for one in found if one["parent"] is None)
    return Listing("offers", offered, columns)


def _onward(lot: str) -> str:
    return f"millmark custody offer {lot} --to COMPANY, or if it was made for you: millmark orders confirm ORDER {lot}"


def _with(items: list[str]) -> str:
    return f" with {len(items) - 1} packed in it" if len(items) > 1 else ""
