"""Business acts as commands, in front of one company's gateway on the embedded chain: what people type and read."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.claims import parse_claims
from millmark.ledger.errors import InputError
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import NameKey
from millmark.ledger.records import ALL_ROLES, NoteKind
from millmark.ledger.store import Book, Rows, Store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import LotRow, OrderRow, RecordRow
from millmark.services.client import Client, Retries
from millmark.services.commands.acts.custody import KINDS
from millmark.services.commands.acts.words import operation, quantities, short
from tests.support.command_line import Runner
from tests.support.company_site import Site, found
from tests.support.footprints import FACTORS
from tests.support.gateway_client import Bridge, Pauses
from tests.support.ledger_world import Founded, LedgerWorld
from tests.support.stores import new_store

ROOT = Path(__file__).parents[4]
LINK = "https://id.gs1.org/01/09506000134352/21/"


def _found(world: LedgerWorld, store: Store) -> tuple[tuple[LocalSigner, NameKey, int], LocalSigner]:
    """The first company with everything, and a second one without names of its own."""
    first = found(world, store)
    return first, world.admit(Outbox(store), ALL_ROLES)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Site]]:
    """Two companies, each with its own database and gateway, by the names of their homes."""
    homes = {name: tmp_path_factory.mktemp(name) for name in ("forge", "buyer")}
    with new_store(homes["forge"]) as store, new_store(homes["buyer"]) as other:
        world, ((signer, key, number), second) = Founded(_found).copy(store)
        forge = Site(store, world, signer, number=number, name_keys=[key])
        yield {"forge": forge, "buyer": Site(other, world, second, number=number + 1)}


@pytest.fixture
def at(
    sites: dict[str, Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Runner]:
    """Commands of either company. Each record is sent as soon as its gateway has stored it."""
    pauses = Pauses()

    def opened(home: Path) -> Client:
        site = sites.get(home.name) or sites["forge"]  # the README's home is the folder that it is run in

        def send() -> None:
            site.send()
            for one in sites.values():
                Follower(one.world.chain, one.store).follow()

        kept = Retries(sleep=pauses.sleep, clock=pauses.clock)
        return Client("http://localhost", retries=kept, transport=Bridge(site.caller, send))

    for name in ("millmark.services.client", "millmark.client"):  # the commands, and the lines of the README
        monkeypatch.setattr(f"{name}.open_gateway", opened)

    def runner(name: str) -> Runner:
        (tmp_path / name).mkdir(exist_ok=True)
        run = Runner(tmp_path / name, monkeypatch, capsys)
        run.settings(f'database = "{sites[name].store.url}"\n')
        return run

    return runner


@pytest.fixture
def run(at: Callable[[str], Runner]) -> Runner:
    """Commands of the company that has every name."""
    return at("forge")


@pytest.fixture
def site(sites: dict[str, Site]) -> Site:
    return sites["forge"]


def ok(run: Runner, line: str) -> str:
    code, out, err = run(*line.split())
    assert (code, err) == (0, ""), err
    return out


def number(text: str) -> int:
    """Of the record that a command made."""
    found = re.search(r"\(record (\d+)\)", text)
    assert found is not None, text
    return int(found[1])


def begin(run: Runner, site: Site, order: str, reading: str = "") -> int:
    """An order in production, by short names alone; the number of its started assignment."""
    if not json.loads(ok(run, "machines list --json"))["machines"]:
        ok(run, "machines register urn:example:LATHE-2")
        ok(run, "streams open urn:example:LATHE-2:log --machine LATHE-2")
    ok(run, f"orders place urn:example:{order} --coordinator {site.number} --due 2100-01-01 --operations 2")
    ok(run, f"orders accept {order}")
    proposed = ok(run, f"assignments propose {order} --operation 2 --machine LATHE-2")
    assert "operation 2 is proposed to LATHE-2 as assignment" in proposed
    started = number(proposed)
    assert f"next: the machine's owner: millmark assignments accept {started}" in proposed
    ok(run, f"assignments accept {started}")
    ok(run, f"assignments start {started} {reading}")
    return started


def measure(site: Site, *events: str) -> None:
    """Events in the evidence that the gateway keeps, anchored."""
    [stream] = site.caller.ask("/v1/streams?identifier=log").json()["items"]
    raw = bytes.fromhex(stream["subject"][2:])
    with site.store.transaction() as connection:
        log = Book(connection).evidence(raw)
        first = len(log.entries)
        for event in events:
            log.append({"id": event, "data": {"id": event, "force": 1}}, b"s" * 32)
        Book(connection).add_evidence(raw, log.entries[first:])
    size = len(log.entries)
    site.final(f"/v1/streams/{stream['subject']}/anchors", size=size, root="0x" + log.tree.root(size).hex())


def test_from_order_to_custody(run: Runner, at: Callable[[str], Runner], sites: dict[str, Site]) -> None:
    forge, buyer = sites["forge"], at("buyer")
    started = begin(run, forge, "order-7")
    measure(forge, "press-2026-118")
    made = ok(run, f"lots commission {LINK}A0006R --order order-7 --operation 2")
    assert made.startswith("lot 0x")
    # Operations count from 1 for people, and from 0 in JSON: the commands are the one boundary.
    [found] = json.loads(ok(run, "assignments list --json"))["assignments"]
    assert (found["operation"], operation(found)) == (1, 2)
    assert run("assignments", "propose", "order-7", "--operation", "0", "--machine", "LATHE-2")[0] == 2
    assert "operation 2: LATHE-2" in ok(run, "trace order-7")
    # The contract's error, with the state as a word and the hint.
    code, err = run.refused("assignments", "accept", str(started))
    assert code == 1
    assert "AssignmentStateWrong" in err
    assert "state=started" in err
    assert "depends on its state: `millmark assignments list --all`" in err
    assert "finished" in ok(run, f"assignments finish {started} --event press-2026-118")
    shown = ok(run, "orders show order-7")
    assert "in production" in shown
    assert re.search(r"2\s.*LATHE-2.*finished", shown), "operations count from 1"
    # A pallet goes with all that is packed in it.
    pallet = ok(run, "lots receive urn:example:pallet-1").split()[1]
    ok(run, "lots pack pallet-1 A0006R")
    assert "with 1 packed in it is offered" in ok(run, f"custody offer pallet-1 --to {forge.number + 1}")
    assert pallet in ok(buyer, "custody list --json")
    assert "with 1 packed in it is yours" in ok(buyer, f"custody accept {pallet}")
    ok(buyer, f"lots unpack {pallet} {made.split()[1]}")
    assert f"{LINK}A0006R: in custody" in ok(run, "lots show A0006R")


def test_several_loose_lots_are_offered_one_by_one(run: Runner, at: Callable[[str], Runner], site: Site) -> None:
    buyer = at("buyer")
    lots = [ok(run, f"lots receive urn:example:{name} --quantity 5").split()[1] for name in ("a", "b")]
    assert ok(run, f"custody offer a b --to {site.number + 1}").count("is offered to") == 2
    assert "is yours" in ok(buyer, f"custody accept {lots[0]}")
    assert "a note on 1" in ok(buyer, f"note {lots[0]} --kind complaint --text broken")
    [answer] = json.loads(ok(buyer, f"custody accept {lots[1]} --json"))["records"]
    assert answer["state"] == "final"
    assert "is offered to nobody; see `millmark custody list`" in buyer.refused("custody", "accept", lots[1])[1]
    ok(run, "lots receive urn:example:c")
    ok(run, f"custody offer c --to {site.number + 1}")
    assert "is withdrawn" in ok(run, "custody withdraw c --reason wrong")
    lot = ok(run, f"custody offer c --to {site.number + 1} --json")
    assert json.loads(lot)["records"][0]["kind"] == "OfferCustody"
    [standing] = [one for one in json.loads(ok(buyer, "custody list --json"))["offers"] if one["offer"] is not None]
    assert "is declined" in ok(buyer, f"custody decline {standing['subject']} --reason broken")


def test_short_names_that_several_things_have_are_refused(run: Runner) -> None:
    ok(run, "lots receive urn:example:x:bar")
    ok(run, "lots receive urn:example:y:bar")
    code, err = run.refused("lots", "scrap", "bar", "--reason", "rust")
    assert code == 2
    assert "bar is the name of 2 lots: urn:example:x:bar, urn:example:y:bar; give the whole of one" in err
    assert "is taken out: scrapped" in ok(run, "lots scrap urn:example:x:bar --reason rust")


def test_lists_show_what_is_open_and_all_of_it_when_asked(run: Runner, at: Callable[[str], Runner], site: Site) -> None:
    for name in ("one", "two"):
        ok(run, f"orders place urn:example:{name} --coordinator {site.number} --due 2100-01-01 --quantity 3")
    ok(run, "orders cancel two --reason full")
    for words, there in (("", False), (" --all", True), (" --state cancelled", True)):
        found = json.loads(ok(run, f"orders list --json{words}"))["orders"]
        assert ("urn:example:two" in [one["identifier"] for one in found]) is there
    assert "one" in ok(run, "orders list")
    for kind in ("certificates", "models"):
        assert json.loads(ok(at("buyer"), f"{kind} list --json")) == {"format": f"millmark.{kind}.list/1", kind: []}
    assert json.loads(ok(at("buyer"), f"streams list --owner {site.number + 1} --json"))["streams"] == []
    assert "LATHE" not in ok(at("buyer"), "streams list"), "names do not travel by the chain"
    _, err = run.refused("lots", "quarantine", "nothing", "--reason", "x")
    assert err == "millmark: no lot is called nothing here; see `millmark lots list --all`\n"


def test_revisions_and_ends_are_proposed_and_accepted(run: Runner, site: Site, tmp_path: Path) -> None:
    claims = tmp_path / "spec.json"
    claims.write_text('{"colour": "blue"}')
    place = f"orders place urn:example:o --coordinator {site.number} --due 2100-01-01"
    ok(run, f"{place} --claims {claims} --gate {site.number + 1} --quantity 2")
    before = site.caller.ask("/v1/orders?identifier=o").json()["items"][0]
    code, _ = run.refused("orders", "revise", "o")
    assert code == 2
    assert "no revision of o is proposed" in run.refused("orders", "revise", "o", "--accept")[1]
    ok(run, "orders revise o --operations 3")
    ok(run, "orders revise o --accept")
    after = site.caller.ask("/v1/orders?identifier=o").json()["items"][0]
    assert after["operations"] == 3
    for kept in ("due_at", "quantity", "gates", "claims_root"):
        assert after[kept] == before[kept], "what is left out stays as it is"
    assert "either proposed or agreed to" in run.refused("orders", "end", "o")[1]
    assert "is cancelled" in ok(run, "orders cancel o --reason twice")


def test_an_order_for_a_product_has_its_operations_and_a_machine_its_capability(
    run: Runner, site: Site, tmp_path: Path
) -> None:
    options = "--option fabric=linen --option colour=sky --option cuff=button --option monogram=MK"
    sizes = "--option collar_mm=400 --option chest_mm=1000 --option sleeve_mm=640"
    place = f"orders place urn:example:shirt --coordinator {site.number} --due 2100-01-01 --product garment {sizes}"
    extra = tmp_path / "extra.json"
    extra.write_text('{"po": "4711"}')
    ok(run, f"{place} {options} --claims {extra}")
    [order] = site.caller.ask("/v1/orders?identifier=shirt").json()["items"]
    assert (order["operations"], order["quantity"], order["unit"]) == (4, 1, "H87")
    none = f"{place.replace('shirt', 'none')} {options} --quantity 0"
    assert "does not say how many pieces of garment" in run.refused(*none.split())[1]
    with site.store.reading() as connection:
        stored = Book(connection).document(bytes.fromhex(order["claims_root"][2:]))
    document: Any = parse_claims(json.loads(stored or "")).document
    assert document["po"] == "4711"
    assert document["operations"]["1"] == {
        "name": "embroidery",
        "need": {"kind": "embroidery", "values": {"letters": 3}},
    }
    assert document["passport"] == {"productName": "shirt, made to measure"}
    for line, told in (
        (f"{place} {options} --operations 3", "this garment takes 4 operations, not 3; leave --operations out"),
        (place, "the option fabric is missing"),
        (place.replace(" --product garment", ""), "--option without --product"),
        (f"{place} {options} --claims {tmp_path / 'own.json'}", "the claims have the member passport"),
    ):
        (tmp_path / "own.json").write_text('{"passport": {}}')
        assert told in run.refused(*line.split())[1]
    capability, claims = tmp_path / "capability.json", tmp_path / "claims.json"
    capability.write_text('[{"kind": "sewing", "limits": {"fabric": ["oxford", "linen"]}}]')
    claims.write_text('{"maker": "Juki"}')
    ok(run, f"machines register urn:example:SEWER-1 --capability {capability} --claims {claims}")
    for text, told in (("{}", "a capability is not"), ('[{"kind": "sewing"}]', "lacks the member"), ("[", "not JSON")):
        capability.write_text(text)
        assert told in run.refused(*f"machines register urn:example:SEWER-2 --capability {capability}".split())[1]


def test_a_certificate_by_procedure_and_its_revocation(run: Runner, site: Site, tmp_path: Path) -> None:
    begin(run, site, "order-8")
    measure(site, "g-7")
    ok(run, "lots commission urn:example:part --order order-8 --operation 2")
    document = tmp_path / "procedure.pdf"
    document.write_bytes(b"%PDF")
    issue = f"certificates issue part --verdict pass --procedure {document} --until 2100-01-01 --stream log"
    issued = ok(run, f"{issue} --event g-7")
    assert "pass for part" in issued
    assert "no event 'other' is kept here" in run.refused(*f"{issue} --event other".split())[1]
    assert "procedure" in ok(run, "certificates list --lot part")
    revoke = f"certificates revoke {number(issued)} --reason"
    assert "is revoked" in ok(run, f"{revoke} canary:worn")
    assert "revoked" in ok(run, "certificates list --all")
    assert "CertificateStateWrong" in run.refused(*revoke.split(), "again")[1]
    assert "issued no certificate" in run.refused("certificates", "revoke", "999999", "--reason", "worn")[1]
    assert run("certificates", "revoke", "0", "--reason", "worn")[0] == 2
    assert run("certificates", "revoke", "1")[0] == 2, "without a reason"
    verify_reason_is_private(site, "CertificateRevoked", b"canary:worn")


def test_the_buyer_waives_a_gate(run: Runner, site: Site) -> None:
    ok(run, f"orders place urn:example:gated --coordinator {site.number} --due 2100-01-01 --gate {site.number + 1}")
    ok(run, "orders accept gated")
    begin(run, site, "order-11")  # which registers the machine
    started = ok(run, "assignments propose gated --operation 1 --machine LATHE-2")
    ok(run, f"assignments accept {number(started)}")
    ok(run, f"assignments start {number(started)}")
    ok(run, "lots commission urn:example:dented --order gated --operation 1")
    waive = f"certificates waive dented --inspector {site.number + 1} --reason"
    assert "GateUnknown" in run.refused(*f"certificates waive dented --inspector {site.number} --reason no".split())[1]
    assert f"the gate of {site.number + 1} is waived for lot dented" in ok(run, f"{waive} canary:dent")
    verify_reason_is_private(site, "GateWaived", b"canary:dent")


def verify_reason_is_private(site: Site, kind: str, words: bytes) -> None:
    """The latest record of its kind has the root of a document that only the company's own book holds."""
    with site.store.reading() as connection:
        record = Rows(connection).find(RecordRow, kind=kind)[-1]
        kept = Book(connection).document(record.event().reason_root)  # type: ignore[attr-defined]
    assert kept is not None
    assert words in kept.encode()
    assert words not in record.data


