"""An inspector answers a demand in the portal: from the work list over the summary to the contract's verdict, and what
is refused before anything is published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.evidence import (
    EvidenceLog,
    LeafKind,
    build_inference_context,
    build_window_commitment,
    build_window_entry,
)
from millmark.ledger.index import Follower
from millmark.ledger.records import (
    ALL_ROLES,
    AcceptCustody,
    ApproveModel,
    CertificateState,
    DemandOpening,
    IssueCertificate,
    Item,
    LotState,
    Record,
    Role,
    SetRoles,
    Statement,
    Verdict,
)
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import CertificateRow, EvidenceRow, InferenceRow, LotRow, ModelFileRow, ModelRow
from millmark.ledger.store.schema import TABLES
from millmark.ledger.submit import adopt_records
from millmark.quality import Decision, Dense, Network, Scale, build_model, model_digest
from millmark.quality import Inference as Inspected
from millmark.quality import Verdict as ModelVerdict
from millmark.quality.inference import pack_window
from millmark.services.access.rules import PersonRole
from tests.support.company_site import Day, Site, open_day
from tests.support.gateway_client import fields_of, read
from tests.support.stores import copy_database, new_store
from tests.unit.services.test_portal_daily_acts import FAR, NONE, gated

WIDTH = 5
MODEL = build_model(
    Network(
        width=WIDTH,
        decimals=0,
        decision=Decision(outputs=1, rejects=1, threshold=0),
        scales=(Scale(0, 1, 0),),
        layers=(Dense(inputs=WIDTH, outputs=1, multiplier=0, biases=(-100,), weights=bytes([3] * WIDTH)),),
    )
)
GOOD, BAD = [2] * WIDTH, [100] * WIDTH
LOGIT = {2: -70, 100: 1400}
SALT = bytes(range(32))


@dataclass
class Bench(Day):
    """The company is an inspector with a model of its own and a bench that measures."""

    model: int = 0
    lot: str = ""

    def by_us(self, *records: Record) -> None:
        submitter = self.site.world.submitter(Outbox(self.site.store), self.site.signer)
        submitter.submit([(f"own-{sha256(repr(one).encode()).hexdigest()}", one) for one in records])
        self.site.send()

    def certify(self, window: list[int], verdict: Verdict) -> int:
        """On a window that was measured, with a verdict that may be a lie."""
        site, lot, packed = self.site, bytes.fromhex(self.lot), pack_window(window)
        gauge = f"urn:example:gauge-{window[0]}"
        machine = site.final("/v1/machines", identifier=gauge)["sequence"]
        stream = bytes.fromhex(site.final("/v1/streams", identifier=f"{gauge}:log", machine=machine)["subjects"][0][2:])
        log = EvidenceLog()
        entry = log.append(
            build_window_entry(lot, build_window_commitment(SALT, packed), 0, 0, 0), SALT, kind=LeafKind.WINDOW
        )
        site.final(f"/v1/streams/0x{stream.hex()}/anchors", size=1, root="0x" + log.tree.root().hex())
        deployment, logits = site.world.chain.deployment, (LOGIT[window[0]],)
        context = build_inference_context(
            chain_id=deployment.chain_id, ledger=deployment.ledger, lot=lot, stream=stream, leaf_index=0,
            leaf=entry.leaf_hash,
        )  # fmt: skip
        inferred = Inspected(context, model_digest(MODEL), SALT, packed, logits, ModelVerdict(int(verdict)))
        row = self.row(LotRow, lot)
        item = Item(lot, row.order or NONE)
        self.by_us(
            IssueCertificate(
                Statement((item,), self.model, verdict, FAR, inferred.digest, NONE, stream, 0, entry.leaf_hash)
            )
        )
        number: int = self.last(CertificateRow).sequence
        with site.store.transaction() as connection:
            Book(connection).add_evidence(stream, log.entries)
            Book(connection).put_inference(number, SALT, packed, logits)
        return number

    def demand(self, certificate: int) -> None:
        lot = bytes.fromhex(self.lot)
        self.by_other(DemandOpening(lot, self.row(LotRow, lot).order, certificate))

    def lose(self, kind: type[Any]) -> None:
        """Has the book keep no row of this kind."""
        with self.site.store.transaction() as connection:
            assert connection.execute(TABLES[kind].delete()).rowcount

    def pretend(self, row: CertificateRow) -> None:
        """Has the index say something that takes a week, or that no company can bring about."""
        with self.site.store.transaction() as connection:
            Rows(connection).put(row)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    for found in open_day(tmp_path, Bench):
        found.site.final("/v1/models/publish", content="0x" + MODEL.hex())
        found.model = found.last(ModelRow, "number").number
        with found.site.store.transaction() as connection:
            Book(connection).put_model(model_digest(MODEL), MODEL)
        found.by_other(ApproveModel(found.model, NONE))
        found.lot = gated(found, found.model)
        yield found


def path_of(certificate: int) -> str:
    return f"/portal/act/openCertificate?id={certificate}"


def test_a_demand_is_answered_from_the_work_list_and_the_contract_upholds(bench: Bench) -> None:
    number = bench.certify(GOOD, Verdict.PASS)
    assert "openCertificate" not in bench.offered(f"/portal/certificates/{number}"), "nobody demands it"
    bench.demand(number)
    assert bench.tasks() == ["Open your certificate"]
    assert bench.offered("/portal") == ["openCertificate"]
    page = bench.person.get(path_of(number))
    assert "as computed here upheld" in read(page.text)
    unticked = {**fields_of(page.text), "publish_window": ""}
    del unticked["publish_window"]
    refused = bench.person.post("/portal/act/openCertificate", unticked)
    assert (refused.status_code, "Tick this to go on" in read(refused.text)) == (400, True)
    summary = bench.person.post("/portal/act/openCertificate", {**unticked, "publish_window": "1"})
    words = read(summary.text)
    assert "Show 5 values 2 2 2 2 2" in words
    assert "Output of the model -70" in words
    assert not Outbox(bench.site.store).unfinished(1), "looking at it publishes nothing"
    bench.do("openCertificate", str(number), publish_window="1")
    assert bench.row(CertificateRow, number).state == CertificateState.UPHELD
    assert bench.tasks() == []
    assert "upheld" in read(bench.person.get("/portal/inspections").text)


def test_a_lie_is_told_before_it_is_opened_and_refuted_after(bench: Bench) -> None:
    number = bench.certify(BAD, Verdict.PASS)
    bench.demand(number)
    assert "as computed here refuted" in read(bench.person.get(path_of(number)).text)
    bench.do("openCertificate", str(number), publish_window="1")
    assert bench.row(CertificateRow, number).state == CertificateState.REFUTED
    assert bench.row(LotRow, bytes.fromhex(bench.lot)).state == LotState.QUARANTINED


def test_what_the_contract_would_refuse_is_never_published(bench: Bench) -> None:
    number = bench.certify(GOOD, Verdict.PASS)
    route = f"/v1/certificates/{number}/open"
    answer = bench.site.post(route, {"publish_window": True})
    assert (answer.status_code, "nobody demands" in answer.text) == (400, True)
    bench.demand(number)
    for body in ({}, {"publish_window": False}, {"publish_window": 1}):
        assert bench.site.post(route, body).status_code == 422
    row = bench.row(CertificateRow, number)
    bench.pretend(replace(row, opening_deadline=1))
    late = bench.site.post(route, {"publish_window": True})
    assert (late.status_code, "too late" in late.text) == (400, True)
    assert bench.offered("/portal") == []
    assert "millmark quality challenge" in read(bench.person.get("/portal").text)
    bench.pretend(replace(row, issuer=bench.other_number))
    foreign = bench.site.post(route, {"publish_window": True})
    assert (foreign.status_code, "of another company" in foreign.text) == (400, True)
    assert not Outbox(bench.site.store).unfinished(1)


def test_a_company_opens_without_the_bytes_of_its_model(bench: Bench) -> None:
    """A node hands its inferences to the company's book, and its model stays with it."""
    number = bench.certify(GOOD, Verdict.PASS)
    bench.demand(number)
    bench.lose(ModelFileRow)
    page = bench.person.get(path_of(number))
    assert (page.status_code, "as computed here" in read(page.text)) == (200, False)
    bench.do("openCertificate", str(number), publish_window="1")
    assert bench.row(CertificateRow, number).state == CertificateState.UPHELD


