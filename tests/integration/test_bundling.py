"""Bundles out of index and chain: byte for byte those that the chain's own records give, with nothing shown unasked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from millmark.ledger.bundle import WithheldRecord, encode_bundle, parse_bundle
from millmark.ledger.chain import fetch_checkpoint, fetch_trust
from millmark.ledger.checkpoint import SignedCheckpoint, combine_checkpoints, sign_checkpoint
from millmark.ledger.errors import (
    IdentifierError,
    InputError,
    MillmarkError,
    NotFoundError,
    ProofError,
    StoreDamagedError,
    WrongCheckpointError,
)
from millmark.ledger.events import Event, decode
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.events.lots import LotsTransformed
from millmark.ledger.headers import parse_header
from millmark.ledger.index import Follower
from millmark.ledger.provenance import (
    Recall,
    build_bundle,
    build_recall_bundles,
    bundles,
    parse_disclosing,
    recall,
)
from millmark.ledger.records import Contract
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import RecordRow
from millmark.ledger.trust import Cosigner, Cosigners
from millmark.ledger.verify import Report, VerificationError, describe, verify_bundle
from millmark.ledger.verify.statements import Party
from tests.support.bundle_maker import make_bundle
from tests.support.bundle_world import BundleService, copy_bundle_world, keep_secrets
from tests.support.event_data import changed, encode_event
from tests.support.stores import copy_database, new_store
from tests.support.story import named, said, subjects

VERDICTS = ("passed", "failed", "no_valid_verdict", "no_verdict", "no_gate_verdict")

pytestmark = pytest.mark.integration

EVERYTHING = ("names", "claims", "evidence", "inferences")
PARTS = [("hip-1",), ("hip-3",), ("hip-4", "billet"), ("box",), ("hip-2", "hip-1", "hip-3"), ("rail-blank",)]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BundleService]:
    with new_store(tmp_path_factory.mktemp("service")) as store:
        world, _ = copy_bundle_world(store)
        keep_secrets(world, store)
        Follower(world.consortium.chain, store).follow()
        yield BundleService(world, store)


@pytest.fixture
def copy(service: BundleService, tmp_path: Path) -> Iterator[BundleService]:
    """The same service, to be tampered with."""
    with new_store(tmp_path) as store:
        copy_database(service.store, store)
        yield BundleService(service.world, store)


@pytest.mark.parametrize("names", PARTS, ids=" ".join)
@pytest.mark.parametrize("unrelated", [False, True])
def test_index_and_chain_give_the_same_bundle(service: BundleService, names: tuple[str, ...], unrelated: bool) -> None:
    bundle, _ = make_bundle(service.world, *names, withhold=not unrelated)
    assert service.bundle(names, EVERYTHING, unrelated=unrelated) == encode_bundle(bundle)


def test_nothing_is_shown_unasked(service: BundleService) -> None:
    data = service.bundle(["hip-1"])
    bundle = parse_bundle(data)
    assert [one.identifier for one in bundle.identities] == ["urn:example:hip-1"]
    assert not bundle.claims
    assert not bundle.inferences
    assert all(one.shown is None for one in bundle.evidence)
    assert bundle.evidence
    for secret in (b"Heath Steel", b"Mara", b"force_n", b"noise", b"urn:example:bar"):
        assert secret not in data
    verify_bundle(data, service.trust(), now_s=service.world.now())


def test_a_field_is_shown_wherever_a_document_has_it_and_no_other(service: BundleService) -> None:
    data = service.bundle(["hip-1"], ["/supplier", "/chemistry/C", "/nowhere"])
    found = parse_bundle(data).claims
    values = [field.value for claims in found for _, field in claims.disclosure.shown]
    assert sorted(map(str, values)) == ["0.42", "0.42", "Heath Steel", "Heath Steel"]
    assert b'"bar"' not in data  # the heat, another field of the same document


@pytest.mark.parametrize("word", ["everything", "", "Names", "claims/x", "legal_name"])
def test_other_choices_are_unusable(word: str) -> None:
    with pytest.raises(InputError, match="does not name anything that can be disclosed"):
        parse_disclosing([word])


def test_pointers_are_unescaped() -> None:
    assert parse_disclosing(["/a~1b/0/~0c", "/"]).fields == (("a/b", "0", "~c"), ("",))


def test_an_erased_field_stays_out(copy: BundleService) -> None:
    root, claims = next(
        (root, claims) for root, claims in copy.world.documents.items() if ("supplier",) in claims.paths
    )
    with copy.store.transaction() as connection:
        Book(connection).put_document(root, json.dumps(claims.erase([("supplier",)]).to_json()))
    shown = [
        path
        for one in parse_bundle(copy.bundle(["hip-1"], ["claims"])).claims
        for path in (one.disclosure.paths[place] for place, _ in one.disclosure.shown)
    ]
    assert shown.count(("supplier",)) == 1
    assert shown.count(("heat",)) == 2


def test_shared_material_is_sealed_unless_asked(service: BundleService) -> None:
    for unrelated in (False, True):
        bundle = parse_bundle(service.bundle(["hip-1"], unrelated=unrelated))
        withheld = [link for one in bundle.histories for link in one.records if isinstance(link, WithheldRecord)]
        assert bool(withheld) is not unrelated


# Checkpoints


def test_a_bundle_of_an_earlier_block_holds_what_was_recorded_by_then(service: BundleService) -> None:
    chain = service.world.consortium.chain
    last = chain.final_number()
    now = parse_bundle(service.bundle(["hip-1"]))
    counts = set()
    for number in range(last - 30, last + 1, 10):
        point = SignedCheckpoint(fetch_checkpoint(chain, number))
        data = service.bundle(["hip-1"], checkpoint=point)
        bundle = parse_bundle(data)
        assert [parse_header(header).number for header in bundle.headers] == [number]
        report = verify_bundle(data, service.trust(number), now_s=service.world.now(), any_status=True)
        assert report
        counts.add(len(bundle.records))
        with pytest.raises(VerificationError, match=r"checkpoint|headers|block"):
            verify_bundle(data, service.trust(number - 1), now_s=service.world.now(), any_status=True)
    assert len(counts) > 1
    assert max(counts) == len(now.records)


def test_a_co_signed_checkpoint_travels_with_its_signatures(service: BundleService) -> None:
    chain, companies = service.world.consortium.chain, service.world.consortium.companies
    point = fetch_checkpoint(chain)
    signed = combine_checkpoints([sign_checkpoint(point, company.signer) for company in companies[:3]])
    data = service.bundle(["hip-1"], checkpoint=signed)
    keys = sorted((company.number, company.signer.address) for company in companies)
    cosigners = Cosigners(3, tuple(Cosigner(number, key) for number, key in keys))
    trust = fetch_trust(chain, {}, cosigners)
    verify_bundle(data, trust, now_s=service.world.now())
    more = dataclasses.replace(trust, checkpoint=dataclasses.replace(cosigners, quorum=4))
    with pytest.raises(VerificationError, match="3 of the 4"):
        verify_bundle(data, more, now_s=service.world.now())


def test_a_checkpoint_of_a_fork_gets_no_bundle(service: BundleService) -> None:
    point = fetch_checkpoint(service.world.consortium.chain, 20)
    for wrong in (
        dataclasses.replace(point, block_hash=bytes(32)),
        dataclasses.replace(point, chain_id=1),
        dataclasses.replace(point, ledger=bytes(20)),
    ):
        with pytest.raises(WrongCheckpointError):
            service.bundle(["hip-1"], checkpoint=SignedCheckpoint(wrong))


def test_an_index_that_is_behind_shows_an_ancestor_of_the_checkpoint(service: BundleService, tmp_path: Path) -> None:
    chain = service.world.consortium.chain
    last = chain.final_number()
    with new_store(tmp_path) as store:
        keep_secrets(service.world, store)
        Follower(chain, store).follow(limit=last - 8)
        behind = BundleService(service.world, store)
        data = behind.bundle(["hip-1"], checkpoint=SignedCheckpoint(fetch_checkpoint(chain, last)))
    headers = [parse_header(header).number for header in parse_bundle(data).headers]
    assert headers == list(range(headers[0], last + 1))
    assert len(headers) > 1
    verify_bundle(data, service.trust(last), now_s=service.world.now(), any_status=True)


def test_a_block_before_the_part_was_made_has_no_bundle_of_it(service: BundleService) -> None:
    point = SignedCheckpoint(fetch_checkpoint(service.world.consortium.chain, 5))
    with pytest.raises(NotFoundError, match="no record about 0x"):
        service.bundle(["hip-1"], checkpoint=point)


# What cannot be bundled


@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("hip 1", IdentifierError),
        ("urn:example:unheard-of", NotFoundError),
        ("urn:example:hip", NotFoundError),  # an order
        ("0x" + "00" * 32, NotFoundError),
    ],
)
def test_other_names_are_refused(service: BundleService, name: str, refusal: type[MillmarkError]) -> None:
    with pytest.raises(refusal):
        build_bundle(service.store, service.world.consortium.chain, [name])


def test_a_part_that_nobody_can_name_has_no_bundle(copy: BundleService) -> None:
    execute(copy, "DELETE FROM identities WHERE subject = ?", copy.world.lots["hip-1"])
    with pytest.raises(InputError, match="no identifier"):
        copy.bundle(["hip-1"])


def test_identifiers_and_subjects_name_the_same(service: BundleService) -> None:
    chain = service.world.consortium.chain
    by_name = build_bundle(service.store, chain, ["urn:example:hip-1", "urn:example:hip-1"])
    assert by_name == service.bundle(["hip-1"])


TAMPERINGS = {
    "data": "UPDATE records SET data = CAST(data || x'00' AS BLOB) WHERE kind = 'CertificateIssued'",
    "time": "UPDATE records SET block_time = block_time + 1 WHERE kind = 'CertificateIssued'",
    "who": "UPDATE records SET participant = 1 WHERE kind = 'CertificateIssued'",
    "key": "UPDATE records SET key = randomblob(20) WHERE kind = 'CertificateIssued'",
    "kind": "UPDATE records SET kind = 'LotReleased' WHERE kind = 'CertificateRevoked'",
    "a record gone": "DELETE FROM records WHERE kind = 'CertificateRevoked'",
    "a link gone": "DELETE FROM record_histories WHERE sequence IN "
    "(SELECT sequence FROM records WHERE kind = 'CertificateRevoked')",
    "a link elsewhere": "UPDATE record_histories SET subject = zeroblob(32) WHERE sequence IN "
    "(SELECT sequence FROM records WHERE kind = 'CertificateRevoked')",
}


REWRITINGS: dict[str, Callable[[Event], Event]] = {
    "an input hidden": lambda event: (
        changed(event, transformation=changed(event.transformation, inputs=()))
        if isinstance(event, LotsTransformed)
        else event
    ),
    "an order hidden": lambda event: (
        changed(event, transformation=changed(event.transformation, order=bytes(32)))
        if isinstance(event, LotsTransformed)
        else event
    ),
    "a model hidden": lambda event: (
        changed(event, statement=changed(event.statement, model=1)) if isinstance(event, CertificateIssued) else event
    ),
}


@pytest.mark.parametrize("name", [*TAMPERINGS, *REWRITINGS])
def test_a_tampered_index_gives_no_bundle(copy: BundleService, name: str) -> None:
    if name in TAMPERINGS:
        execute(copy, TAMPERINGS[name])
    else:
        rewrite(copy, REWRITINGS[name])
    with pytest.raises(StoreDamagedError if name == "data" else VerificationError):
        copy.bundle(["hip-1"])


def test_evidence_that_was_not_anchored_is_not_passed_on(copy: BundleService) -> None:
    execute(copy, "UPDATE evidence SET entries = replace(entries, '{', '{\"forged\":1,')")
    with pytest.raises(ProofError, match="does not match its anchor"):
        copy.bundle(["hip-1"])


def test_evidence_and_inferences_that_are_not_kept_stay_out(copy: BundleService) -> None:
    execute(copy, "DELETE FROM evidence")
    execute(copy, "DELETE FROM inferences")
    bundle = parse_bundle(copy.bundle(["hip-1"], EVERYTHING))
    assert not bundle.evidence
    assert not bundle.inferences
    assert bundle.claims


def test_where_the_kept_evidence_ends_what_is_known_ends(copy: BundleService) -> None:
    execute(
        copy,
        "UPDATE evidence SET count = 1, salts = substr(salts, 1, 32), leaf_hashes = substr(leaf_hashes, 1, 32), "
        "kinds = substr(kinds, 1, 1), entries = substr(entries, 1, instr(entries, char(10)) - 1) WHERE count > 1",
    )
    with pytest.raises(ProofError, match="does not match its anchor"):
        copy.bundle(["hip-1"])


def rewrite(service: BundleService, change: Callable[[Event], Event]) -> None:
    """Replaces the data of each event of the ledger that `change` changes."""
    with service.store.transaction() as connection:
        rows = Rows(connection)
        new = []
        for row in rows.find(RecordRow, contract=Contract.LEDGER.value):
            key, histories, event = decode(type(row.event()), row.data)
            if change(event) != event:
                new.append(dataclasses.replace(row, data=encode_event(change(event), key, histories)))
        assert new
        rows.update(new)


def execute(service: BundleService, statement: str, *values: bytes) -> None:
    with service.store.transaction() as connection:
        assert connection.exec_driver_sql(statement, values).rowcount


def recalled(service: BundleService, lot: str) -> tuple[Recall, list[Report]]:
    """A lot's recall, and what its bundles prove."""
    found = recall(service.store, lot=service.world.lots[lot])
    chain, trust = service.world.consortium.chain, service.trust()
    bundles = list(build_recall_bundles(service.store, chain, found))
    assert [lot for bundle in bundles for lot in bundle.lots] == [lot.subject for lot in found.lots]
    return found, [verify_bundle(one.data, trust, now_s=service.world.now(), any_status=True) for one in bundles]