def test_material_is_transformed_allocated_and_quarantined(run: Runner, site: Site) -> None:
    begin(run, site, "order-9")
    ok(run, "lots receive urn:example:rod --quantity 10 --unit KGM")
    ok(run, "lots transform split --input rod=10 --output urn:example:h1=4 --output urn:example:h2=6")
    assert "h1" in ok(run, "lots list")
    assert "rod" not in ok(run, "lots list")
    ok(run, "lots allocate h1 --order order-9 --operation 2")
    assert "is in stock" in ok(run, "lots deallocate h1")
    assert ok(run, "lots quarantine h1 h2 --reason rust").count("is quarantined") == 2
    assert ok(run, "lots release h1 h2 --reason clean").count("is released") == 2
    assert "sold" in ok(run, "lots scrap h2 --quantity 1 --as sold --reason surplus")
    ok(run, "machines register urn:example:OLD-1")
    assert "is retired" in ok(run, "machines retire OLD-1 --reason sold")
    assert "OLD-1" not in ok(run, "machines list")


def test_each_remaining_act_reaches_the_contract(run: Runner, site: Site) -> None:
    """With what it says where it does not fit: that the record was right is then known."""
    started = begin(run, site, "order-10")
    ok(run, "lots commission urn:example:q --order order-10 --operation 2")
    proposed = number(ok(run, "assignments propose order-10 --operation 1 --machine LATHE-2"))
    assert "is declined" in ok(run, f"assignments decline {proposed} --reason worn")
    again = number(ok(run, "assignments propose order-10 --operation 1 --machine LATHE-2"))
    assert "is cancelled" in ok(run, f"assignments cancel {again} --reason moved")
    assert "the end of order order-10 is proposed" in ok(run, "orders end order-10 --reason gone")
    for line, error in (
        ("orders complete order-10", "OrderUnfinished"),
        ("orders confirm order-10 q", "OrderStateWrong"),
        ("lots return q", "CustodyToSelf"),
        ("lots rework q --operation 1", "Assignment"),
        ("custody reclaim q --reason late", "CustodyNotReclaimable"),
        (f"certificates waive q --inspector {site.number + 1} --reason urgent", "GateUnknown"),
        ("certificates demand 999999", "issued no certificate"),
        (f"assignments finish {started} --entry 7", "is not kept here"),
        ("orders end order-10 --alone", "OrderAgreementMissing"),
    ):
        assert error in run.refused(*line.split())[1]
    assert "is ended" in ok(run, "orders end order-10 --accept")


