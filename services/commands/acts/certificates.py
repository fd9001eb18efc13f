"""`millmark certificates`: verdicts by procedure, their revocation, and gates that a buyer waives."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from millmark.services.commands.acts.act import Done, Group, Listing
from millmark.services.commands.acts.options import Claims, Company, LotName, LotNames, OfCompany, Reason
from millmark.services.commands.acts.words import day_or_time, name_of, party, read_claims, reason_of, status, when

if TYPE_CHECKING:
    from millmark.services.commands.acts.names import At

CERTIFICATES = Group("certificates", "Certify lots by a procedure, revoke certificates, waive gates.")
COLUMNS = {
    "certificate": lambda one: one["certificate"],
    "lot": name_of,
    "verdict": lambda one: one["verdict"],
    "status": status,
    "inspector": lambda one: party(one["inspector"]),
    "by": lambda one: "procedure" if one["model"] is None else f"model {one['model']['model']}",
    "issued": lambda one: when(one["issued_at"]),
}
_MAX_PROCEDURE_BYTES = 64 << 20
Number = Annotated[int, typer.Argument(metavar="CERTIFICATE", min=1, help="Its number: `millmark certificates list`.")]


class Verdict(enum.Enum):
    """What an inspector says."""

    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"


def register(app: typer.Typer) -> None:
    app.add_typer(CERTIFICATES.app, name=CERTIFICATES.name)


@CERTIFICATES.act(
    "issue",
    "millmark certificates issue A6 --verdict pass --procedure iso.pdf --until 2027-12-01 --stream gauge --event g-7",
)
def issue(
    at: At,
    lots: LotNames,
    verdict: Annotated[Verdict, typer.Option(help="What the procedure found.")],
    procedure: Annotated[Path, typer.Option(help="The procedure's document: its SHA-256 is recorded.", dir_okay=False)],
    until: Annotated[str, typer.Option(help="Day or time until which the certificate is valid.")],
    stream: Annotated[str, typer.Option(help="The evidence stream: identifier, its last part, or subject.")],
    event: Annotated[str, typer.Option(help="Id of the measured event, as the node was sent it.")],
    claims: Claims = None,
) -> Done:
    """Certify up to 64 lots by a procedure, as an inspector. Verdicts by a model come from the node."""
    done = at.gateway.issue_certificate(
        lots=sorted(at.lots(lots)),
        model=0,
        verdict=verdict.value,
        expires_at=day_or_time(until),
        inference_digest=_digest(procedure),
        stream=at.stream(stream),
        event=event,
        claims=read_claims(claims),
    )
    named = " ".join(lots)
    then = {
        Verdict.PASS: f"who has it: millmark custody offer {named} --to COMPANY",
        Verdict.FAIL: f"it is quarantined, until you lift that: millmark lots release {named} --reason WHY",
    }
    return Done(done, f"certificate {{sequence}}: {verdict.value} for {', '.join(lots)}", then[verdict])


@CERTIFICATES.act("revoke", "millmark certificates revoke 412 --reason 'the gauge was not calibrated'")
def revoke(at: At, certificate: Number, reason: Reason) -> Done:
    """Revoke a certificate of your company, irreversibly.

    A revoked certificate satisfies no gate; it can still be challenged, and refuted. A quarantine that its verdict
    caused stays, but the lot's custodian may lift it.
    """
    done = at.gateway.revoke_certificate(certificate, reason=reason_of(reason))
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
def waive(at: At, lot: LotName, inspector: Company, reason: Reason) -> Done:
    """Take a lot without what one inspector's gate asks for, as the buyer of its order.

    It holds for this lot as it is: not once that inspector certifies it again, or it is reworked. The lot's custodian
    may then lift that inspector's quarantine, and deliver the lot.
    """
    done = at.gateway.waive_gate(at.lot(lot), inspector=at.participant(inspector), reason=reason_of(reason))
    return Done(done, f"the gate of {inspector} is waived for lot {lot}")


@CERTIFICATES.list("list", "millmark certificates list --lot A0006R", of="certificates")
def list_certificates(
    at: At,
    lot: Annotated[str | None, typer.Option(help="Only those of this lot.")] = None,
    inspector: OfCompany = None,
    model: Annotated[int | None, typer.Option(min=1, help="Only those on this model, by its number.")] = None,
) -> Listing:
    """List certificates that decide now."""
    found = at.gateway.iterate_certificates(
        lot=at.lot(lot) if lot else None, inspector=at.maybe_participant(inspector), model=model
    )
    return Listing("certificates", found, COLUMNS, lambda one: bool(one["latest"]))


def _digest(path: Path) -> str:
    from millmark.ledger.canonical import sha256, to_hex  # noqa: PLC0415 - help needs no hash
    from millmark.services.files import read_bounded  # noqa: PLC0415 - as above

    return to_hex(sha256(read_bounded(path, _MAX_PROCEDURE_BYTES)))