@pytest.mark.parametrize("kind", [InferenceRow, EvidenceRow])
def test_what_is_not_kept_here_is_not_offered(bench: Bench, kind: type[Any]) -> None:
    number = bench.certify(GOOD, Verdict.PASS)
    bench.demand(number)
    assert bench.offered("/portal") == ["openCertificate"]
    bench.lose(kind)
    answer = bench.site.post(f"/v1/certificates/{number}/open", {"publish_window": True})
    assert (answer.status_code, "is not stored here" in answer.text) == (404, True)
    assert bench.offered("/portal") == []
    assert "openCertificate" not in bench.offered(f"/portal/certificates/{number}")
    assert bench.person.get(path_of(number)).status_code == 409
    assert "millmark quality challenge" in read(bench.person.get("/portal").text)


@pytest.mark.parametrize("window", [pack_window(BAD), b"odd"], ids=["another", "no window"])
def test_what_was_not_certified_is_not_offered(bench: Bench, window: bytes) -> None:
    number = bench.certify(GOOD, Verdict.PASS)
    bench.demand(number)
    with bench.site.store.transaction() as connection:
        Book(connection).put_inference(number, SALT, window, (LOGIT[2],))
    answer = bench.site.post(f"/v1/certificates/{number}/open", {"publish_window": True})
    assert answer.status_code == 400, answer.text
    assert bench.offered("/portal") == []