def test_a_stream_without_a_machine(run: Runner) -> None:
    """Of a coordinator or auditor, for plans and logs."""
    assert ok(run, "streams open urn:example:plans").startswith("stream plans is open: 0x")
    assert None in [one["machine"] for one in json.loads(ok(run, "streams list --json"))["streams"]]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("orders place urn:example:o --coordinator Nobody --due 2100-01-01", "no company is called Nobody here"),
        ("orders place urn:example:o --coordinator 1 --due soon", "due_at"),
        ("orders place urn:example:o --coordinator 1 --due 2100-01-01 --gate 1:x", "'x' is not a model's number"),
        ("orders place no-uri --coordinator 1 --due 2100-01-01", "is not a GS1 Digital Link, EPC URN, did or urn"),
        ("orders end none --accept --alone", "no order is called none here"),
        ("lots transform split --input a=x --output urn:example:b", "is not a whole number"),
        ("assignments finish 7 --event a --register-wh 5", "one of --event, --entry and --register-wh"),
        ("assignments finish 7 --entry 0 --register-wh 0", "one of --event, --entry and --register-wh"),
        ("assignments finish 7 --register-wh 5 --register-reset 4", "write BEFORE=AFTER"),
        ("assignments finish 7 --good 3", "give --register-wh as well"),
        ("lots receive urn:example:a --emission steel=5", "give --factors as well"),
        ("lots receive urn:example:a --claims /nowhere", "cannot be read"),
    ],
)
def test_unusable_input_is_told_in_one_line(run: Runner, line: str, told: str) -> None:
    code, err = run.refused(*line.split())
    assert told in err
    assert code in (1, 2)


