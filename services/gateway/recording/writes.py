"""Which record is asked for where, by whom, and what of it the path says: one row for each kind."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.ids import SubjectKind
from ledger.records import (
    AcceptAssignment,
    AcceptCustody,
    AcceptKey,
    AcceptOrder,
    AcceptRevision,
    Admit,
    Anchor,
    ApproveModel,
    CancelAssignment,
    CancelOrder,
    Challenge,
    CommissionLot,
    CompleteOrder,
    ConfirmDelivery,
    DeclineAssignment,
    DeclineCustody,
    DemandOpening,
    FinishAssignment,
    IssueCertificate,
    OfferCustody,
    OpenStream,
    PackLots,
    PlaceOrder,
    ProposeAssignment,
    ProposeKey,
    ProposeRevision,
    PublishModel,
    QuarantineLot,
    ReceiveLot,
    Record,
    RegisterMachine,
    RegisterModel,
    Reinstate,
    RejectOrder,
    ReleaseLot,
    RetireMachine,
    RevokeCertificate,
    RevokeKey,
    ScrapLot,
    SetRoles,
    StartAssignment,
    Supersede,
    Suspend,
    TransformLots,
    UnpackLots,
    WithdrawCustody,
    WithdrawModel,
)
from services.gateway.recording.lookups import (
    Find,
    find_assigned,
    find_certified,
    find_proposal,
    find_superseded,
    number,
    subject,
)

__all__ = ["LEFT_OUT", "WRITES", "Write"]


@dataclass(frozen=True, slots=True)
class Write:
    """One kind of record, and the route that asks for it."""

    kind: type[Record]
    path: str
    summary: str
    find: Find | None = None
    """Where the fields `given` come from."""
    given: tuple[str, ...] = ()
    names: SubjectKind | None = None
    """What the record makes, when it names it."""
    asks: tuple[str, ...] = ()
    """Members of the body that the record does not have (services.gateway.recording.bodies); `find` reads them."""

    @property
    def operation(self) -> str:
        name = self.kind.__name__
        return name[0].lower() + name[1:]


_ORDER, _LOT, _MACHINE, _STREAM = SubjectKind.ORDER, SubjectKind.LOT, SubjectKind.MACHINE, SubjectKind.STREAM
_ASSIGNED = ("order", "operation", "assignment")
_REVISED = ("order", "terms", "previous_head", "proposal", "proposer", "proposed_at")


def _order(kind: type[Record], verb: str, summary: str) -> Write:
    return Write(kind, f"/v1/orders/{{subject}}/{verb}", summary, subject("order"), ("order",))


def _assignment(kind: type[Record], verb: str, summary: str) -> Write:
    return Write(kind, f"/v1/assignments/{{id}}/{verb}", summary, find_assigned, _ASSIGNED)


def _lot(kind: type[Record], verb: str, summary: str, name: str = "lot") -> Write:
    return Write(kind, f"/v1/lots/{{subject}}/{verb}", summary, subject(name), (name,))


def _model(kind: type[Record], verb: str, summary: str) -> Write:
    return Write(kind, f"/v1/models/{{id}}/{verb}", summary, number("model"), ("model",))


WRITES: tuple[Write, ...] = (
    Write(PlaceOrder, "/v1/orders", "Place an order", names=_ORDER),
    _order(AcceptOrder, "accept", "Accept an order"),
    _order(RejectOrder, "reject", "Reject an order"),
    _order(CancelOrder, "cancel", "Cancel an order"),
    _order(ProposeRevision, "revisions", "Propose other terms of an order"),
    Write(
        AcceptRevision,
        "/v1/orders/{subject}/revisions/{id}/accept",
        "Accept the other terms that a record proposed",
        find_proposal,
        _REVISED,
    ),
    _order(CompleteOrder, "complete", "Declare an order complete"),
    _order(ConfirmDelivery, "confirm-delivery", "Confirm that an order was delivered"),
    Write(ProposeAssignment, "/v1/assignments", "Propose an operation of an order to a machine"),
    _assignment(AcceptAssignment, "accept", "Take an assignment on"),
    _assignment(DeclineAssignment, "decline", "Turn an assignment down"),
    _assignment(StartAssignment, "start", "Start an assignment"),
    _assignment(FinishAssignment, "finish", "Finish an assignment, with its evidence"),
    _assignment(CancelAssignment, "cancel", "Take an assignment back"),
    Write(CommissionLot, "/v1/lots/commission", "Make a lot under an assignment", names=_LOT),
    Write(ReceiveLot, "/v1/lots/receive", "Take a lot in from outside", names=_LOT),
    Write(TransformLots, "/v1/lots/transform", "Split, merge, convert or rework lots", names=_LOT),
    _lot(ScrapLot, "scrap", "Scrap some of a lot"),
    _lot(PackLots, "pack", "Pack lots into this one", "parent"),
    _lot(UnpackLots, "unpack", "Unpack lots from this one", "parent"),
    _lot(QuarantineLot, "quarantine", "Quarantine a lot"),
    _lot(ReleaseLot, "release", "Release a lot from quarantine"),
    Write(OfferCustody, "/v1/custody/offer", "Offer lots to another company, or back to it"),
    Write(AcceptCustody, "/v1/custody/accept", "Accept lots that are offered"),
    _lot(DeclineCustody, "custody/decline", "Decline a lot that is offered"),
    _lot(WithdrawCustody, "custody/withdraw", "Withdraw the offer of a lot"),
    Write(IssueCertificate, "/v1/certificates", "Issue a certificate"),
    Write(
        RevokeCertificate,
        "/v1/certificates/{id}/revoke",
        "Revoke a certificate",
        find_certified,
        ("lot", "certificate"),
    ),
    Write(
        DemandOpening,
        "/v1/certificates/{id}/demand-opening",
        "Demand that a certificate's inference be opened",
        find_certified,
        ("lot", "order", "certificate"),
    ),
    Write(OpenStream, "/v1/streams", "Open a machine's stream of evidence", names=_STREAM),
    Write(Anchor, "/v1/streams/{subject}/anchors", "Anchor a stream of evidence", subject("stream"), ("stream",)),
    Write(RegisterMachine, "/v1/machines", "Register a machine", names=_MACHINE),
    Write(RetireMachine, "/v1/machines/{id}/retire", "Retire a machine", number("machine"), ("machine",)),
    Write(RegisterModel, "/v1/models", "Register a quality model by its digest"),
    Write(PublishModel, "/v1/models/publish", "Register a quality model, and keep it on chain"),
    _model(ApproveModel, "approve", "Approve a quality model"),
    _model(WithdrawModel, "withdraw", "Withdraw a quality model"),
    Write(
        Supersede,
        "/v1/supersessions",
        "Correct an earlier record of one's own",
        find_superseded,
        ("subject", "opening"),
        asks=("subject", "sequence"),
    ),
)

_BY_OPERATOR = "who is in the consortium and which keys sign is an operator's business, on the command line"
LEFT_OUT: dict[type[Record], str] = {
    **dict.fromkeys((Admit, SetRoles, Suspend, Reinstate), _BY_OPERATOR),
    **dict.fromkeys((ProposeKey, AcceptKey, RevokeKey), _BY_OPERATOR),
    Challenge: "it makes measured input public for good: the command line asks a person first",
}
"""Kinds of records that no route asks for, and why."""
