"""One row per kind of record: its route, who may call it, what the path supplies, and an example body."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from millmark.ledger import records
from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Record, Role
from millmark.services.access import ANY_ROLE, HOLDERS, Scope
from millmark.services.access.rules import MAX_BODY_BYTES, Rule
from millmark.services.gateway.recording import bodies, build_records
from millmark.services.gateway.recording.bodies import CLAIMS, LOTS, REASON, Body


@dataclass(frozen=True, slots=True)
class Write:
    """A kind of record and its route."""

    kind: type[Record]
    path: str
    summary: str
    roles: Role
    """The contract requires one of these roles."""
    example: Body
    """Example of a request body."""
    find: build_records.Find | None = None
    """Looks up the fields `given`."""
    given: tuple[str, ...] = ()
    names: SubjectKind | None = None
    """Kind of the thing that the record creates and names."""
    verify: build_records.Verify | None = None
    """Checks the body before a record is built from it."""
    about: str = ""
    """What it checks, for the API's documentation."""
    asks: tuple[str, ...] = ()
    """Members of the body that are not fields of the record (millmark.services.gateway.recording.bodies). `find` reads
    them."""
    body_bytes: int = MAX_BODY_BYTES
    called: str = ""
    """Name of the operation, where it is not that of the record."""

    @property
    def operation(self) -> str:
        name = self.called or self.kind.__name__
        return name[0].lower() + name[1:]

    @property
    def body(self) -> type[BaseModel]:
        """The model of its request bodies."""
        return bodies.body_of(self.kind, self.given, self.asks, self.called)  # type: ignore[arg-type]  # mypy judges the class by its instances' hash

    @property
    def rule(self) -> Rule:
        """The permission rule: only the company that runs the gateway may record."""
        return Rule(Scope.RECORDING, self.roles, owner=True, cost=4, body_bytes=self.body_bytes)


_ORDER, _LOT, _MACHINE, _STREAM = SubjectKind.ORDER, SubjectKind.LOT, SubjectKind.MACHINE, SubjectKind.STREAM
_BUYER, _COORDINATOR, _MAKER = Role.BUYER, Role.COORDINATOR, Role.MANUFACTURER
_INSPECTOR, _AUDITOR = Role.INSPECTOR, Role.AUDITOR
_ASSIGNED = ("order", "operation", "assignment")
_REVISED, _ENDED = ("order", "terms", "proposal"), ("order", "proposal")


def _order(kind: type[Record], verb: str, summary: str, roles: Role, example: Body = CLAIMS) -> Write:
    return Write(
        kind, f"/v1/orders/{{subject}}/{verb}", summary, roles, example, build_records.subject("order"), ("order",)
    )


def _assignment(kind: type[Record], verb: str, summary: str, roles: Role, example: Body = CLAIMS) -> Write:
    return Write(
        kind, f"/v1/assignments/{{id}}/{verb}", summary, roles, example, build_records.find_assigned, _ASSIGNED
    )


def _lot(
    kind: type[Record], verb: str, summary: str, example: Body = REASON, name: str = "lot", roles: Role = HOLDERS
) -> Write:
    return Write(kind, f"/v1/lots/{{subject}}/{verb}", summary, roles, example, build_records.subject(name), (name,))


def _model(kind: type[Record], verb: str, summary: str, roles: Role, example: Body) -> Write:
    return Write(kind, f"/v1/models/{{id}}/{verb}", summary, roles, example, build_records.number("model"), ("model",))


_SPECIFIED = (
    "If `terms.claims` has the specification of a product (`specification.product` is its digest), and the product is "
    "in `terms.claims.product` or known to the gateway, it is refused (400, `specification-refused`) unless all "
    "options are allowed, all constraints hold, the operations are those of the product's route, and a quantity is "
    "agreed."
)
_PLACED: Body = {"identifier": "urn:example:order-1", "terms": bodies.TERMS}
_PARTIES = _BUYER | _COORDINATOR
_MEASURING = _MAKER | _INSPECTOR
_LOGGING = _MEASURING | _COORDINATOR | _AUDITOR

