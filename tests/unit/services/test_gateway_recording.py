"""Having records made over HTTP: on the real contracts, through the real outbox, with real refusals."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from millmark.ledger.canonical import Json, sha256
from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import StoreError
from millmark.ledger.evidence import EvidenceLog, LeafKind
from millmark.ledger.ids import Identity, SubjectKind, identifier_hash
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import NameKey, verify_name
from millmark.ledger.products import build_order_document, configure
from millmark.ledger.provenance import open_reader
from millmark.ledger.records import ALL_ROLES, AcceptCustody, Item, ReceiveLot
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import AssignmentRow
from millmark.services.gateway.recording.bodies import body_of
from millmark.services.gateway.recording.build_records import Builder
from millmark.services.gateway.recording.writes import WRITES, Write
from millmark.services.idempotency.repository import AnswerRepository
from millmark.services.node.events import EventRefusedError
from millmark.services.node.intake import Lots
from millmark.services.products import Catalogue
from tests.support.company_site import PART, Site, open_site
from tests.support.gateway_client import build_caller
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.stores import new_store


@pytest.fixture(scope="module")
def world() -> LedgerWorld:
    return build_world()


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """For what records nothing."""
    yield from open_site(tmp_path_factory.mktemp("desk"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield from open_site(tmp_path)


def test_only_the_company_itself_has_a_record_made() -> None:
    assert all(write.rule.owner for write in WRITES)


def _identity(creator: int, kind: SubjectKind, identifier: str) -> Identity:
    return Identity(kind, creator, identifier, sha256(identifier.encode()))


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.operation)
def test_examples_are_bodies_that_make_the_record(write: Write, commands: Site) -> None:
    body = body_of(write.kind, write.found.given, write.found.asks)  # type: ignore[arg-type]  # mypy judges the class by its instances' hash
    members = body.model_validate(dict(write.example)).model_dump()
    with open_reader(commands.store) as reader:
        name = None if write.names is None else partial(_identity, commands.number, write.names)
        builder = Builder(reader.rows, name, lambda: bytes(32))
        if all(name in members for name in write.found.asks) and write.found.find is None:
            assert isinstance(builder.build(write.kind, members, {}), write.kind)
            assert (write.names is not None) is bool(builder.identities)


def _terms(site: Site) -> dict[str, Any]:
    """Of an order that the company coordinates itself."""
    return {
        "operations": 1,
        "coordinator": site.number,
        "due_at": "2100-01-01T00:00:00Z",
    }


def test_an_order_from_placing_to_delivery(site: Site) -> None:
    """By one company in all roles, through HTTP alone."""
    machine = site.final("/v1/machines", identifier="urn:example:press", claims={"maker": "Cedar"})["sequence"]
    stream = site.final("/v1/streams", identifier="urn:example:press:log", machine=machine)["subjects"][0]
    terms = {**_terms(site), "quantity": 1, "unit": "H87", "claims": {"size": "L"}}
    placed = site.final("/v1/orders", identifier="urn:example:order", terms=terms)
    order = placed["subjects"][0]
    assert site.caller.ask(f"/v1/orders/{order}").json()["identifier"] == "urn:example:order"
    site.final(f"/v1/orders/{order}/accept")
    assignment = site.final("/v1/assignments", order=order, operation=0, machine=machine)["sequence"]
    site.final(f"/v1/assignments/{assignment}/accept")
    site.final(f"/v1/assignments/{assignment}/start", stream=stream, claims={"by": "shift 2"})
    made = site.final(
        "/v1/lots/commission", identifier=PART, order=order, operation=0, quantity=1, unit="H87", claims={"heat": 7}
    )
    lot = made["subjects"][0]
    asked = Lots(site.store)  # as a node asks
    asked.connect(site.world.chain)
    assert asked.find_order(bytes.fromhex(lot[2:]), None) == bytes.fromhex(order[2:])
    for wrong in ("0x" + "00" * 32, "0x" + "77" * 32):
        with pytest.raises(EventRefusedError, match="belongs to the order of record"):
            asked.find_order(bytes.fromhex(lot[2:]), wrong)
    again = site.post("/v1/lots/receive", {"identifier": PART, "quantity": 1, "unit": "H87"})
    assert (again.status_code, f"there is a lot {PART} already: {lot}" in again.json()["detail"]) == (409, True)
    leaf = "0x" + "11" * 32
    site.final(f"/v1/streams/{stream}/anchors", size=1, root=leaf)
    site.final(f"/v1/assignments/{assignment}/finish", stream=stream, leaf_index=0, leaf_hash=leaf)
    site.final(f"/v1/lots/{lot}/quarantine", reason={"text": "a scratch"})
    site.final(f"/v1/lots/{lot}/release")
    site.final(f"/v1/orders/{order}/complete")
    assert site.record(f"/v1/orders/{order}/confirm-delivery")["refusal"]["name"] == "OrderUndelivered"
    site.final(f"/v1/orders/{order}/confirm-delivery", lots=[lot])
    trace = site.caller.ask(f"/v1/trace/{PART}").json()
    assert (trace["lot"]["subject"], trace["order"]["state"]) == (lot, "delivered")
    with site.store.reading() as connection:
        kept = Book(connection).document(bytes.fromhex(trace["lot"]["claims_root"][2:]))
    assert kept is not None
    assert parse_claims(json.loads(kept)).document == {"heat": 7}


def test_an_assignment_is_finished_with_the_entry_that_the_gateway_keeps(site: Site) -> None:
    """By the event's id, or by its index: the hash is supplied or checked, since the contract would take any."""
    machine = site.final("/v1/machines", identifier="urn:example:mill")["sequence"]
    stream = site.final("/v1/streams", identifier="urn:example:mill:log", machine=machine)["subjects"][0]
    order = site.final("/v1/orders", identifier="urn:example:o9", terms={**_terms(site), "operations": 3})["subjects"][
        0
    ]
    site.final(f"/v1/orders/{order}/accept")
    log, raw = EvidenceLog(), bytes.fromhex(stream[2:])
    paths = []
    for operation in range(3):
        number = site.final("/v1/assignments", order=order, operation=operation, machine=machine)["sequence"]
        paths.append(f"/v1/assignments/{number}")
        site.final(f"{paths[-1]}/accept")
    early = site.post(f"{paths[0]}/finish", {"event": "mill-0"})
    assert (early.status_code, "is not started" in early.json()["detail"]) == (400, True)
    for path in paths:
        site.final(f"{path}/start", stream=stream)
    for place in range(4):
        data: Json = {"id": f"mill-{place % 3}", "force_n": place}
        log.append({"id": f"mill-{place}" if place else 'odd"%_\\', "data": data}, b"s" * 32)
    log.append({"id": "a plan"}, b"s" * 32, LeafKind.PLAN)
    with site.store.transaction() as connection:
        Book(connection).add_evidence(raw, log.entries)
    site.final(f"/v1/streams/{stream}/anchors", size=5, root="0x" + log.tree.root(5).hex())
    leaves = ["0x" + entry.leaf_hash.hex() for entry in log.entries]
    finish = f"{paths[0]}/finish"
    for wrong, status, said in (
        ({"leaf_index": 1, "leaf_hash": "0x" + "00" * 31 + "01"}, 400, f"has the leaf hash {leaves[1]}"),
        ({"leaf_index": 1, "leaf_hash": leaves[2]}, 400, f"has the leaf hash {leaves[1]}"),
        ({"event": "mill-1", "leaf_hash": leaves[2]}, 400, f"has the leaf hash {leaves[1]}"),
        ({"event": "mill-0"}, 404, "no event 'mill-0' is kept here"),
        ({"event": "mill-1", "leaf_index": 1}, 400, "give either leaf_index or event"),
        ({}, 400, "give either leaf_index or event"),
        ({"leaf_index": 4}, 400, "is of the kind plan, which shows neither work nor a measurement"),
        ({"leaf_index": 5}, 400, "entry 5 of the stream is not kept here"),
    ):
        answer = site.post(finish, wrong)
        assert (answer.status_code, said in json.dumps(answer.json(), ensure_ascii=False)) == (status, True), (
            answer.text
        )
    site.final(finish, event='odd"%_\\')
    site.final(f"{paths[1]}/finish", leaf_index=2)
    site.final(f"{paths[2]}/finish", event="mill-3", stream=stream, leaf_hash=leaves[3])
    with site.store.reading() as connection:
        rows = Rows(connection).find(AssignmentRow, order=bytes.fromhex(order[2:]))
    kept = {row.operation: (row.leaf_index, "0x" + (row.leaf_hash or b"").hex()) for row in rows}
    assert kept == {0: (0, leaves[0]), 1: (2, leaves[2]), 2: (3, leaves[3])}