@pytest.mark.parametrize("page", ["README.md", "README.zh.md"])
def test_the_lines_of_the_readme_place_and_follow_an_order(
    page: str, at: Callable[[str], Runner], capsys: pytest.CaptureFixture[str]
) -> None:
    at("forge")
    text = (ROOT / page).read_text("utf-8")
    [lines] = re.findall(r"```python\n(from pathlib import Path\nfrom millmark\.client.*?)```", text, re.DOTALL)
    assert len(lines.splitlines()) <= 12
    fresh = lines.replace("order-42", f"order-42-{page.count('.')}")
    exec(compile(fresh, page, "exec"), {})  # noqa: S102 - the page's own lines
    assert re.search(r"^placed as record \d+ and now placed$", capsys.readouterr().out, re.MULTILINE)


def begin_measured(run: Runner, site: Site, order: str, register_wh: int) -> int:
    """An order whose second operation is under way, with both register readings of it: 8,000 Wh for 100,000 pieces."""
    started = begin(run, site, order, f"--register-wh {register_wh}")
    ok(run, f"assignments read {started} --register-wh {register_wh + 8000} --good 100000")
    return started


def add_lots(store: Store, assignment: int, start: int, end: int) -> None:
    """Lots as if made under an assignment: rows of the index alone."""
    with store.transaction() as connection:
        rows = Rows(connection)
        [like] = rows.latest(LotRow, "number", 1)
        rows.insert(
            [
                replace(like, subject=place.to_bytes(32), number=place, quantity_created=1, assignment=assignment)
                for place in range(start, end)
            ]
        )