def test_a_recalled_lot_s_bundle_proves_all_that_was_made_of_it(service: BundleService) -> None:
    found, [report] = recalled(service, "bar")
    assert len(found.lots) == 7
    holders = {one.subject: cast("Party", one.values["holder"]).participant for one in said(report, "stands")}
    assert holders == {lot.subject: lot.holder.participant for lot in found.lots}
    verdicts = {one.subject: one.values.get("status") for one in report.statements if one.code in VERDICTS}
    assert verdicts == {lot.subject: lot.status if lot.certificate else None for lot in found.lots}
    assert not said(report, "made_of")
    assert any(f"is among them: {len(found.lots) - 1} lots" in line for line in map(str, report.proved))


def test_a_recall_too_large_for_one_bundle_comes_in_several(
    service: BundleService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "_MAX_LOTS", 5)
    monkeypatch.setattr(bundles, "_MAX_HISTORIES", 7)
    found, reports = recalled(service, "bar")
    assert len(reports) > len(found.lots) / 5
    proved = {part for report in reports for part in subjects(report, "part")}
    assert proved == {lot.subject for lot in found.lots}
    assert {block for report in reports for block in named(report, "as_of", "block")} == {found.as_of.block_number}
    not_followed = [lot.subject for report in reports for made in named(report, "made_of", "made") for lot in made]
    assert not_followed
    assert set(not_followed) <= proved
    for report in reports:
        assert bool(said(report, "made_of")) == any("what became of" in str(line) for line in report.not_proved)


def test_recalled_lots_that_nobody_here_can_name_are_proved_by_subject(copy: BundleService) -> None:
    lot = copy.world.lots["hip-1"]
    execute(copy, "DELETE FROM identities WHERE subject = ?", lot)
    _, [report] = recalled(copy, "hip-blank")
    assert [part.subject for part in named(report, "part", "lot") if part.identifier is None] == [lot]
    assert "0x" + lot.hex() in describe(report)
    assert any("without identifiers" in str(line) for line in report.not_proved)
    [bundle] = build_recall_bundles(copy.store, copy.world.consortium.chain, recall(copy.store, lot=lot))
    with pytest.raises(VerificationError, match="the part has no identifier"):
        verify_bundle(bundle.data, copy.trust(), now_s=copy.world.now())
