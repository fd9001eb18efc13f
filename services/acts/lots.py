"""Acts about lots: what their holders do with them, and how they change hands."""

from __future__ import annotations

from functools import partial

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Role
from millmark.services.acts import act
from millmark.services.acts.act import CLAIMS, CONSIGNMENT, HOLDERS, OFFER, REASON, About, Field, Kind, on

_MAKER, _PARTIES = Role.MANUFACTURER, Role.BUYER | Role.COORDINATOR
_MAX_CONSIGNMENT_BYTES = 128 * 1024
"""Most bytes of a body that lists one."""
_new, _lot = partial(on, About.NOTHING), partial(on, About.LOT)
_moved = partial(_lot, roles=HOLDERS, body_bytes=_MAX_CONSIGNMENT_BYTES)

_SPLIT = {
    "kind": "split",
    "operation": 0,
    "unit": "H87",
    "output_unit": "H87",
    "loss": 0,
    "yield_in": 1,
    "yield_out": 1,
    "inputs": [{"lot": act.A_LOT, "quantity": 2}],
    "outputs": [
        {"identifier": "urn:example:half-1", "quantity": 1, "unit": "H87"},
        {"identifier": "urn:example:half-2", "quantity": 1, "unit": "H87"},
    ],
}
_COMPONENTS = [{"lot": "0x" + "1b" * 32, "quantity": 1, "component": True}]
# A lot may be of an order: then its rework is under an operation of it.
_UNDER = act.OPERATION.but(required=False)
_DISPOSITIONS = act.words("Disposition", "scrapped", "exported", "sold", "lost", "recycled")
_DISPOSITION = Field("disposition", Kind.CHOICE, help="What becomes of it.", option="--as").but(
    default="scrapped", choices=_DISPOSITIONS, example="scrapped"
)
_FACTORS = Field("factors", required=False, metavar="FILE").but(
    help="State the footprint, by this factor table (ledger/footprint/FOOTPRINT.md)."
)
_LOCATION = Field("location", required=False).but(
    help="With --factors: key of the grid's factor, if the table has several."
)
_MARKET = Field("market", required=False).but(
    help="With --factors: key of the supplier's factor, if the table has several."
)
_EMISSION = Field("emission", Kind.MANY, required=False, metavar="FACTOR=AMOUNT").but(
    help="With --factors: material from outside (in g or pieces; recycled:FACTOR=AMOUNT if it was used before) or "
    "transport (in kg km). In place of an input without a footprint: FACTOR=AMOUNT@LOT."
)
_ACCOUNTED = (_FACTORS, _LOCATION, _MARKET, _EMISSION)
_SOME = Field("quantity", Kind.NUMBER, help="How much; by default all that is left.", least=1, example=1)
_PARTS_HELP = "What is built in; without a quantity, 1."
_BUILT_IN = Field("components", Kind.MANY, required=False, option="--component", metavar="LOT=QUANTITY")
_TRANSFORMED = (
    Field("kind", Kind.CHOICE, help="What is done.", option="KIND").but(
        choices=act.words("TransformationKind", "split", "merge", "conversion")
    ),
    Field("inputs", Kind.MANY, help="What is used up.", option="--input", metavar="LOT=QUANTITY"),
    Field("outputs", Kind.MANY, help="A lot that is made.", option="--output", metavar="IDENTIFIER=QUANTITY"),
    _BUILT_IN.but(help="What is built in, and does not count as material."),
    act.OPERATION.but(help="The operation of the lots' order, from 1.", default=1),
    act.UNIT.but(required=False, help="Unit of the inputs; by default that of the first one.", default=None),
    Field("output_unit", required=False, help="Unit of the outputs; by default that of the inputs."),
    Field("loss", Kind.NUMBER, help="What is lost, in the outputs' unit.", default=0),
    Field("yields", help="Outputs' units for the inputs'.", option="--yield", metavar="OUT/IN", default="1/1"),
    CLAIMS,
    *_ACCOUNTED,
)
_CONVERTED = (
    Field("used", Kind.NUMBER),
    act.LOTS.but(required=False, label="converted"),
    Field("components", Kind.MANY, required=False),
    act.IDENTIFIER,
    Field("made", Kind.NUMBER),
    act.UNIT.but(default=None),
    _UNDER,
    CLAIMS,
)
_CARRIER = act.LOT.but(help="The lot that they are packed into.", option="CARRIER")
_WAIVE_HELP = (
    "Take a lot without what one inspector's gate asks for, as the buyer of its order.\n\n"
    "It holds for this lot as it is: not once that inspector certifies it again, or it is reworked. The lot's "
    "custodian may then lift that inspector's quarantine, and deliver the lot."
)
_ONWARD = "millmark custody offer {lot} --to COMPANY, or if it was made for you: millmark orders confirm ORDER {lot}"
_ALLOCATE = "Allocate a lot of no order to an order"
_SCRAP = "Take some of a lot out for good: scrapped, exported, sold, lost or recycled"
_UNPACK_RECLAIMABLE = "Unpack lots that a company has packed which has not been able to act for 14 days"
_RECLAIM = "Reclaim lots from a company that has not been able to act for 14 days"

