"""Acts about orders and assignments, and about the machines' readings and settings while the work is done."""

from __future__ import annotations

from functools import partial

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Role
from millmark.services.acts import act
from millmark.services.acts.act import CLAIMS, REASON, About, Field, Kind, on

_BUYER, _COORDINATOR, _MAKER = Role.BUYER, Role.COORDINATOR, Role.MANUFACTURER
_PARTIES = _BUYER | _COORDINATOR
_new = partial(on, About.NOTHING)
_order = partial(on, About.ORDER)
_assignment = partial(on, About.ASSIGNMENT)

_TERMS = {
    "operations": 3,
    "coordinator": 2,
    "gates": [{"inspector": 6, "model": 9}],
    "due_at": "2026-12-01T12:00:00Z",
    "quantity": 1,
    "unit": "H87",
    "claims": {"colour": "signal blue"},
}
_DUE = Field("due_at", Kind.MOMENT, "terms.due_at", option="--due").but(
    help="When it is due: a day (2026-12-01) or a time in UTC (2026-12-01T12:00:00Z)."
)
_COORDINATED = act.COMPANY.but(name="coordinator", member="terms.coordinator", example=None)
_AGREED = act.QUANTITY.but(member="terms.quantity", help="Agreed quantity; 0: none is agreed.", least=0, example=None)
_UNIT = act.UNIT.but(member="terms.unit", example=None)
_CLAIMED = CLAIMS.but(member="terms.claims.note", example=None)
_GATES = Field("gate", Kind.MANY, required=False, metavar="INSPECTOR[:MODEL]").but(
    help="An inspector whose pass each lot needs before it reaches the buyer, on a model or else by procedure."
)
_OPERATIONS = Field("operations", Kind.NUMBER, "terms.operations", required=False, least=1)
_PLACED = (
    act.IDENTIFIER,
    _COORDINATED,
    _DUE,
    Field("product", required=False, metavar="NAME_OR_FILE", help="What is ordered: `millmark products list`."),
    Field("option", Kind.MANY, required=False, metavar="KEY=VALUE", help="An option of the product, once each."),
    _OPERATIONS.but(help="How many operations it takes: 1, or what the product's route says."),
    _GATES,
    _AGREED,
    _UNIT,
    _CLAIMED,
)
_ACCEPT = Field("accept", Kind.TICK, help="Agree to what the other side proposed last.")
_REVISED = (
    _ACCEPT,
    _COORDINATED.but(required=False, help="Another coordinator: name or number."),
    _DUE.but(required=False, help="Another day or time."),
    _OPERATIONS.but(help="Another number of operations."),
    _GATES,
    Field("no_gates", Kind.TICK, help="Without gates."),
    _AGREED.but(required=False, help="Another quantity; 0: none is agreed.", default=None),
    _UNIT.but(required=False, help="Another unit.", default=None),
    _CLAIMED,
)
_WIZARD = (
    Field("product", Kind.HIDDEN),
    Field("options", Kind.HIDDEN),
    act.IDENTIFIER.but(label="order_name"),
    _COORDINATED,
    _DUE,
    _AGREED.but(name="pieces", least=1),
    Field("gates", Kind.MANY, required=False),
)
_END = "End an order as proposed, by the other side, or alone once that is gone; 0 when both sides are"
_ENDED = (
    _ACCEPT,
    Field("alone", Kind.TICK, help="End it where neither side is left to propose it."),
    REASON.but(required=False, help="Why; proposes the end."),
)
_DELIVERY = "Confirm that an order was delivered, with the lots that were"

