"""`millmark custody`, `certificates` and `note`: who has what, what inspectors say of it, and what others say.

A command that names several lots finds all of them before it records anything: a name that is wrong, or not here yet,
leaves nothing half done.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import sha256, to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.records import NoteKind
from millmark.services.commands.acts import words
from millmark.services.commands.acts.act import At, Done, Group, Listing, declare_act
from millmark.services.files import read_bounded

CUSTODY = Group("custody", "Hand lots on, with all that is packed in them, and take them.")


def register(app: typer.Typer) -> None:
    for group in (CUSTODY, CERTIFICATES):
        app.add_typer(group.app, name=group.name)
    declare_act(app, "note", "millmark note A0006R --kind recall-notice --text 'stop using it'", note)


@CUSTODY.act("offer", "millmark custody offer pallet-1 --to Carrier")
def offer(at: At, lots: words.LotNames, to: words.Company, claims: words.Claims = None) -> Iterator[Done]:
    """Offer lots to another company, each with all that is packed in it. They are yours until it accepts."""
    company, said = at.participant(to), words.read_claims(claims)
    for lot, items in [(lot, at.consignment(lot)) for lot in lots]:
        done = at.gateway.offer_custody(lots=items, to=company, claims=said)
        yield Done(done, f"lot {lot}{_with(items)} is offered to {to}", f"there: millmark custody accept {lot}")


@CUSTODY.act("accept", "millmark custody accept pallet-1")
def accept(
    at: At,
    lots: words.LotNames,
    only: Annotated[int | None, typer.Option(min=1, help="How much of one lot is taken; the rest stays.")] = None,
    reason: Annotated[str | None, typer.Option(help="With --only: why not all.")] = None,
    claims: words.Claims = None,
) -> Iterator[Done]:
    """Accept lots that are offered to you, each with all that is packed in it."""
    if (only is None) is not (reason is None) or (only is not None and len(lots) > 1):
        raise InputError("one lot is accepted in part, for a reason", hint="give one lot, --only and --reason")
    for lot, number, items in [(lot, at.offered(lot)[0], at.consignment(lot)) for lot in lots]:
        if only is None:
            done = at.gateway.accept_custody(lots=items, offer=number, claims=words.read_claims(claims))
            yield Done(done, f"lot {lot}{_with(items)} is yours", _onward(lot))
        else:
            told = words.reason_of(str(reason))
            done = at.gateway.accept_in_part(lots=items, offer=number, accepted=only, reason=told)
            yield Done(done, f"{only} of lot {lot} is yours", _onward(lot))


@CUSTODY.act("decline", "millmark custody decline pallet-1 --reason 'the seal is broken'")
def decline(at: At, lots: words.LotNames, reason: words.Reason) -> Iterator[Done]:
    """Decline lots that are offered to you. They stay with who offers them."""
    for lot, (number, found) in [(lot, at.offered(lot)) for lot in lots]:
        done = at.gateway.decline_custody(found.subject, offer=number, reason=words.reason_of(reason))
        yield Done(done, f"lot {lot} is declined")


@CUSTODY.act("withdraw", "millmark custody withdraw pallet-1 --reason 'the wrong pallet'")
def withdraw(at: At, lots: words.LotNames, reason: words.Reason) -> Iterator[Done]:
    """Withdraw the offer of lots."""
    for lot, subject in zip(lots, at.lots(lots), strict=True):
        done = at.gateway.withdraw_custody(subject, reason=words.reason_of(reason))
        yield Done(done, f"the offer of lot {lot} is withdrawn")


@CUSTODY.act("reclaim", "millmark custody reclaim pallet-1 --reason 'the carrier is insolvent'")
def reclaim(at: At, lots: words.LotNames, reason: words.Reason) -> Iterator[Done]:
    """Reclaim lots from a company that has not been able to act for 14 days."""
    for lot, items in [(lot, at.consignment(lot)) for lot in lots]:
        done = at.gateway.reclaim_custody(lots=items, reason=words.reason_of(reason))
        yield Done(done, f"lot {lot}{_with(items)} is reclaimed")


@CUSTODY.list("list", "millmark custody list", of="offers", whole=True)
def list_offers(at: At) -> Listing:
    """List the offers that stand, to you and from you."""
    columns = {
        "lot": words.name_of,
        "quantity": words.quantity_of,
        "from": lambda one: words.party(one["holder"]),
        "to": lambda one: words.party(one["counterparty"]),
        "offer": lambda one: one["offer"],
    }
    found = (one for word in ("offered", "returning") for one in at.gateway.iterate_lots(state=word))
    # What is packed in a lot goes with it.
    offered = (one for one in found if one.parent is None)
    return Listing("offers", offered, columns)


def _onward(lot: str) -> str:
    return f"millmark custody offer {lot} --to COMPANY, or if it was made for you: millmark orders confirm ORDER {lot}"


def _with(items: list[str]) -> str:
    return f" with {len(items) - 1} packed in it" if len(items) > 1 else ""


CERTIFICATES = Group("certificates", "Certify lots by a procedure, revoke certificates, waive gates.")
CERTIFICATE_COLUMNS = {
    "certificate": lambda one: one["certificate"],
    "lot": words.name_of,
    "verdict": lambda one: one["verdict"],
    "status": words.status,
    "inspector": lambda one: words.party(one["inspector"]),
    "by": lambda one: "procedure" if one["model"] is None else f"model {one['model']['model']}",
    "issued": lambda one: words.when(one["issued_at"]),
}
_MAX_PROCEDURE_BYTES = 64 << 20
Number = Annotated[int, typer.Argument(metavar="CERTIFICATE", min=1, help="Its number: `millmark certificates list`.")]


class Verdict(enum.Enum):
    """What an inspector says."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"


