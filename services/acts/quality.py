"""Acts about certificates and models, machines and their streams, and acts about records themselves."""

from __future__ import annotations

from functools import partial
from typing import Any

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import NoteKind, Role
from millmark.services.acts import act
from millmark.services.acts.act import CLAIMS, REASON, About, Field, Kind, on

_INSPECTOR, _AUDITOR = Role.INSPECTOR, Role.AUDITOR
_MEASURING = Role.MANUFACTURER | _INSPECTOR
_LOGGING = _MEASURING | Role.COORDINATOR | _AUDITOR
_SIGNED = "by an inspector's own key: `millmark quality "
_AS_FILE = "a model is a file with a card: `millmark quality register`"
_new, _model = partial(on, About.NOTHING), partial(on, About.MODEL)
_certificate = partial(on, About.CERTIFICATE)

_VERDICT = Field("verdict", Kind.CHOICE, help="What the procedure found.").but(
    choices=act.words("act.verdict", "pass", "fail"), example="pass"
)
_EXPIRES = Field("expires_at", Kind.MOMENT, option="--until", example="2027-03-02T09:30:00Z").but(
    help="Day or time until which the certificate is valid."
)
_PROCEDURE = Field("procedure", help="The procedure's document: its SHA-256 is recorded.", metavar="FILE")
_MEASURED = Field("event", help="Id of the measured event, as the node was sent it.")
_CERTIFIED = (act.LOTS, _VERDICT, _PROCEDURE, _EXPIRES, act.STREAM, _MEASURED, CLAIMS)
_REPORT = Field("report", Kind.LONG, "report.text", example="measured again, as the card says")
_SINCE = Field("defective_since", Kind.MOMENT, example="2026-02-01T00:00:00Z")
_ADDED = (
    act.STREAM.but(help="The stream: identifier, its last part, or subject.", option="STREAM"),
    Field("event", help="Id of the event, which no other one in the stream has."),
    Field("value", Kind.MANY, required=False, metavar="NAME=VALUE").but(
        help="What was measured: a whole number, or text."
    ),
    Field("data", required=False, metavar="FILE", help="JSON file with what was measured."),
)
_CAPABILITY = Field("capability", required=False, metavar="FILE").but(
    help="JSON file with what it can do: kinds of operation and limits."
)
_NOTED = Field("lots", Kind.HIDDEN, label="notedLots")
"""Numbers of lots, which are shorter than their subjects: they have to fit into an address."""
_TEXT = Field("text", Kind.LONG, "claims.text", label="noticeText", example="stop using it").but(
    help="What is said; only its salted hash goes on the chain."
)
_KINDS = ", ".join(kind.name.lower().replace("_", "-") for kind in NoteKind)
_SAID = (
    Field("things", Kind.MANY, help="Lots and orders: identifiers or subjects.", option="THING..."),
    _TEXT,
    Field("kind", help=f"{_KINDS}, or a number agreed on.", default="observation"),
    Field("about", Kind.NUMBER, required=False, help="Number of the earlier record that it is about.", least=1),
)
_REVOKE_HELP = (
    "Revoke a certificate of your company, irreversibly.\n\n"
    "A revoked certificate satisfies no gate; it can still be challenged, and refuted. A quarantine that its verdict "
    "caused stays, but the lot's custodian may lift it."
)
_DEMAND_HELP = (
    "Demand that a certificate be opened within seven days; it is not valid if it is not opened by then.\n\n"
    "Of a pass, the buyer and the coordinator of the lot's order can demand it; of a fail, the lot's custodian and its "
    "maker; of either, any auditor. Once per hour. "
    "Until it is opened, or the lot reworked, no other certificate of the inspector satisfies the order's gate."
)
_MEASUREMENT = Field("measurement", Kind.CHOICE)
_STREAM_NAME = act.IDENTIFIER.but(label="stream_name", example="urn:example:press-3:telemetry")
_OF_MACHINE = act.MACHINE.but(required=False, help="Its machine; none for plans and logs without one.")
_OPENED = (act.IDENTIFIER, _OF_MACHINE, CLAIMS)
_PUBLISH = "Register a quality model and publish it on the chain"
_OPEN = "Open a certificate of your company, as is demanded, which publishes what was measured"


def _note(kind: NoteKind) -> dict[str, Any]:
    return {"states": {"kind": int(kind)}, "leads_to": "/portal/cases"}