def test_a_revision_is_accepted_by_its_number_and_a_record_is_corrected(site: Site) -> None:
    terms = {**_terms(site), "operations": 2}
    other = site.world.admit(Outbox(site.store), ALL_ROLES)
    Follower(site.world.chain, site.store).follow()
    order = site.final("/v1/orders", identifier="urn:example:o2", terms=terms)["subjects"][0]
    site.final(f"/v1/orders/{order}/accept")
    proposal = site.final(f"/v1/orders/{order}/revisions", terms={**terms, "operations": 3})["sequence"]
    fate = site.record(f"/v1/orders/{order}/revisions/{proposal}/accept")
    assert fate["state"] == "final"  # one company on both sides agrees with itself
    corrected = site.record("/v1/notes", subjects=[order], kind=6, about=proposal, claims={"text": "a slip"})
    assert corrected["state"] == "final"
    assert other.address


def _ordered(site: Site, **options: object) -> dict[str, Any]:
    """Terms of an order for a crankshaft."""
    chosen = {"stroke_mm": 100, "finish": "polished", "bearings": "sputtered", **options}
    document = build_order_document(configure(Catalogue().find("crankshaft"), chosen))
    return {**_terms(site), "operations": 3, "claims": document, "quantity": 1, "unit": "H87"}