_MACHINES_STREAM = act.STREAM.but(required=False, help="The machine's evidence stream; by default its only one.")
_REGISTER_WH = Field("register_wh", Kind.NUMBER, example=1_204_310).but(
    help="What the machine's meter has counted, in whole Wh: 1 kWh is 1000."
)
_RESET = Field("reset", required=False, option="--register-reset", metavar="BEFORE=AFTER").but(
    help="If the register was set back or replaced: what it showed, in Wh."
)
_GOOD = Field("made", Kind.NUMBER, "quantity", False, option="--good", least=1).but(
    help="How much the operation made that is good, if several records made lots."
)
_READ = (_REGISTER_WH, _RESET, _GOOD)
_ANY_READ = (_REGISTER_WH.but(required=False), _RESET)
_STARTED = (_MACHINES_STREAM, CLAIMS, *_ANY_READ)
_EVENT = Field("event", required=False, help="Id of the event that shows the work, as the node was sent it.")
_FINISHED = (_EVENT, act.LEAF_INDEX, act.LEAF_HASH, _MACHINES_STREAM, *_ANY_READ, _GOOD)
_MOMENT = Field(
    "moment", Kind.CHOICE, choices={one: f"act.moment.{one}" for one in ("start", "finish")}, example="start"
)
_MEASUREMENT = Field("measurement", Kind.CHOICE, required=False)
_WHY = Field("reason", Kind.LONG, "reason_text", label="why").but(
    help="Why. It becomes part of the entry, which stays in the private book."
)

