"""`millmark custody`, `certificates` and `note`: who has what, what inspectors say of it, and what others say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from millmark.ledger.canonical import sha256, to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.records import NoteKind
from millmark.services.acts import COMMANDS
from millmark.services.commands.acts import words
from millmark.services.commands.acts.act import Done, Given, Group, Home, Listing, add_command, record
from millmark.services.files import read_bounded

CUSTODY = Group("custody", "Hand lots on, with all that is packed in them, and take them.")


def register(app: typer.Typer) -> None:
    for group in (CUSTODY, CERTIFICATES):
        app.add_typer(group.app, name=group.name)
    add_command(app, COMMANDS["note"], _note)


CUSTODY.add_acts()


@CUSTODY.list("list", "millmark custody list", of="offers", whole=True)
def list_offers(at: Home) -> Listing:
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


def _issue(at: Home, given: Given) -> Done:
    """By a procedure, without a model: the SHA-256 of its document stands in the place of an inference."""
    content = read_bounded(Path(given.body.pop("procedure")), _MAX_PROCEDURE_BYTES)
    given.body["inference_digest"] = to_hex(sha256(content))
    then = {
        "pass": "who has it: millmark custody offer {lots} --to COMPANY",
        "fail": "it is quarantined, until you lift that: millmark lots release {lots} --reason WHY",
    }
    return replace(record(at, "certificates issue", given), then=then[given.body["verdict"]])


CERTIFICATES.add_acts(issue=_issue)


@CERTIFICATES.list("list", "millmark certificates list --lot A0006R", of="certificates")
def list_certificates(
    at: Home,
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


def _note(at: Home, given: Given) -> None:
    names = set(given.body.pop("things"))
    given.body |= {"subjects": [at.thing(one) for one in sorted(names)], "kind": _kind(given.body["kind"])}
    given.body["about"] = given.body.get("about") or 0
    given.values["count"] = str(len(names))


def _kind(text: str) -> int:
    number = KINDS.get(text) or (int(text) if text.isascii() and text.isdecimal() else 0)
    if not 0 < number < 1 << 16:
        raise InputError(f"unknown kind of note {text[:80]!r}", hint=f"use {', '.join(KINDS)}, or a number")
    return number