def test_an_order_for_a_product_is_placed_and_revised_as_its_route_says(site: Site) -> None:
    terms = _ordered(site, engraving="für Mara")
    order = site.final("/v1/orders", identifier="urn:example:shaft", terms=terms)["subjects"][0]
    site.final(f"/v1/orders/{order}/accept")
    root = site.caller.ask(f"/v1/orders/{order}").json()["claims_root"]
    agreed = {"quantity": 1, "unit": "H87"}
    later = {**_terms(site), "operations": 3, "claims_root": root, "due_at": "2101-01-01T00:00:00Z", **agreed}
    site.final(f"/v1/orders/{order}/revisions", terms=later)
    for wrong in ({**later, "operations": 2}, {**_ordered(site), "operations": 4}):
        answer = site.post(f"/v1/orders/{order}/revisions", {"terms": wrong})
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:millmark:problem:specification-refused")
        assert f"this crankshaft takes 3 operations, not {wrong['operations']}" in answer.json()["detail"]
    for path, terms in (("/v1/orders", _ordered(site)), (f"/v1/orders/{order}/revisions", later)):
        none = {name: value for name, value in terms.items() if name not in agreed}
        answer = site.post(
            path, {"terms": none, **({"identifier": "urn:example:none"} if path == "/v1/orders" else {})}
        )
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:millmark:problem:specification-refused")
        assert "does not say how many pieces of crankshaft" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "code", "refused"),
    [
        ({"operations": {}}, "specification-refused", "are not those of the product's route"),
        ({"product": "{}"}, "product-malformed", "not a product document"),
        ({"product": None, "specification": {"options": {}}}, "specification-refused", "material is missing"),
        ({"specification": {"options": {"colour": "red"}}}, "specification-refused", "has no option 'colour'"),
        ({"specification": {"product": "0x12"}}, "specification-refused", "not 32 bytes in hexadecimal"),
        ({"specification": {"price": 1}}, "specification-refused", "does not have the members"),
    ],
)
def test_a_specification_that_its_product_does_not_allow_is_not_recorded(
    change: dict[str, Any], code: str, refused: str, commands: Site
) -> None:
    """Whether the product is in the document, or one that the gateway knows."""
    terms = _ordered(commands)
    changed = {"specification": {**terms["claims"]["specification"], **change.get("specification", {})}}
    document = {**terms["claims"], **change, **changed}
    claims = {name: value for name, value in document.items() if value is not None}
    answer = commands.post("/v1/orders", {"identifier": "urn:example:x", "terms": {**terms, "claims": claims}})
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (400, f"urn:millmark:problem:{code}"), problem
    assert refused in problem["detail"]
    assert "PlaceOrder" not in {one["kind"] for one in commands.caller.ask("/v1/records").json()["items"]}