def test_what_was_opened_after_a_backup_is_found_again(bench: Bench, tmp_path: Path) -> None:
    site, number = bench.site, bench.certify(GOOD, Verdict.PASS)
    bench.demand(number)
    route, body = f"/v1/certificates/{number}/open", {"publish_window": True}
    with new_store(tmp_path, "backup.db") as backup:
        copy_database(site.store, backup)
        assert site.post(route, body, "opened-after-the-backup").status_code == 202
        site.send()
        made = site.world.count()
        old = Site(backup, site.world, site.signer, number=site.number, name_keys=site.name_keys)
        Follower(site.world.chain, backup).follow()
        adopt_records(site.world.chain, backup, site.signer.address)
        again = old.post(route, body, "opened-after-the-backup")
        assert again.status_code == 202, again.text
        assert old.caller.ask(again.headers["location"]).json()["state"] == "final"
        other = old.post(route, body, "never-asked-for-before")
        assert (other.status_code, "nobody demands" in other.text) == (400, True)
        old.send()
        assert site.world.count() == made


def test_a_form_that_is_sent_twice_opens_once_and_a_reader_has_none(bench: Bench) -> None:
    number = bench.certify(GOOD, Verdict.PASS)
    bench.demand(number)
    reader = bench.site.person(PersonRole.READER)
    assert reader.get(path_of(number)).status_code == 404
    page = bench.person.post(
        "/portal/act/openCertificate",
        {**fields_of(bench.person.get(path_of(number)).text), "publish_window": "1"},
    )
    sent = fields_of(page.text, "/confirm")
    first, second = (bench.person.post("/portal/act/openCertificate/confirm", sent) for _ in range(2))
    assert first.headers["location"] == second.headers["location"]
    bench.site.send()
    third = bench.person.post("/portal/act/openCertificate/confirm", sent)
    assert third.headers["location"] == first.headers["location"]
    again = bench.person.get(path_of(number))
    assert again.status_code == 409


def no_auditor(bench: Bench) -> None:
    world = bench.site.world
    submitter = world.submitter(Outbox(bench.site.store), world.owner)
    submitter.submit([("roles", SetRoles(bench.site.number, int(ALL_ROLES & ~Role.AUDITOR)))])
    submitter.drain()
    bench.site.send()


def test_a_maker_doubts_the_fail_of_what_another_company_has_and_not_its_pass(bench: Bench) -> None:
    """By the hash of the identifier, which is in its book."""
    no_auditor(bench)
    bench.lot = bench.do("receiveLot", identifier="urn:example:loose", quantity="1").hex()
    lot = bytes.fromhex(bench.lot)
    passed = bench.certify(GOOD, Verdict.PASS)
    assert "demandOpening" not in bench.offered(f"/portal/certificates/{passed}"), "it has the lot, and made it"
    bench.do("offerCustody", bench.lot, to=str(bench.other_number))
    bench.by_other(AcceptCustody((Item(lot, NONE),), bench.row(LotRow, lot).offer, NONE))
    failed = bench.certify(BAD, Verdict.FAIL)
    bench.do("demandOpening", str(failed))
    assert bench.row(CertificateRow, failed).state == CertificateState.DEMANDED


def test_a_buyer_doubts_a_pass_and_no_fail(bench: Bench) -> None:
    no_auditor(bench)
    failed = bench.certify(BAD, Verdict.FAIL)
    assert "demandOpening" not in bench.offered(f"/portal/certificates/{failed}")
    passed = bench.certify(GOOD, Verdict.PASS)
    bench.do("demandOpening", str(passed))
    assert bench.row(CertificateRow, passed).state == CertificateState.DEMANDED