WRITES: tuple[Write, ...] = (
    Write(
        records.PlaceOrder,
        "/v1/orders",
        "Place an order",
        _BUYER,
        _PLACED,
        names=_ORDER,
        verify=build_records.verify_terms,
        about=_SPECIFIED,
    ),
    _order(records.AcceptOrder, "accept", "Accept an order", _COORDINATOR),
    _order(records.RejectOrder, "reject", "Reject an order", _COORDINATOR, REASON),
    _order(records.CancelOrder, "cancel", "Cancel an order", _PARTIES, REASON),
    Write(
        records.ProposeRevision,
        "/v1/orders/{subject}/revisions",
        "Propose a revision of an order",
        _PARTIES,
        {"terms": bodies.TERMS},
        build_records.subject("order"),
        ("order",),
        verify=build_records.verify_terms,
        about=_SPECIFIED,
    ),
    Write(
        records.AcceptRevision,
        "/v1/orders/{subject}/revisions/{id}/accept",
        "Accept a proposed revision of an order",
        _PARTIES,
        {},
        build_records.find_proposal,
        _REVISED,
    ),
    _order(records.ProposeEnd, "ends", "Propose to end an order in production", _PARTIES, REASON),
    Write(
        records.EndOrder,
        "/v1/orders/{subject}/ends/{id}/accept",
        "End an order as proposed, by the other side, or alone once that is gone; 0 when both sides are",
        _PARTIES,
        CLAIMS,
        build_records.find_end,
        _ENDED,
    ),
    _order(records.CompleteOrder, "complete", "Declare an order complete", _COORDINATOR),
    _order(
        records.ConfirmDelivery,
        "confirm-delivery",
        "Confirm that an order was delivered, with the lots that were",
        _BUYER,
        {**LOTS, **CLAIMS},
    ),
    Write(
        records.ProposeAssignment,
        "/v1/assignments",
        "Assign an operation of an order to a machine",
        _COORDINATOR,
        {"order": bodies.AN_ORDER, "operation": 0, "machine": 17},
    ),
    _assignment(records.AcceptAssignment, "accept", "Accept an assignment", _MAKER),
    _assignment(records.DeclineAssignment, "decline", "Decline an assignment", _MAKER, REASON),
    _assignment(records.StartAssignment, "start", "Start an assignment", _MAKER, {"stream": bodies.A_STREAM, **CLAIMS}),
    Write(
        records.FinishAssignment,
        "/v1/assignments/{id}/finish",
        "Finish an assignment, with its evidence",
        _MAKER,
        bodies.LEAF,
        build_records.find_finished,
        _ASSIGNED,
        asks=("event",),
    ),
    Write(
        records.Anchor,
        "/v1/assignments/{id}/registers",
        "Read the energy register of an assignment's machine",
        _MAKER,
        {"moment": "start", "register_wh": 1_204_310},
        build_records.find_register,
        ("stream", "size", "root"),
        asks=("moment", "register_wh", "quantity", "reset", "stream"),
        called="ReadRegister",
    ),
    Write(
        records.Anchor,
        "/v1/setpoints/{id}/answer",
        "Accept or refuse proposed setpoints",
        _MAKER,
        {"answer": "accepted"},
        build_records.find_setpoint_answer,
        ("stream", "size", "root"),
        asks=("answer", "reason_text"),
        called="AnswerSetpoint",
    ),
    _assignment(records.CancelAssignment, "cancel", "Cancel an assignment", _PARTIES, REASON),
    Write(
        records.CommissionLot,
        "/v1/lots/commission",
        "Create a lot under an assignment",
        _MAKER,
        {**bodies.NEW_LOT, "order": bodies.AN_ORDER, "operation": 0, **CLAIMS},
        names=_LOT,
    ),
    Write(
        records.ReceiveLot,
        "/v1/lots/receive",
        "Receive a lot from outside",
        HOLDERS,
        {**bodies.NEW_LOT, **CLAIMS},
        names=_LOT,
    ),
    Write(
        records.TransformLots,
        "/v1/lots/transform",
        "Split, merge, convert or rework lots",
        HOLDERS,
        bodies.SPLIT,
        names=_LOT,
    ),
    _lot(
        records.ReworkLot,
        "rework",
        "Record the rework of a lot that keeps its identifier",
        {"operation": 0, "components": bodies.COMPONENTS, **CLAIMS},
        roles=_MAKER,
    ),
    _order(
        records.AllocateLot,
        "allocate",
        "Allocate a lot of no order to an order",
        _MAKER,
        {"lot": bodies.A_LOT, "operation": 0, **CLAIMS},
    ),
    _lot(records.DeallocateLot, "deallocate", "Take a lot out of its order, into stock", CLAIMS, roles=_PARTIES),
    _lot(
        records.ScrapLot,
        "scrap",
        "Take some of a lot out for good: scrapped, exported, sold, lost or recycled",
        {"quantity": 1, "disposition": "scrapped", **REASON},
    ),
    _lot(records.PackLots, "pack", "Pack lots into this one", LOTS, "parent"),
    _lot(records.UnpackLots, "unpack", "Unpack lots from this one", LOTS, "parent"),
    _lot(records.QuarantineLot, "quarantine", "Quarantine a lot"),
    _lot(records.ReleaseLot, "release", "Release a lot from quarantine"),
    _lot(
        records.WaiveGate,
        "waive",
        "Take a lot without what one gate of its order asks for",
        {"inspector": 6, **REASON},
        roles=_BUYER,
    ),
    Write(
        records.OfferCustody,
        "/v1/custody/offer",
        "Offer lots to another company, or return them",
        HOLDERS,
        {**LOTS, "to": 8, **CLAIMS},
        body_bytes=bodies.CONSIGNMENT_BYTES,
    ),
    Write(
        records.ReturnLot,
        "/v1/lots/{subject}/return",
        "Offer a quarantined lot to its maker",
        HOLDERS,
        CLAIMS,
        build_records.find_returned,
        ("lot", "to", "identifier_hash"),
    ),
    Write(
        records.AcceptCustody,
        "/v1/custody/accept",
        "Accept offered lots",
        HOLDERS,
        {**LOTS, "offer": 600},
        body_bytes=bodies.CONSIGNMENT_BYTES,
    ),
    Write(
        records.AcceptInPart,
        "/v1/custody/accept-in-part",
        "Accept offered lots, of which some are missing or bad",
        HOLDERS,
        {**LOTS, "offer": 600, "accepted": 97, "reason": {"text": "three are broken"}},
        body_bytes=bodies.CONSIGNMENT_BYTES,
    ),
    _lot(records.DeclineCustody, "custody/decline", "Decline an offered lot", {"offer": 600, **REASON}),
    _lot(records.WithdrawCustody, "custody/withdraw", "Withdraw the offer of a lot"),
    Write(
        records.ReclaimCustody,
        "/v1/custody/reclaim",
        "Reclaim lots from a company that has not been able to act for 14 days",
        HOLDERS,
        {**LOTS, **REASON},
        body_bytes=bodies.CONSIGNMENT_BYTES,
    ),
    Write(
        records.IssueCertificate,
        "/v1/certificates",
        "Issue a certificate",
        _INSPECTOR,
        bodies.VERDICT,
        build_records.find_measured,
        asks=("event",),
    ),
    Write(
        records.RevokeCertificate,
        "/v1/certificates/{id}/revoke",
        "Revoke a certificate",
        _INSPECTOR,
        REASON,
        build_records.find_certified,
        ("lots", "certificate"),
    ),
    Write(
        records.DemandOpening,
        "/v1/certificates/{id}/demand-opening",
        "Demand the opening of a certificate's inference",
        ANY_ROLE,
        {},
        build_records.find_certified,
        ("lot", "order", "certificate"),
    ),
    Write(
        records.Challenge,
        "/v1/certificates/{id}/open",
        "Open a certificate of your company, as is demanded, which publishes what was measured",
        _INSPECTOR,
        {"publish_window": True},
        build_records.find_demanded,
        ("certificate", "key", "issued", "inference", "measured"),
        asks=("publish_window",),
        called="OpenCertificate",
    ),
    Write(
        records.OpenStream,
        "/v1/streams",
        "Open an evidence stream for a machine, or for none",
        _LOGGING,
        {"identifier": "urn:example:press-3:telemetry", "machine": 17},
        names=_STREAM,
    ),
    Write(
        records.Anchor,
        "/v1/streams/{subject}/anchors",
        "Anchor an evidence stream",
        _LOGGING,
        {"size": 4, "root": "0x" + "99" * 32},
        build_records.subject("stream"),
        ("stream",),
    ),
    Write(
        records.RegisterMachine,
        "/v1/machines",
        "Register a machine",
        _MEASURING,
        {"identifier": "urn:example:press-3", "claims": {"maker": "Cedar", "year": 2024}},
        names=_MACHINE,
    ),
    Write(
        records.RetireMachine,
        "/v1/machines/{id}/retire",
        "Retire a machine",
        _MEASURING,
        REASON,
        build_records.number("machine"),
        ("machine",),
    ),
    Write(
        records.RegisterModel,
        "/v1/models",
        "Register a quality model by its digest",
        _INSPECTOR,
        {"digest": "0x" + "66" * 32, "card": {"accuracy": "0.93"}},
    ),
    Write(
        records.PublishModel,
        "/v1/models/publish",
        "Register a quality model and publish it on the chain",
        _INSPECTOR,
        {"content": "0x" + "4d" * 32},
        body_bytes=128 * 1024,
    ),
    _model(
        records.ApproveModel,
        "approve",
        "Approve a quality model",
        _AUDITOR,
        {"report": {"text": "measured again, as the card says"}},
    ),
    _model(
        records.OpenModel, "open", "Open a quality model to other inspectors, or close it", _INSPECTOR, {"open": True}
    ),
    _model(records.RetireModel, "retire", "Retire a quality model: its verdicts stand", _INSPECTOR, REASON),
    _model(
        records.WithdrawModel,
        "withdraw",
        "Withdraw a quality model",
        _INSPECTOR | _AUDITOR,
        {"defective_since": "2026-02-01T00:00:00Z", **REASON},
    ),
    Write(
        records.Note,
        "/v1/notes",
        "Say something about orders or lots that your company has a part in",
        ANY_ROLE,
        {"subjects": [bodies.A_LOT], "kind": 2, "claims": {"text": "stop using it"}},
        build_records.find_grounds,
        ("subjects", "grounds"),
        asks=("subjects",),
    ),
    Write(
        records.ObjectToRecovery,
        "/v1/recovery/objection",
        "Object to the recovery of your company's keys",
        ANY_ROLE,
        {},
    ),
    Write(
        records.Supersede,
        "/v1/supersessions",
        "Correct an earlier record of your company",
        ANY_ROLE,
        {"subject": bodies.A_LOT, "sequence": 380, **REASON},
        build_records.find_superseded,
        ("subject", "opening"),
        asks=("subject", "sequence"),
    ),
)


_BY_OPERATOR = "participants and their keys are managed by operators, on the command line"
LEFT_OUT: dict[type[Record], str] = {
    **dict.fromkeys(
        (
            records.Admit,
            records.SetRoles,
            records.Suspend,
            records.Entrust,
            records.Reinstate,
            records.Depart,
            records.Publish,
            records.Close,
        ),
        _BY_OPERATOR,
    ),
    **dict.fromkeys(
        (records.ProposeKey, records.AcceptKey, records.SetKey, records.RevokeKey, records.SetNameKey), _BY_OPERATOR
    ),
    **dict.fromkeys((records.TransferOwnership, records.AcceptOwnership), _BY_OPERATOR),
    **dict.fromkeys((records.ProposeRecovery, records.OverruleObjection, records.AcceptRecovery), _BY_OPERATOR),
}
"""Kinds of records without a route, and why."""