def test_a_specification_of_a_product_that_nobody_here_knows_is_taken_as_it_is(site: Site) -> None:
    claims = {"specification": {"product": "0x" + "12" * 32, "options": {"colour": "red"}}}
    site.final("/v1/orders", identifier="urn:example:unknown", terms={**_terms(site), "claims": claims})


def test_n1_a_note_on_what_the_company_handed_over(site: Site) -> None:
    """The gateway finds what shows the company's part: here the name that the maker gave the lot."""
    lot = site.final("/v1/lots/receive", identifier="urn:example:noted", quantity=1, unit="H87")["subjects"][0]
    other = site.world.admit(Outbox(site.store), ALL_ROLES)
    Follower(site.world.chain, site.store).follow()
    offer = site.final("/v1/custody/offer", lots=[lot], to=site.number + 1)["sequence"]
    site.world.submitter(Outbox(site.store), other).submit(
        [("take", AcceptCustody((Item(bytes.fromhex(lot[2:]), bytes(32)),), offer, bytes(32)))]
    )
    site.world.submitter(Outbox(site.store), other).drain()
    site.final("/v1/notes", subjects=[lot], kind=2, claims={"text": "stop using it"})
    assert site.record("/v1/notes", subjects=["0x" + "77" * 32], kind=2)["refusal"]["name"] == "NoteSubjectUnknown"


def test_a_thousand_lots_move_together_and_no_more(site: Site) -> None:
    lots = [f"0x{number:064x}" for number in range(1, 1002)]
    most = site.record("/v1/custody/offer", lots=lots[:1000], to=site.number + 1)
    assert most["refusal"]["name"] == "HistoryParticipantUnfit", "it reached the contract, which knows none of them"
    over = site.post("/v1/custody/offer", {"lots": lots, "to": site.number + 1})
    assert (over.status_code, "1000" in over.text) == (422, True), over.text


def test_an_order_in_production_is_ended_as_proposed(site: Site) -> None:
    machine = site.final("/v1/machines", identifier="urn:example:lathe")["sequence"]
    stream = site.final("/v1/streams", identifier="urn:example:lathe:log", machine=machine)["subjects"][0]
    order = site.final("/v1/orders", identifier="urn:example:o3", terms=_terms(site))["subjects"][0]
    site.final(f"/v1/orders/{order}/accept")
    assignment = site.final("/v1/assignments", order=order, operation=0, machine=machine)["sequence"]
    site.final(f"/v1/assignments/{assignment}/accept")
    site.final(f"/v1/assignments/{assignment}/start", stream=stream)
    proposal = site.final(f"/v1/orders/{order}/ends", reason={"text": "the customer is gone"})["sequence"]
    assert site.caller.ask(f"/v1/orders/{order}").json()["state"] == "in_production"
    assert site.post(f"/v1/orders/{order}/ends/{proposal - 1}/accept", {}).status_code == 404
    assert site.post(f"/v1/orders/{order}/revisions/{proposal}/accept", {}).status_code == 404
    site.final(f"/v1/orders/{order}/ends/{proposal}/accept")
    assert site.caller.ask(f"/v1/orders/{order}").json()["state"] == "ended"