def add_orders(store: Store, start: int, end: int) -> None:
    with store.transaction() as connection:
        rows = Rows(connection)
        [like] = rows.latest(OrderRow, "sequence", 1)
        rows.insert([replace(like, subject=place.to_bytes(32), sequence=10**6 + place) for place in range(start, end)])


def test_commands_ask_as_often_however_much_there_is(
    run: Runner, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "factors.json"
    table.write_text(json.dumps(FACTORS.to_json()))
    started = begin_measured(run, site, "order-many", 1000)
    ok(run, "lots receive urn:example:like")
    asked = list[str]()
    handle = Bridge.handle_request

    def count(bridge: Bridge, request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return handle(bridge, request)

    monkeypatch.setattr(Bridge, "handle_request", count)

    def asked_by(line: str) -> list[int]:
        """How often a command asks until it has recorded something, as the only item; then it waits for the chain."""
        asked.clear()
        ok(run, line)
        return [asked.index("POST") + 1 if "POST" in asked else len(asked)]

    counts, made = defaultdict[str, list[int]](list), 1
    for lots in (60, 600, 6_000):
        add_lots(site.store, started, made, lots)
        add_orders(site.store, made, lots)
        made, by = lots, f"--operation 2 --factors {table}"
        counts["commission"] += asked_by(
            f"lots commission urn:example:blank-{lots} --order order-many {by} --quantity 2"
        )
        [lot] = site.caller.ask(f"/v1/lots?identifier=blank-{lots}").json()["items"]
        taken = f"--input {lot['subject']}=2 --output urn:example:left-{lots} --output urn:example:right-{lots}"
        counts["transform"] += asked_by(f"lots transform conversion {taken} {by}")
        counts["rework"] += asked_by(f"lots rework left-{lots} {by}")
        counts["list"] += asked_by("assignments list")
    # Of these, three are for the footprint: which assignment, its energy, and the footprint of what is taken.
    assert counts == {"commission": [4] * 3, "transform": [5] * 3, "rework": [6] * 3, "list": [1] * 3}


def test_what_was_made_before_has_its_part_of_the_energy(run: Runner, site: Site, tmp_path: Path) -> None:
    table = tmp_path / "factors.json"
    table.write_text(json.dumps(FACTORS.to_json()))
    started = begin_measured(run, site, "order-parts", 9000)
    by = f"--order order-parts --operation 2 --factors {table}"
    parts = []
    for name, quantity in (("first", 30), ("second", 20)):
        ok(run, f"lots commission urn:example:{name} {by} --quantity {quantity}")
        [lot] = site.caller.ask(f"/v1/lots?identifier={name}").json()["items"]
        parts.append(site.caller.ask(f"/v1/lots/{lot['subject']}/footprint").json()["wh"])
    assert parts == [8000 * 30 // 100000, 8000 * 50 // 100000 - 8000 * 30 // 100000]
    assert site.caller.ask(f"/v1/assignments/{started}/registers").json()["made"] == 50
    found = site.caller.ask(f"/v1/lots?assignment={started}").json()["items"]
    assert [one["quantity"] for one in found] == [30, 20]
    [listed] = [
        one for one in json.loads(ok(run, "assignments list --json"))["assignments"] if one["assignment"] == started
    ]
    assert listed["identifier"] == "urn:example:order-parts"


def test_a_note_is_on_lots_and_orders(run: Runner, site: Site) -> None:
    assert {name.replace("-", "_").upper(): number for name, number in KINDS.items()} == {
        kind.name: kind.value for kind in NoteKind
    }
    ok(run, "lots receive urn:example:noted")
    ok(run, f"orders place urn:example:talked-of --coordinator {site.number} --due 2100-01-01")
    assert "a note on 2 histories" in ok(run, "note noted talked-of --text seen --kind recall-notice")
    assert "unknown kind of note" in run.refused("note", "noted", "--text", "seen", "--kind", "gossip")[1]
    assert run.refused("note", "unheard-of", "--text", "seen")[1].endswith("see `millmark orders list --all`\n")


def test_words() -> None:
    assert [short(one) for one in (f"{LINK}A6", "urn:example:a:b", "plain")] == ["A6", "b", "plain"]
    assert quantities(["a=2", "b"], "--input") == [("a", 2), ("b", 1)]
    with pytest.raises(InputError):
        quantities(["a=²"], "--input")