@CERTIFICATES.act(
    "issue",
    "millmark certificates issue A6 --verdict pass --procedure iso.pdf --until 2027-12-01 --stream gauge --event g-7",
)
def issue(
    at: At,
    lots: words.LotNames,
    verdict: Annotated[Verdict, typer.Option(help="What the procedure found.")],
    procedure: Annotated[Path, typer.Option(help="The procedure's document: its SHA-256 is recorded.", dir_okay=False)],
    until: Annotated[str, typer.Option(help="Day or time until which the certificate is valid.")],
    stream: Annotated[str, typer.Option(help="The evidence stream: identifier, its last part, or subject.")],
    event: Annotated[str, typer.Option(help="Id of the measured event, as the node was sent it.")],
    claims: words.Claims = None,
) -> Done:
    """Certify up to 64 lots by a procedure, as an inspector. Verdicts by a model come from the node."""
    done = at.gateway.issue_certificate(
        lots=sorted(at.lots(lots)),
        model=0,
        verdict=verdict.value,
        expires_at=words.day_or_time(until),
        inference_digest=to_hex(sha256(read_bounded(procedure, _MAX_PROCEDURE_BYTES))),
        stream=at.stream(stream),
        event=event,
        claims=words.read_claims(claims),
    )
    named = " ".join(lots)
    then = {
        Verdict.PASS: f"who has it: millmark custody offer {named} --to COMPANY",
        Verdict.FAIL: f"it is quarantined, until you lift that: millmark lots release {named} --reason WHY",
    }
    return Done(done, f"certificate {{sequence}}: {verdict.value} for {', '.join(lots)}", then[verdict])


@CERTIFICATES.act("revoke", "millmark certificates revoke 412 --reason 'the gauge was not calibrated'")
def revoke(at: At, certificate: Number, reason: words.Reason) -> Done:
    """Revoke a certificate of your company, irreversibly.

    A revoked certificate satisfies no gate; it can still be challenged, and refuted. A quarantine that its verdict
    caused stays, but the lot's custodian may lift it.
    """
    done = at.gateway.revoke_certificate(certificate, reason=words.reason_of(reason))
    return Done(done, f"certificate {certificate} is revoked", "what it reached: millmark trace LOT")


@CERTIFICATES.act("demand", "millmark certificates demand 412")
def demand(at: At, certificate: Number) -> Done:
    """Demand that a certificate be opened within seven days; it is not valid if it is not opened by then.

    The buyer and the coordinator of the lot's order, its custodian and any auditor can demand it, once per hour. Until
    it is opened, or the lot reworked, no other certificate of the inspector satisfies the order's gate.
    """
    done = at.gateway.demand_opening(certificate)
    return Done(done, f"certificate {certificate} must be opened within seven days")


@CERTIFICATES.act("waive", "millmark certificates waive A0006R --inspector Lab --reason 'needed today, inspected here'")
def waive(at: At, lot: words.LotName, inspector: words.Company, reason: words.Reason) -> Done:
    """Take a lot without what one inspector's gate asks for, as the buyer of its order.

    It holds for this lot as it is: not once that inspector certifies it again, or it is reworked. The lot's custodian
    may then lift that inspector's quarantine, and deliver the lot.
    """
    done = at.gateway.waive_gate(at.lot(lot), inspector=at.participant(inspector), reason=words.reason_of(reason))
    return Done(done, f"the gate of {inspector} is waived for lot {lot}")


@CERTIFICATES.list("list", "millmark certificates list --lot A0006R", of="certificates")
def list_certificates(
    at: At,
    lot: Annotated[str | None, typer.Option(help="Only those of this lot.")] = None,
    inspector: words.OfCompany = None,
    model: Annotated[int | None, typer.Option(min=1, help="Only those on this model, by its number.")] = None,
) -> Listing:
    """List certificates that decide now."""
    found = at.gateway.iterate_certificates(
        lot=at.lot(lot) if lot else None, inspector=at.maybe_participant(inspector), model=model
    )
    return Listing("certificates", found, CERTIFICATE_COLUMNS, lambda one: bool(one["latest"]))


KINDS = {kind.name.lower().replace("_", "-"): int(kind) for kind in NoteKind}


def note(
    at: At,
    things: Annotated[list[str], typer.Argument(metavar="THING...", help="Lots and orders: identifiers or subjects.")],
    text: Annotated[str, typer.Option(help="What is said; only its salted hash goes on the chain.")],
    kind: Annotated[str, typer.Option(help=", ".join(KINDS) + ", or a number agreed on.")] = "observation",
) -> Done:
    """Say something about lots or orders that your company has a part in. It changes no state."""
    done = at.gateway.note(subjects=[at.thing(one) for one in things], kind=_kind(kind), claims=words.reason_of(text))
    return Done(done, f"a note on {len(set(things))} histories")


def _kind(text: str) -> int:
    number = KINDS.get(text) or (int(text) if text.isascii() and text.isdecimal() else 0)
    if not 0 < number < 1 << 16:
        raise InputError(f"unknown kind of note {text[:80]!r}", hint=f"use {', '.join(KINDS)}, or a number")
    return number