def test_an_order_whose_sides_are_there_is_not_ended_without_a_proposal(site: Site) -> None:
    placed = site.final("/v1/orders", identifier="urn:example:order-of-nobody", terms=_terms(site))
    fate = site.record(f"/v1/orders/{placed['subjects'][0]}/ends/0/accept", claims={"why": "nobody is left"})
    assert (fate["state"], fate["refusal"]["name"]) == ("failed", "OrderAgreementMissing")


def test_a_refusal_has_the_contracts_error_by_name_and_values(site: Site) -> None:
    lot = site.final("/v1/lots/receive", identifier="urn:example:bar", quantity=3, unit="KGM")["subjects"][0]
    fate = site.record(f"/v1/lots/{lot}/scrap", quantity=5, disposition="scrapped", reason={"text": "rust"})
    assert (fate["state"], fate["done"], fate["sequence"]) == ("failed", True, None)
    assert fate["refusal"]["name"].startswith("Lot")
    assert lot in fate["refusal"]["values"].values() or 5 in fate["refusal"]["values"].values()
    unknown = site.record(f"/v1/orders/0x{'77' * 32}/accept")
    assert unknown["refusal"]["name"].startswith("Order")
    listed = site.caller.ask("/v1/records?state=failed&limit=1").json()
    assert [one["id"] for one in listed["items"]] == [unknown["id"]]
    assert listed["next"] is not None


def test_what_was_acknowledged_outlives_a_crash_before_it_was_sent(site: Site) -> None:
    answer = site.post("/v1/lots/receive", {"identifier": "urn:example:crash", "quantity": 1, "unit": "H87"})
    before = site.world.count()
    site.start()
    assert site.caller.ask(answer.headers["location"]).json()["state"] == "queued"
    site.send()
    assert site.caller.ask(answer.headers["location"]).json()["state"] == "final"
    assert site.world.count() == before + 1


def test_a_crash_between_the_record_and_its_answer_doubles_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    body, before = {"identifier": "urn:example:twice", "quantity": 1, "unit": "H87"}, site.world.count()
    with monkeypatch.context() as broken:
        broken.setattr(AnswerRepository, "finish", lambda *_: (_ for _ in ()).throw(StoreError("the disk is full")))
        assert site.post("/v1/lots/receive", body, "the-same-key").status_code == 503
    site.start()
    again = site.post("/v1/lots/receive", body, "the-same-key")
    third = site.post("/v1/lots/receive", body, "the-same-key")
    assert (again.status_code, again.json()["id"]) == (202, third.json()["id"])
    site.send()
    assert site.world.count() == before + 1
    found = site.caller.ask("/v1/lots?identifier=urn:example:twice").json()["items"]
    assert [one["subject"] for one in found] == again.json()["subjects"]