ACTS = (
    on(About.ASSIGNMENT, "commissionLot", "/v1/lots/commission", "Create a lot under an assignment", _MAKER)
    .asks(*act.NEW_LOT, CLAIMS)
    .creates(SubjectKind.LOT)
    .shows(order=act.AN_ORDER, operation=0)
    .command(
        "lots commission",
        "https://id.gs1.org/01/09506000013459/21/A0006R --order order-7 --operation 1",
        thing=None,
        fields=(act.IDENTIFIER, act.ORDER, act.OPERATION, act.QUANTITY, act.UNIT, CLAIMS, *_ACCOUNTED),
    )
    .helps("Create a lot under an assignment that is started, as the company that works on it.")
    .says(
        "lot {subject} is commissioned",
        "once the operation is finished: millmark custody offer {identifier} --to COMPANY",
    )
    .form(),
    _new("receiveLot", "/v1/lots/receive", "Receive a lot from outside", HOLDERS)
    .asks(*act.NEW_LOT, CLAIMS)
    .creates(SubjectKind.LOT)
    .command(
        "lots receive",
        "urn:example:bar-12 --quantity 40 --unit KGM",
        fields=(*act.NEW_LOT, CLAIMS, _FACTORS, _EMISSION),
    )
    .helps("Receive a lot from outside the ledger.")
    .says("lot {subject} is received")
    .form(),
    _lot("transformLots", "/v1/lots/transform", "Split, merge or convert lots", HOLDERS)
    .creates(SubjectKind.LOT)
    .shows(**_SPLIT)
    .command(
        "lots transform",
        "split --input bar-12=40 --output urn:example:a=20 --output urn:example:b=20",
        thing=None,
        fields=_TRANSFORMED,
    )
    .helps("Split, merge or convert lots into new ones. Quantities must balance.")
    .says("made {subject}")
    .form(Field("parts", Kind.LONG), CLAIMS, called="splitLot")
    .form(act.LOTS.but(label="mates"), act.IDENTIFIER, CLAIMS, called="mergeLots")
    .form(*_CONVERTED, called="convertLots"),
    _lot("reworkLot", "rework", "Record the rework of a lot", _MAKER)
    .asks(act.OPERATION, _BUILT_IN.but(help=_PARTS_HELP, example=_COMPONENTS), CLAIMS)
    .command(
        "lots rework",
        "A0006R --operation 2 --component seal-3",
        fields=(act.OPERATION, _BUILT_IN.but(help=_PARTS_HELP), CLAIMS, *_ACCOUNTED),
    )
    .helps("Record the rework of a lot that keeps its identifier. Its certificates no longer decide.")
    .says("lot {lot} is reworked")
    .form(_UNDER, CLAIMS),
    on(About.ASSIGNMENT, "allocateLot", "/v1/orders/{subject}/allocate", _ALLOCATE, _MAKER)
    .asks(act.LOT, CLAIMS)
    .shows(operation=0)
    .command(
        "lots allocate",
        "bar-12 --order order-7 --operation 1",
        thing=None,
        fields=(act.LOT, act.ORDER, act.OPERATION, CLAIMS),
    )
    .says("lot {lot} is allocated to order {order}")
    .form(),
    _lot("deallocateLot", "deallocate", "Take a lot out of its order, into stock", _PARTIES)
    .asks(CLAIMS)
    .command("lots deallocate", "bar-12")
    .says("lot {lot} is in stock")
    .form(),
    _lot("scrapLot", "scrap", _SCRAP, HOLDERS)
    .asks(_SOME, _DISPOSITION, REASON)
    .command(
        "lots scrap",
        "A0006R --reason 'a crack at the edge'",
        fields=(REASON, _SOME.but(required=False), _DISPOSITION),
    )
    .says("{quantity} of lot {lot} is taken out: {disposition}")
    .form(grave=True),
    _lot("packLots", "pack", "Pack lots into this one", HOLDERS)
    .asks(act.LOTS.but(label="packed"))
    .command("lots pack", "pallet-1 A0006R A0007R", thing=_CARRIER)
    .helps("Pack lots into another one, with which they then travel.")
    .says("{count} packed into {lot}", "millmark custody offer {lot} --to COMPANY")
    .form(moves=True),
    _lot("unpackLots", "unpack", "Unpack lots from this one", HOLDERS)
    .asks(act.LOTS.but(label="unpacked"))
    .command("lots unpack", "pallet-1 A0006R", thing=_CARRIER.but(help="The lot that they are in."))
    .helps("Unpack lots from the one that they are in.")
    .says("{count} unpacked from {lot}")
    .form(),
    _lot("quarantineLot", "quarantine", "Quarantine a lot", HOLDERS)
    .asks(REASON)
    .command("lots quarantine", "A0006R A0007R --reason 'the gauge was not calibrated'", each=True)
    .helps("Quarantine lots: none of them can be handed on until it is released.")
    .says("lot {lot} is quarantined")
    # The first of the two records that sending back takes: whoever wants to do that looks for it under this name.
    .form(called="sendBack", then="returnLot", grave=True)
    .form(grave=True),
    _lot("releaseLot", "release", "Release a lot from quarantine", HOLDERS)
    .asks(REASON)
    .command("lots release", "A0006R --reason 'measured again'", each=True)
    .helps("Release lots from quarantine.")
    .says("lot {lot} is released")
    .form(),
    _lot("waiveGate", "waive", "Take a lot without what one gate of its order asks for", Role.BUYER)
    .asks(act.COMPANY.but(name="inspector", example=6), REASON)
    .command("certificates waive", "A0006R --inspector Lab --reason 'needed today, inspected here'")
    .helps(_WAIVE_HELP)
    .says("the gate of {inspector} is waived for lot {lot}")
    .form(grave=True),
    _moved("offerCustody", "/v1/custody/offer", "Offer lots to another company, or return them")
    .asks(CONSIGNMENT, act.COMPANY, CLAIMS)
    .command("custody offer", "pallet-1 --to Carrier", each=True)
    .helps("Offer lots to another company, each with all that is packed in it. They are yours until it accepts.")
    .says("lot {lot}{packed} is offered to {to}", "there: millmark custody accept {lot}")
    .form(moves=True),
    _lot("returnLot", "return", "Offer a quarantined lot to its maker", HOLDERS)
    .asks(CLAIMS)
    .command("lots return", "A0006R")
    .says("lot {lot} is offered to its maker")
    # The maker is sent what stands beside this record, not what stands beside that of the quarantine.
    .form(Field("note", Kind.LONG, "claims.reason", required=False, label="returnReason")),
    _moved("acceptCustody", "/v1/custody/accept", "Accept offered lots")
    .asks(CONSIGNMENT, OFFER, CLAIMS)
    .command(
        "custody accept",
        "pallet-1",
        each=True,
    )
    .helps(
        "Accept lots that are offered to you, each with all that is packed in it.\n\n"
        "Of what is less than was offered, or other, tell the giver after it: `millmark note LOT --kind complaint`."
    )
    .says("lot {lot}{packed} is yours", _ONWARD)
    .form(moves=True),
    _lot("declineCustody", "custody/decline", "Decline an offered lot", HOLDERS)
    .asks(OFFER, REASON)
    .command("custody decline", "pallet-1 --reason 'the seal is broken'", each=True)
    .helps("Decline lots that are offered to you. They stay with who offers them.")
    .says("lot {lot} is declined")
    .form(grave=True),
    _lot("withdrawCustody", "custody/withdraw", "Withdraw the offer of a lot", HOLDERS)
    .asks(REASON)
    .command("custody withdraw", "pallet-1 --reason 'the wrong pallet'", each=True)
    .helps("Withdraw the offer of lots.")
    .says("the offer of lot {lot} is withdrawn")
    .form(),
    _moved("reclaimCustody", "/v1/custody/reclaim", _RECLAIM)
    .asks(CONSIGNMENT, REASON)
    .command("custody reclaim", "pallet-1 --reason 'the carrier is insolvent'", each=True)
    .says("lot {lot}{packed} is reclaimed")
    .without_form("once in years, from a company that is gone: `millmark custody reclaim`"),
    _lot("unpackReclaimable", "unpack-reclaimable", _UNPACK_RECLAIMABLE, HOLDERS)
    .asks(act.LOTS.but(label="unpacked"))
    .command("custody unpack", "pallet-1 A0006R", thing=_CARRIER.but(help="The lot that they are in."))
    .helps(
        "Take lots out of one that may be reclaimed: they stay where they are, and each is then reclaimed by itself."
    )
    .says("{count} unpacked from {lot}", "millmark custody reclaim LOT...")
    .without_form("once in years, from a company that is gone: `millmark custody unpack`"),
)