ACTS = (
    _new("placeOrder", "/v1/orders", "Place an order", _BUYER)
    .asks(act.IDENTIFIER)
    .creates(SubjectKind.ORDER)
    .shows(identifier="urn:example:order-1", terms=_TERMS)
    .command("orders place", "urn:example:order-7 --coordinator Hub --product garment --due 2026-12-01", fields=_PLACED)
    .helps("Place an order as its buyer. Its specification is the claims, or follows from a product's options.")
    .says("order {subject} is placed", "the coordinator: millmark orders accept {whole}")
    .form(*_WIZARD, called="orderProduct"),
    _order("acceptOrder", "accept", "Accept an order", _COORDINATOR)
    .asks(CLAIMS)
    .command("orders accept", "order-7")
    .helps("Accept an order as its coordinator.")
    .says(
        "order {order} is accepted",
        "millmark assignments propose {order} --operation 1 --machine NUMBER, of `millmark machines list`",
    )
    .form(),
    _order("cancelOrder", "cancel", "Cancel an order", _PARTIES)
    .asks(REASON)
    .command("orders cancel", "order-7 --reason 'ordered twice'")
    .helps("Cancel an order on which no work has begun, or decline one as its coordinator.")
    .says("order {order} is cancelled")
    .form(grave=True)
    .form(called="declineOrder", grave=True),
    _order("proposeRevision", "revisions", "Propose a revision of an order", _PARTIES)
    .shows(terms=_TERMS)
    .command("orders revise", "order-7 --due 2027-01-15", fields=_REVISED)
    .helps("Propose other terms of an order, or accept those proposed last. What is left out stays as it is.")
    .says("a revision of order {order} is proposed", "the other side: millmark orders revise {order} --accept")
    .form(_DUE, _AGREED.but(required=False, default=None), _UNIT.but(required=False, default=None)),
    _order("acceptRevision", "revisions/{id}/accept", "Accept a proposed revision of an order", _PARTIES)
    .without_command("`orders revise --accept` does it")
    .form(),
    _order("proposeEnd", "ends", "Propose to end an order in production", _PARTIES)
    .asks(REASON)
    .command("orders end", "order-7 --reason 'the customer is gone'", fields=_ENDED)
    .helps("Propose to end an order in production, or end it as proposed.")
    .says("the end of order {order} is proposed", "the other side: millmark orders end {order} --accept")
    .form(grave=True),
    _order("endOrder", "ends/{id}/accept", _END, _PARTIES)
    .asks(CLAIMS)
    .without_command("`orders end --accept` does it")
    .form(grave=True),
    _order("completeOrder", "complete", "Declare an order complete", _COORDINATOR)
    .asks(CLAIMS)
    .command("orders complete", "order-7")
    .helps("Declare an order complete as its coordinator, once its operations are finished.")
    .says("order {order} is complete", "the buyer, once it has the lots: millmark orders confirm {order} LOT...")
    .form(),
    _order("confirmDelivery", "confirm-delivery", _DELIVERY, _BUYER)
    .asks(act.LOTS.but(required=False, help="The lots that were delivered.", label="delivered"), CLAIMS)
    .command("orders confirm", "order-7 A0006R A0007R")
    .helps("Confirm as its buyer that an order was delivered, with the lots that were.")
    .says("order {order} is delivered", "millmark bundle {lots} -o FILE")
    .form(),
    _order("proposeAssignment", "/v1/assignments", "Assign an operation of an order to a machine", _COORDINATOR)
    .asks(act.ORDER.but(kind=Kind.THING), act.OPERATION, act.MACHINE, CLAIMS)
    .command("assignments propose", "order-7 --operation 1 --machine LATHE-2")
    .helps("Assign an operation of an order to a machine, as its coordinator.")
    .says(
        "operation {operation} is proposed to {machine} as assignment {sequence}",
        "the machine's owner: millmark assignments accept {sequence}",
    )
    .form(),
    _assignment("acceptAssignment", "accept", "Accept an assignment", _MAKER)
    .asks(CLAIMS)
    .command("assignments accept", "131")
    .helps("Accept an assignment as the machine's owner. A row of a plan is accepted if it is as it was offered.")
    .says("assignment {assignment} is accepted", "millmark assignments start {assignment}")
    .form(),
    _assignment("declineAssignment", "decline", "Decline an assignment", _MAKER)
    .asks(REASON)
    .command("assignments decline", "131 --reason 'the spindle is worn'")
    .helps("Decline an assignment as the machine's owner.")
    .says("assignment {assignment} is declined")
    .form(grave=True),
    _assignment("startAssignment", "start", "Start an assignment", _MAKER)
    .asks(act.STREAM, CLAIMS)
    .command("assignments start", "131", fields=_STARTED, told=("order", "operation", "stream"))
    .helps("Start the work. From now on, what the machine measures can show it.")
    .says(
        "assignment {assignment} is started",
        "millmark lots commission IDENTIFIER --order {order} --operation {operation}",
        "millmark streams add {stream} --event ID --value NAME=VALUE, or the machine's node does it",
        "millmark assignments finish {assignment} --event ID, or --register-wh READING",
    )
    .form(),
    _assignment("finishAssignment", "finish", "Finish an assignment, with its evidence", _MAKER)
    .asks(act.STREAM, act.LEAF_INDEX, act.LEAF_HASH)
    .command("assignments finish", "131 --register-wh 1208520", fields=_FINISHED, told=("order",))
    .helps(
        "Finish the work, with the measured entry that shows it: an event, or the reading of the energy register, by "
        "default the one that was taken."
    )
    .says(
        "assignment {assignment} is finished",
        "the coordinator, once all operations are finished: millmark orders complete {order}",
    )
    .form(_MEASUREMENT, act.LEAF_INDEX, act.LEAF_HASH),
    _assignment("readRegister", "registers", "Read the energy register of an assignment's machine", _MAKER)
    .of("Anchor")
    .asks(_MOMENT, _REGISTER_WH, _GOOD)
    .command("assignments read", "131 --register-wh 1208520", fields=_READ, states={"moment": "finish"})
    .helps(
        "Read the machine's energy register when the work is over, before its lots are recorded.\n\n"
        "`millmark lots commission --factors FILE` then states their footprint, and `millmark assignments finish` "
        "names the reading as what shows the work."
    )
    .says(
        "the register is read at the {moment} of assignment {assignment}: {register_wh} Wh",
        "millmark assignments finish {assignment}",
    )
    # The entry has its time, and others may come before it.
    .form(later=("size", "root")),
    on(About.SETPOINT, "answerSetpoint", "answer", "Accept or refuse proposed setpoints", _MAKER)
    .of("Anchor")
    .shows(answer="accepted")
    .command("setpoints accept", "7", states={"answer": "accepted"})
    .helps("Accept proposed setpoints as the machine's operator. The answer becomes an entry of the machine's stream.")
    .says("setpoint {setpoint} is accepted: set the machine to it")
    .form(called="acceptSetpoint", states={"answer": "accepted"})
    .command("setpoints refuse", "7 --reason 'the tool is changed today'", fields=(_WHY,), states={"answer": "refused"})
    .helps("Refuse proposed setpoints as the machine's operator, with the reason.")
    .says("setpoint {setpoint} is refused")
    .form(_WHY, called="refuseSetpoint", states={"answer": "refused"}, grave=True),
    _assignment("cancelAssignment", "cancel", "Cancel an assignment", _PARTIES)
    .asks(REASON)
    .command("assignments cancel", "131 --reason 'moved to another mill'")
    .helps("Cancel an assignment that is not finished.")
    .says("assignment {assignment} is cancelled")
    .form(grave=True),
)