def test_an_identifier_of_its_own_names_one_thing_only(site: Site) -> None:
    body = {"identifier": "urn:example:only", "quantity": 1, "unit": "H87"}
    assert site.post("/v1/lots/receive", body).status_code == 202
    for state in ("is queued", "there is a lot urn:example:only already"):
        again = site.post("/v1/lots/receive", {**body, "identifier": "URN:EXAMPLE:only"})
        assert (again.status_code, again.json()["type"]) == (409, "urn:millmark:problem:name-taken")
        assert state in again.json()["detail"]
        site.send()
    site.final("/v1/machines", identifier="urn:example:only")  # of another kind
    salted = _identity(site.number, SubjectKind.LOT, "urn:example:salted")
    with site.store.transaction() as connection:
        Book(connection).add_identity(salted)
    record = ReceiveLot(identifier_hash(salted.salt, salted.identifier), 1, b"H87", bytes(32))
    site.world.submitter(Outbox(site.store), site.signer).submit([("elsewhere", record)])
    site.send()
    second = site.post("/v1/lots/receive", {**body, "identifier": "urn:example:salted"})
    assert (second.status_code, second.json()["type"]) == (409, "urn:millmark:problem:name-taken")
    registered = site.name_keys[0]
    site.name_keys.append(NameKey(b"\x05" * 32))
    site.start()
    early = site.post("/v1/lots/receive", {**body, "identifier": "urn:example:early"})
    assert (early.status_code, early.json()["type"]) == (503, "urn:millmark:problem:name-key-not-configured")
    assert "is not registered yet" in early.json()["detail"]
    site.set_name_key(site.name_keys[1])
    again = site.post("/v1/lots/receive", body)  # also after a change of keys
    assert (again.status_code, again.json()["type"]) == (409, "urn:millmark:problem:name-taken")
    site.final("/v1/lots/receive", **{**body, "identifier": "urn:example:second"})
    site.name_keys[:] = [site.name_keys[1]]
    site.start()
    lacking = site.post("/v1/lots/receive", {**body, "identifier": "urn:example:third"})
    assert (lacking.status_code, lacking.json()["type"]) == (503, "urn:millmark:problem:name-key-not-configured")
    assert registered.hash.hex() in lacking.json()["detail"]


def test_a_program_without_the_name_key_asks_for_a_name(site: Site) -> None:
    wanted = {"kind": "lot", "identifier": "URN:EXAMPLE:edge"}
    first, second = (site.caller.ask("/v1/names", "POST", wanted) for _ in range(2))
    assert (first.status_code, first.json()) == (200, second.json())
    name = first.json()
    assert (name["creator"], name["identifier"]) == (site.number, "urn:example:edge")
    proofs = [bytes.fromhex(one[2:]) for one in name["proofs"]]
    hashes = [key.hash for key in site.name_keys]
    verify_name(site.world.chain, SubjectKind.LOT, site.number, "urn:example:edge", proofs, hashes)
    record = ReceiveLot(bytes.fromhex(name["identifier_hash"][2:]), 1, b"H87", bytes(32))
    site.world.submitter(Outbox(site.store), site.signer).submit([("edge", record)])
    site.send()
    [lot] = site.caller.ask("/v1/lots?identifier=urn:example:edge").json()["items"]
    assert lot["subject"] == name["subject"]
    taken = site.caller.ask("/v1/names", "POST", wanted)
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:millmark:problem:name-taken")


