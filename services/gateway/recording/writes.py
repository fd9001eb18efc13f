"""One row per kind of record: its route, who may call it, what the path supplies, and an example body."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import (
    AcceptAssignment,
    AcceptCustody,
    AcceptInPart,
    AcceptKey,
    AcceptOrder,
    AcceptOwnership,
    AcceptRecovery,
    AcceptRevision,
    Admit,
    AllocateLot,
    Anchor,
    ApproveModel,
    CancelAssignment,
    CancelOrder,
    Challenge,
    Close,
    CommissionLot,
    CompleteOrder,
    ConfirmDelivery,
    DeallocateLot,
    DeclineAssignment,
    DeclineCustody,
    DemandOpening,
    Depart,
    EndOrder,
    Entrust,
    FinishAssignment,
    IssueCertificate,
    Note,
    ObjectToRecovery,
    OfferCustody,
    OpenModel,
    OpenStream,
    OverruleObjection,
    PackLots,
    PlaceOrder,
    ProposeAssignment,
    ProposeEnd,
    ProposeKey,
    ProposeRecovery,
    ProposeRevision,
    Publish,
    PublishModel,
    QuarantineLot,
    ReceiveLot,
    ReclaimCustody,
    Record,
    RegisterMachine,
    RegisterModel,
    Reinstate,
    RejectOrder,
    ReleaseLot,
    RetireMachine,
    RetireModel,
    ReturnLot,
    RevokeCertificate,
    RevokeKey,
    ReworkLot,
    Role,
    ScrapLot,
    SetKey,
    SetNameKey,
    SetRoles,
    StartAssignment,
    Supersede,
    Suspend,
    TransferOwnership,
    TransformLots,
    UnpackLots,
    WaiveGate,
    WithdrawCustody,
    WithdrawModel,
)
from millmark.services.access import ANY_ROLE, HOLDERS, Scope
from millmark.services.access.rules import MAX_BODY_BYTES, Rule
from millmark.services.gateway.recording.bodies import (
    A_LOT,
    A_STREAM,
    AN_ORDER,
    CLAIMS,
    COMPONENTS,
    CONSIGNMENT_BYTES,
    LEAF,
    LOTS,
    NEW_LOT,
    REASON,
    SPLIT,
    TERMS,
    VERDICT,
    Body,
    body_of,
)
from millmark.services.gateway.recording.build_records import (
    Find,
    Verify,
    find_assigned,
    find_certified,
    find_demanded,
    find_end,
    find_finished,
    find_grounds,
    find_measured,
    find_proposal,
    find_register,
    find_returned,
    find_setpoint_answer,
    find_superseded,
    number,
    subject,
    verify_terms,
)

# What the API says of one kind of record: its route, who may call it, and what its body is.


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
    find: Find | None = None
    """Looks up the fields `given`."""
    given: tuple[str, ...] = ()
    names: SubjectKind | None = None
    """Kind of the thing that the record creates and names."""
    verify: Verify | None = None
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
        return body_of(self.kind, self.given, self.asks, self.called)  # type: ignore[arg-type]  # mypy judges the class by its instances' hash

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
    return Write(kind, f"/v1/orders/{{subject}}/{verb}", summary, roles, example, subject("order"), ("order",))


def _assignment(kind: type[Record], verb: str, summary: str, roles: Role, example: Body = CLAIMS) -> Write:
    return Write(kind, f"/v1/assignments/{{id}}/{verb}", summary, roles, example, find_assigned, _ASSIGNED)


def _lot(kind: type[Record], verb: str, summary: str, example: Body = REASON, name: str = "lot") -> Write:
    return Write(kind, f"/v1/lots/{{subject}}/{verb}", summary, HOLDERS, example, subject(name), (name,))


def _model(kind: type[Record], verb: str, summary: str, roles: Role, example: Body) -> Write:
    return Write(kind, f"/v1/models/{{id}}/{verb}", summary, roles, example, number("model"), ("model",))


_SPECIFIED = (
    "If `terms.claims` has the specification of a product (`specification.product` is its digest), and the product is "
    "in `terms.claims.product` or known to the gateway, it is refused (400, `specification-refused`) unless all "
    "options are allowed, all constraints hold, the operations are those of the product's route, and a quantity is "
    "agreed."
)
_PLACED: Body = {"identifier": "urn:example:order-1", "terms": TERMS}
_PARTIES = _BUYER | _COORDINATOR
_MEASURING = _MAKER | _INSPECTOR
_LOGGING = _MEASURING | _COORDINATOR | _AUDITOR

WRITES: tuple[Write, ...] = (
    Write(
        PlaceOrder,
        "/v1/orders",
        "Place an order",
        _BUYER,
        _PLACED,
        names=_ORDER,
        verify=verify_terms,
        about=_SPECIFIED,
    ),
    _order(AcceptOrder, "accept", "Accept an order", _COORDINATOR),
    _order(RejectOrder, "reject", "Reject an order", _COORDINATOR, REASON),
    _order(CancelOrder, "cancel", "Cancel an order", _PARTIES, REASON),
    Write(
        ProposeRevision,
        "/v1/orders/{subject}/revisions",
        "Propose a revision of an order",
        _PARTIES,
        {"terms": TERMS},
        subject("order"),
        ("order",),
        verify=verify_terms,
        about=_SPECIFIED,
    ),
    Write(
        AcceptRevision,
        "/v1/orders/{subject}/revisions/{id}/accept",
        "Accept a proposed revision of an order",
        _PARTIES,
        {},
        find_proposal,
        _REVISED,
    ),
    _order(ProposeEnd, "ends", "Propose to end an order in production", _PARTIES, REASON),
    Write(
        EndOrder,
        "/v1/orders/{subject}/ends/{id}/accept",
        "End an order as proposed, by the other side, or alone once that is gone; 0 when both sides are",
        _PARTIES,
        CLAIMS,
        find_end,
        _ENDED,
    ),
    _order(CompleteOrder, "complete", "Declare an order complete", _COORDINATOR),
    _order(
        ConfirmDelivery,
        "confirm-delivery",
        "Confirm that an order was delivered, with the lots that were",
        _BUYER,
        {**LOTS, **CLAIMS},
    ),
    Write(
        ProposeAssignment,
        "/v1/assignments",
        "Assign an operation of an order to a machine",
        _COORDINATOR,
        {"order": AN_ORDER, "operation": 0, "machine": 17},
    ),
    _assignment(AcceptAssignment, "accept", "Accept an assignment", _MAKER),
    _assignment(DeclineAssignment, "decline", "Decline an assignment", _MAKER, REASON),
    _assignment(StartAssignment, "start", "Start an assignment", _MAKER, {"stream": A_STREAM, **CLAIMS}),
    Write(
        FinishAssignment,
        "/v1/assignments/{id}/finish",
        "Finish an assignment, with its evidence",
        _MAKER,
        LEAF,
        find_finished,
        _ASSIGNED,
        asks=("event",),
    ),
    Write(
        Anchor,
        "/v1/assignments/{id}/registers",
        "Read the energy register of an assignment's machine",
        _MAKER,
        {"moment": "start", "register_wh": 1_204_310},
        find_register,
        ("stream", "size", "root"),
        asks=("moment", "register_wh", "quantity", "reset", "stream"),
        called="ReadRegister",
    ),
    Write(
        Anchor,
        "/v1/setpoints/{id}/answer",
        "Accept or refuse proposed setpoints",
        _MAKER,
        {"answer": "accepted"},
        find_setpoint_answer,
        ("stream", "size", "root"),
        asks=("answer", "reason_text"),
        called="AnswerSetpoint",
    ),
    _assignment(CancelAssignment, "cancel", "Cancel an assignment", _PARTIES, REASON),
    Write(
        CommissionLot,
        "/v1/lots/commission",
        "Create a lot under an assignment",
        _MAKER,
        {**NEW_LOT, "order": AN_ORDER, "operation": 0, **CLAIMS},
        names=_LOT,
    ),
    Write(ReceiveLot, "/v1/lots/receive", "Receive a lot from outside", HOLDERS, {**NEW_LOT, **CLAIMS}, names=_LOT),
    Write(TransformLots, "/v1/lots/transform", "Split, merge, convert or rework lots", HOLDERS, SPLIT, names=_LOT),
    Write(
        ReworkLot,
        "/v1/lots/{subject}/rework",
        "Record the rework of a lot that keeps its identifier",
        _MAKER,
        {"operation": 0, "components": COMPONENTS, **CLAIMS},
        subject("lot"),
        ("lot",),
    ),
    _order(
        AllocateLot,
        "allocate",
        "Allocate a lot of no order to an order",
        _MAKER,
        {"lot": A_LOT, "operation": 0, **CLAIMS},
    ),
    Write(
        DeallocateLot,
        "/v1/lots/{subject}/deallocate",
        "Take a lot out of its order, into stock",
        _PARTIES,
        CLAIMS,
        subject("lot"),
        ("lot",),
    ),
    _lot(
        ScrapLot,
        "scrap",
        "Take some of a lot out for good: scrapped, exported, sold, lost or recycled",
        {"quantity": 1, "disposition": "scrapped", **REASON},
    ),
    _lot(PackLots, "pack", "Pack lots into this one", LOTS, "parent"),
    _lot(UnpackLots, "unpack", "Unpack lots from this one", LOTS, "parent"),
    _lot(QuarantineLot, "quarantine", "Quarantine a lot"),
    _lot(ReleaseLot, "release", "Release a lot from quarantine"),
    Write(
        WaiveGate,
        "/v1/lots/{subject}/waive",
        "Take a lot without what one gate of its order asks for",
        _BUYER,
        {"inspector": 6, **REASON},
        subject("lot"),
        ("lot",),
    ),
    Write(
        OfferCustody,
        "/v1/custody/offer",
        "Offer lots to another company, or return them",
        HOLDERS,
        {**LOTS, "to": 8, **CLAIMS},
        body_bytes=CONSIGNMENT_BYTES,
    ),
    Write(
        ReturnLot,
        "/v1/lots/{subject}/return",
        "Offer a quarantined lot to its maker",
        HOLDERS,
        CLAIMS,
        find_returned,
        ("lot", "to", "identifier_hash"),
    ),
    Write(
        AcceptCustody,
        "/v1/custody/accept",
        "Accept offered lots",
        HOLDERS,
        {**LOTS, "offer": 600},
        body_bytes=CONSIGNMENT_BYTES,
    ),
    Write(
        AcceptInPart,
        "/v1/custody/accept-in-part",
        "Accept offered lots, of which some are missing or bad",
        HOLDERS,
        {**LOTS, "offer": 600, "accepted": 97, "reason": {"text": "three are broken"}},
        body_bytes=CONSIGNMENT_BYTES,
    ),
    _lot(DeclineCustody, "custody/decline", "Decline an offered lot", {"offer": 600, **REASON}),
    _lot(WithdrawCustody, "custody/withdraw", "Withdraw the offer of a lot"),
    Write(
        ReclaimCustody,
        "/v1/custody/reclaim",
        "Reclaim lots from a company that has not been able to act for 14 days",
        HOLDERS,
        {**LOTS, **REASON},
        body_bytes=CONSIGNMENT_BYTES,
    ),
    Write(
        IssueCertificate,
        "/v1/certificates",
        "Issue a certificate",
        _INSPECTOR,
        VERDICT,
        find_measured,
        asks=("event",),
    ),
    Write(
        RevokeCertificate,
        "/v1/certificates/{id}/revoke",
        "Revoke a certificate",
        _INSPECTOR,
        REASON,
        find_certified,
        ("lots", "certificate"),
    ),
    Write(
        DemandOpening,
        "/v1/certificates/{id}/demand-opening",
        "Demand the opening of a certificate's inference",
        ANY_ROLE,
        {},
        find_certified,
        ("lot", "order", "certificate"),
    ),
    Write(
        Challenge,
        "/v1/certificates/{id}/open",
        "Open a certificate of your company, as is demanded, which publishes what was measured",
        _INSPECTOR,
        {"publish_window": True},
        find_demanded,
        ("certificate", "key", "issued", "inference", "measured"),
        asks=("publish_window",),
        called="OpenCertificate",
    ),
    Write(
        OpenStream,
        "/v1/streams",
        "Open an evidence stream for a machine, or for none",
        _LOGGING,
        {"identifier": "urn:example:press-3:telemetry", "machine": 17},
        names=_STREAM,
    ),
    Write(
        Anchor,
        "/v1/streams/{subject}/anchors",
        "Anchor an evidence stream",
        _LOGGING,
        {"size": 4, "root": "0x" + "99" * 32},
        subject("stream"),
        ("stream",),
    ),
    Write(
        RegisterMachine,
        "/v1/machines",
        "Register a machine",
        _MEASURING,
        {"identifier": "urn:example:press-3", "claims": {"maker": "Cedar", "year": 2024}},
        names=_MACHINE,
    ),
    Write(
        RetireMachine,
        "/v1/machines/{id}/retire",
        "Retire a machine",
        _MEASURING,
        REASON,
        number("machine"),
        ("machine",),
    ),
    Write(
        RegisterModel,
        "/v1/models",
        "Register a quality model by its digest",
        _INSPECTOR,
        {"digest": "0x" + "66" * 32, "card": {"accuracy": "0.93"}},
    ),
    Write(
        PublishModel,
        "/v1/models/publish",
        "Register a quality model and publish it on the chain",
        _INSPECTOR,
        {"content": "0x" + "4d" * 32},
        body_bytes=128 * 1024,
    ),
    _model(
        ApproveModel,
        "approve",
        "Approve a quality model",
        _AUDITOR,
        {"report": {"text": "measured again, as the card says"}},
    ),
    _model(OpenModel, "open", "Open a quality model to other inspectors, or close it", _INSPECTOR, {"open": True}),
    _model(RetireModel, "retire", "Retire a quality model: its verdicts stand", _INSPECTOR, REASON),
    _model(
        WithdrawModel,
        "withdraw",
        "Withdraw a quality model",
        _INSPECTOR | _AUDITOR,
        {"defective_since": "2026-02-01T00:00:00Z", **REASON},
    ),
    Write(
        Note,
        "/v1/notes",
        "Say something about orders or lots that your company has a part in",
        ANY_ROLE,
        {"subjects": [A_LOT], "kind": 2, "claims": {"text": "stop using it"}},
        find_grounds,
        ("subjects", "grounds"),
        asks=("subjects",),
    ),
    Write(
        ObjectToRecovery,
        "/v1/recovery/objection",
        "Object to the recovery of your company's keys",
        ANY_ROLE,
        {},
    ),
    Write(
        Supersede,
        "/v1/supersessions",
        "Correct an earlier record of your company",
        ANY_ROLE,
        {"subject": A_LOT, "sequence": 380, **REASON},
        find_superseded,
        ("subject", "opening"),
        asks=("subject", "sequence"),
    ),
)


# Kinds of records that the API has no route for, and why.

_BY_OPERATOR = "participants and their keys are managed by operators, on the command line"
LEFT_OUT: dict[type[Record], str] = {
    **dict.fromkeys((Admit, SetRoles, Suspend, Entrust, Reinstate, Depart, Publish, Close), _BY_OPERATOR),
    **dict.fromkeys((ProposeKey, AcceptKey, SetKey, RevokeKey, SetNameKey), _BY_OPERATOR),
    **dict.fromkeys((TransferOwnership, AcceptOwnership), _BY_OPERATOR),
    **dict.fromkeys((ProposeRecovery, OverruleObjection, AcceptRecovery), _BY_OPERATOR),
}
"""Kinds of records without a route, and why."""