ACTS = (
    on(About.LOT, "issueCertificate", "/v1/certificates", "Issue a certificate", _INSPECTOR)
    .asks(act.LOTS, _VERDICT, _EXPIRES, act.STREAM, act.LEAF_INDEX, act.LEAF_HASH)
    .shows(model=9, inference_digest="0x" + "77" * 32)
    .command(
        "certificates issue",
        "A6 --verdict pass --procedure iso.pdf --until 2027-12-01 --stream gauge --event g-7",
        thing=None,
        fields=_CERTIFIED,
        states={"model": 0},
    )
    .helps("Certify up to 64 lots by a procedure, as an inspector. Verdicts by a model come from the node.")
    .says("certificate {sequence}: {verdict} for {lots}")
    .form(
        *(_VERDICT, _PROCEDURE.but(kind=Kind.LONG, member="claims.procedure"), _MEASUREMENT, _EXPIRES),
        called="certifyLot",
    ),
    _certificate("revokeCertificate", "revoke", "Revoke a certificate", _INSPECTOR)
    .asks(REASON)
    .command("certificates revoke", "412 --reason 'the gauge was not calibrated'")
    .helps(_REVOKE_HELP)
    .says("certificate {certificate} is revoked", "what it reached: millmark trace LOT")
    .form(grave=True),
    _certificate("demandOpening", "demand-opening", "Demand the opening of a certificate's inference", None)
    .command("certificates demand", "412")
    .helps(_DEMAND_HELP)
    .says("certificate {certificate} must be opened within seven days")
    .form(),
    _certificate("openCertificate", "open", _OPEN, _INSPECTOR)
    .of("Challenge")
    .asks(Field("publish_window", Kind.TICK, example=True))
    .without_command(f"{_SIGNED}challenge`")
    .form(),
    _new("openStream", "/v1/streams", "Open an evidence stream for a machine, or for none", _LOGGING)
    .asks(_STREAM_NAME, act.MACHINE.but(kind=Kind.THING))
    .creates(SubjectKind.STREAM)
    .command("streams open", "urn:example:LATHE-2-log --machine LATHE-2", fields=_OPENED)
    .helps("Open an evidence stream of a machine, or of a coordinator or auditor for plans and logs without one.")
    .says(
        "stream {identifier} is open: {subject}",
        "once {machine} has measured something: millmark streams add {identifier} --event ID --value NAME=VALUE",
    )
    .form(about=About.MACHINE),
    _new("anchor", "/v1/streams/{subject}/anchors", "Anchor an evidence stream", _LOGGING)
    .shows(size=4, root="0x" + "99" * 32)
    .command(
        "streams add", "LATHE-2-log --event press-2026-118 --value diameter_um=40012", fields=_ADDED, told=("size",)
    )
    .helps(
        "Add a measured event to a stream that no node captures, and anchor it. The event stays in the private book."
    )
    .says(
        "event {event} is entry {size} of stream {stream}",
        "as work that is done: millmark assignments finish NUMBER --event {event}",
        "as an inspector: millmark certificates issue LOT... --stream {stream} --event {event} --verdict pass "
        "--procedure FILE --until DAY",
    )
    .without_form("nodes anchor what they capture; a root by hand would be of evidence that nobody keeps"),
    _new("registerMachine", "/v1/machines", "Register a machine", _MEASURING)
    .asks(act.IDENTIFIER.but(example="urn:example:press-3"), CLAIMS)
    .creates(SubjectKind.MACHINE)
    .command(
        "machines register",
        "urn:example:LATHE-2 --capability lathe.json",
        fields=(act.IDENTIFIER, _CAPABILITY, CLAIMS),
    )
    .helps("Register a machine of your company, with what it can do: plans choose among the machines that are capable.")
    .says("machine {sequence} is {identifier}", "millmark streams open {whole}-log --machine {identifier}")
    .without_form("what a machine can do is in a document, on which plans rest: `millmark machines register`"),
    on(About.MACHINE, "retireMachine", "retire", "Retire a machine", _MEASURING)
    .asks(REASON)
    .command("machines retire", "LATHE-2 --reason 'sold'")
    .helps("Retire a machine: it can be assigned no more.")
    .says("machine {machine} is retired")
    .form(grave=True),
    _new("registerModel", "/v1/models", "Register a quality model by its digest", _INSPECTOR)
    .shows(digest="0x" + "66" * 32, card={"accuracy": "0.93"})
    .without_command(f"{_SIGNED}register`")
    .without_form(_AS_FILE),
    _new("publishModel", "/v1/models/publish", _PUBLISH, _INSPECTOR, body_bytes=128 * 1024)
    .shows(content="0x" + "4d" * 32)
    .without_command(f"{_SIGNED}publish`")
    .without_form(_AS_FILE),
    _model("approveModel", "approve", "Approve a quality model", _AUDITOR)
    .asks(_REPORT)
    .without_command("by an auditor's own key: `millmark quality approve`")
    .form(),
    _model("openModel", "open", "Open a quality model to other inspectors, or close it", _INSPECTOR)
    .asks(Field("open", Kind.TICK, example=True))
    .without_command(f"{_SIGNED}open`")
    .form(),
    _model("retireModel", "retire", "Retire a quality model: its verdicts stand", _INSPECTOR)
    .asks(REASON)
    .without_command(f"{_SIGNED}retire`")
    .form(grave=True),
    _model("withdrawModel", "withdraw", "Withdraw a quality model", _INSPECTOR | _AUDITOR)
    .asks(_SINCE, REASON)
    .without_command(f"{_SIGNED}withdraw`")
    .form(grave=True),
    _new("note", "/v1/notes", "Say something about orders or lots that your company has a part in", None)
    .asks(_TEXT)
    .shows(subjects=[act.A_LOT], kind=2)
    .command("note", "A0006R --kind recall-notice --text 'stop using it'", fields=_SAID)
    .helps("Say something about lots or orders that your company has a part in. It changes no state.")
    .says("a note on {count} histories")
    .form(_NOTED, _TEXT, called="recallNotice", opens="cases", grave=True, **_note(NoteKind.RECALL_NOTICE))
    .form(_NOTED, _TEXT.but(required=False), called="acknowledgeNotice", **_note(NoteKind.ACKNOWLEDGEMENT))
    .form(_NOTED, _TEXT, called="resolveNotice", **_note(NoteKind.RESOLUTION))
    .form(_NOTED, _TEXT, called="closeCase", grave=True, **_note(NoteKind.RESOLUTION))
    .form(_TEXT, called="complain", about=About.LOT, states={"kind": int(NoteKind.COMPLAINT)}),
    _new("objectToRecovery", "/v1/recovery/objection", "Object to the recovery of your company's keys", None)
    .without_command("by whichever key there is: `millmark keys object`")
    .form(grave=True),
)