def test_without_a_registered_name_key_nothing_is_named(world: LedgerWorld, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        signer = world.admit(Outbox(store), ALL_ROLES)
        Follower(world.chain, store).follow()
        bare = Site(store, world, signer, number=world.participants())
        answer = bare.post("/v1/lots/receive", {"identifier": "urn:example:a", "quantity": 1, "unit": "H87"})
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:millmark:problem:name-key-not-configured")
        assert "has not registered a name key" in answer.json()["detail"]


def test_another_body_under_the_key_is_refused(site: Site) -> None:
    body = {"identifier": "urn:example:one", "quantity": 1, "unit": "H87"}
    assert site.post("/v1/lots/receive", body, "one-key-for-two").status_code == 202
    assert site.post("/v1/lots/receive", {**body, "quantity": 2}, "one-key-for-two").status_code == 422
    assert len(Outbox(site.store).page(2**62, 10, "queued")) == 1


RECEIVE: dict[str, Any] = {"identifier": "urn:example:x", "quantity": 1, "unit": "H87"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 400),
        ([], 422),
        ({}, 422),
        ({**RECEIVE, "participant": 3}, 422),
        ({**RECEIVE, "identifier_hash": "0x" + "11" * 32}, 422),
        ({**RECEIVE, "salt": "0x" + "11" * 32}, 422),
        ({**RECEIVE, "quantity": "1"}, 422),
        ({**RECEIVE, "quantity": True}, 422),
        ({**RECEIVE, "quantity": 1.5}, 422),
        ({**RECEIVE, "quantity": -1}, 422),
        ({**RECEIVE, "quantity": 2**40}, 422),
        ({**RECEIVE, "unit": "h87"}, 422),
        ({**RECEIVE, "unit": "H87X"}, 422),
        ({**RECEIVE, "identifier": ""}, 422),
        ({**RECEIVE, "identifier": "no uri"}, 400),
        ({**RECEIVE, "identifier": "https://id.gs1.org/01/09506000134353/21/1"}, 400),
        ({**RECEIVE, "claims": "text"}, 422),
        ({**RECEIVE, "claims": {"a": 2**60}}, 400),
        ({**RECEIVE, "claims_root": "0x12"}, 422),
        ({**RECEIVE, "claims_root": "0x" + "AB" * 32}, 422),
        ({**RECEIVE, "claims": {}, "claims_root": "0x" + "11" * 32}, 400),
    ],
)
def test_bodies_that_record_nothing(commands: Site, body: object, status: int) -> None:
    assert commands.post("/v1/lots/receive", body).status_code == status
    assert Outbox(commands.store).counts().get("queued", 0) == 0


@pytest.mark.parametrize("day", ["2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z"])
def test_days_that_there_are_not(commands: Site, day: str) -> None:
    body = {"defective_since": day}
    assert commands.post("/v1/models/1/withdraw", body).status_code == 400


def test_what_the_path_names_must_be_there_where_the_index_is_asked(commands: Site) -> None:
    assert commands.post("/v1/assignments/99999/accept", {}).status_code == 404
    assert commands.post("/v1/certificates/99999/revoke", {}).status_code == 404
    assert commands.post(f"/v1/orders/0x{'11' * 32}/revisions/7/accept", {}).status_code == 404
    assert commands.caller.ask("/v1/records/99999").status_code == 404


def test_without_a_key_nothing_is_recorded_and_it_is_said(site: Site) -> None:
    caller = build_caller(site.store)
    answer = caller.ask("/v1/lots/receive", "POST", RECEIVE, Idempotency_Key="a-key-of-mine")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:millmark:problem:signer-not-configured")
    stranger = Site(site.store, site.world, LocalSigner.generate())
    assert stranger.post("/v1/lots/receive", RECEIVE).status_code == 503


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.operation)
def test_no_body_takes_a_member_that_it_does_not_have(write: Write, commands: Site) -> None:
    """Mass assignment: in every body and in every struct of it."""
    example = dict(dict(write.example))
    path = write.path.replace("{subject}", "0x" + "77" * 32).replace("{id}", "9")
    for name in ("participant", "signer", "sequence", "state", "custodian", "owner", "key", "__proto__"):
        if name in example:
            continue
        assert commands.post(path, {**example, name: 1}).status_code == 422
        for member, value in example.items():
            if isinstance(value, dict) and member in ("terms",):
                assert commands.post(path, {**example, member: {**value, name: 1}}).status_code == 422
            if isinstance(value, list) and isinstance(value[0], dict):
                assert commands.post(path, {**example, member: [{**value[0], name: 1}]}).status_code == 422


def test_body_examples_fit_the_document(commands: Site) -> None:
    document = commands.caller.ask("/openapi.json").json()
    checked = 0
    for taken in document["paths"].values():
        for operation in taken.values():
            for body in operation.get("requestBody", {}).get("content", {}).values():
                for example in body.get("examples", {}).values():
                    schema = {**body["schema"], "components": document["components"]}
                    jsonschema_rs.validator_for(schema, validate_formats=True).validate(example["value"])
                    checked += 1
    assert checked >= len(WRITES)
