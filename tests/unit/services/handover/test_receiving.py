"""What is wrong with a hand-over is refused in one line, and nothing of it is kept; what is early is taken later."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from millmark.ledger.canonical import sha256
from millmark.ledger.claims import build_claims
from millmark.ledger.errors import MillmarkError, StoreError
from millmark.ledger.headers import parse_header
from millmark.ledger.ids import Identity, SubjectKind
from millmark.ledger.index import check_book
from millmark.ledger.merkle import verify_inclusion
from millmark.ledger.names import derive_identity, salt_of
from millmark.ledger.provenance import Disclosing, build_bundle
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import CertificateRow, KeyRow, ModelRow, RecordRow
from millmark.quality.audit import build_window_leaf
from millmark.services.documents.encryption import create_recipient_key
from millmark.services.handover.content import (
    Content,
    HandoverEarlyError,
    HandoverRefusedError,
    Route,
    encode_content,
    encode_envelope,
    parse_envelope,
    seal,
)
from millmark.services.handover.delivering import build_content
from millmark.services.handover.receiving import Receiver, extend_to_present, verify_with_node
from millmark.services.handover.repository import HandoverRepository
from millmark.services.inspections.extracts import find_extract
from tests.support.apart import Home
from tests.support.bundle_world import MODEL_DIGEST
from tests.support.stores import copy_database, new_store
from tests.unit.services.handover.conftest import Delivered

BUYER, MAKER, CARRIER, COORDINATOR = "nordwind", "alder", "swift", "kestrel"


@pytest.fixture
def buyer(told: Delivered, tmp_path: Path) -> Iterator[Home]:
    """The buyer with its index, to whom nothing has been handed over."""
    home = told.home(BUYER)
    with new_store(tmp_path) as store:
        copy_database(home.store, store)
        with store.transaction() as connection:
            for table in ("handovers_kept", "identities", "documents", "inferences", "certified_entries"):
                connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608 - fixed names
        yield replace(home, store=store)


def dump(home: Home) -> list[object]:
    """All that hand-overs change."""
    tables = (
        "handovers_kept",
        "identities",
        "documents",
        "inferences",
        "book_revisions",
        "evidence",
        "certified_entries",
        "model_files",
    )
    with home.store.reading() as connection:
        return [connection.exec_driver_sql(f"SELECT * FROM {one}").all() for one in tables]  # noqa: S608 - as above


def refused(home: Home, data: bytes, says: str, kind: type[MillmarkError] = HandoverRefusedError) -> None:
    before = dump(home)
    with pytest.raises(kind, match=says) as found:
        home.receiver.import_file(data)
    assert "\n" not in str(found.value)
    assert dump(home) == before


def forge(
    told: Delivered, content: Content, word: str = "offer to buyer", by: str = CARRIER, **changed: object
) -> bytes:
    """A hand-over to the buyer that is sealed and signed as it should be, whatever is in it."""
    buyer, sender = told.home(BUYER), told.home(by)
    chain = told.apart.consortium.chain
    route = Route(
        chain.chain_id,
        chain.ledger,
        sender.company.number,
        buyer.company.number,
        buyer.public_key,
        told.apart.records[word],
    )
    return encode_envelope(seal(replace(route, **changed), encode_content(content), sender.company.signer))  # type: ignore[arg-type]  # members of a route


def content_of(told: Delivered, word: str = "offer to buyer", by: str = CARRIER) -> Content:
    sender = told.home(by)
    chain, number = told.apart.consortium.chain, told.home(BUYER).company.number
    return build_content(sender.store, chain, told.apart.records[word], sender.company.number, number, 2**40)


def test_a_hand_over_is_kept_once(told: Delivered, buyer: Home) -> None:
    text = told.texts["offer to buyer", BUYER]
    lot = told.apart.world.lots["hip-1"]
    kept = buyer.receiver.import_file(text)
    assert (kept.again, kept.sender) == (False, told.home(CARRIER).company.number)
    assert kept.names >= 1
    assert buyer.name_of(lot) == "urn:example:hip-1"
    after = dump(buyer)
    assert buyer.receiver.import_file(text) == replace(kept, again=True)
    assert dump(buyer) == after


def test_another_text_because_of_the_same_record_adds_what_is_new(told: Delivered, buyer: Home) -> None:
    buyer.receiver.import_file(told.texts["make hip", BUYER])
    before = buyer.document(told.apart.roots["hip-1"])
    kept = buyer.receiver.import_file(forge(told, content_of(told)))
    assert not kept.again
    assert buyer.document(told.apart.roots["hip-1"]) == before, "what is erased in the second stays"
    assert buyer.kept() == 2


def test_a_part_is_traced_and_proved_without_its_maker(told: Delivered, buyer: Home) -> None:
    buyer.receiver.import_file(told.texts["delivered", BUYER])
    data = build_bundle(buyer.store, told.apart.consortium.chain, ["urn:example:hip-1"], Disclosing(names=True))
    assert buyer.receiver.import_file(data).names >= 1, "as any company that the lot reached would"


def test_a_bundle_that_was_kept_verifies_at_present(told: Delivered, buyer: Home) -> None:
    """With the headers from its proof block to the node's last final one, and the measurement in it."""
    buyer.receiver.import_file(told.texts["certify hip", BUYER])
    with buyer.store.reading() as connection:
        [kept] = HandoverRepository(connection).bundles(told.apart.records["certify hip"])
    chain = told.apart.consortium.chain
    bundle = verify_with_node(chain, extend_to_present(chain, kept))
    assert parse_header(bundle.headers[-1]).number == chain.final_number()
    assert [one.shown is not None for one in bundle.evidence] == [True]
    assert [one.record for one in bundle.inferences] == [told.apart.records["certify hip"]]


@pytest.mark.parametrize("word", ["nordwind", "vector"])
def test_a_certificate_is_executed_again_where_its_evidence_was_handed_over(
    told: Delivered, word: str, tmp_path: Path
) -> None:
    """The entry of the inspector's log is kept with its proof, and the rest of that log is not missed."""
    home = told.home(word)
    with new_store(tmp_path) as store:
        copy_database(home.store, store)
        assert check_book(store) == []
        with store.transaction() as connection:
            Book(connection).put_model(MODEL_DIGEST, b"a model's canonical bytes")  # which no hand-over has
        extract = find_extract(store, None, "urn:example:hip-1")
        assert build_window_leaf(extract.binding, extract.input_commitment) == extract.binding.leaf
        with store.reading() as connection:
            [row] = Rows(connection).find(CertificateRow, sequence=told.apart.records["certify hip"])
            assert Book(connection).evidence_size(row.stream) == 0
        verify_inclusion(row.leaf_hash, row.leaf_index, row.anchor_size, extract.inclusion, row.anchor_root)
        with store.transaction() as connection:
            connection.exec_driver_sql("UPDATE certified_entries SET entry = replace(entry, '0x', '0X')")
        assert check_book(store) == [f"the entry that certificate {row.sequence} names is not the one kept here"]


def test_a_published_model_is_kept_with_its_card(told: Delivered, buyer: Home) -> None:
    """The card was handed over as a document, and the bytes are on the chain: here, those of another contract."""
    code = told.apart.consortium.chain.node.code(told.apart.consortium.chain.forwarder)
    with buyer.store.transaction() as connection:
        rows = Rows(connection)
        [model] = rows.find(ModelRow)
        rows.update([replace(model, digest=sha256(code[1:]), code=told.apart.consortium.chain.forwarder)])
    buyer.receiver.import_file(told.texts["certify hip", BUYER])
    with buyer.store.reading() as connection:
        kept = Book(connection).model(sha256(code[1:]))
    assert kept is not None
    assert kept.content == code[1:]
    assert json.loads(kept.card)["accuracy"] == "0.99"


def test_one_for_another_company(told: Delivered, buyer: Home) -> None:
    refused(buyer, told.texts["offer to carrier", CARRIER], "it is for participant 8, not for participant 1; give it")


@pytest.mark.parametrize("at", [0, 1, 40, 400, 600, 700, -2, -1])
def test_a_truncated_one(told: Delivered, buyer: Home, at: int) -> None:
    text = told.texts["offer to buyer", BUYER]
    refused(buyer, text[:at], "neither a hand-over nor a bundle|not the head of a hand-over|is truncated")
    refused(buyer, text + b"\n", "truncated, or something follows its end")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"chain_id": 5}, "another ledger"),
        ({"ledger": b"\1" * 20}, "another ledger"),
        ({"recipient": 2}, "for participant 2"),
        ({"sender": 3}, "no active key of participant 3 signed it"),
        ({"sequence": 1}, "hands nothing over to this company"),
        ({"recipient_key": X25519PrivateKey.generate().public_key().public_bytes_raw()}, "sealed to another key"),
    ],
)
def test_one_with_another_route(told: Delivered, buyer: Home, changed: dict[str, Any], says: str) -> None:
    refused(buyer, forge(told, content_of(told), **changed), says)


def test_one_because_of_a_record_that_names_another(told: Delivered, buyer: Home) -> None:
    for word, by in (("offer to carrier", MAKER), ("accept hip", COORDINATOR), ("offer declined", MAKER)):
        refused(buyer, forge(told, Content(), word, by), "hands nothing over to this company")


def test_one_that_somebody_else_resealed(told: Delivered, buyer: Home) -> None:
    """A head with the seal of another hand-over: the sender signed both, but the info is another."""
    chain = told.apart.consortium.chain
    other = parse_envelope(forge(told, content_of(told), sequence=told.apart.records["delivered"]))
    sender, number = told.home(CARRIER), told.home(BUYER).company.number
    route = replace(other.head.route, sequence=told.apart.records["offer to buyer"])
    assert (route.recipient, chain.chain_id) == (number, route.chain_id)
    head = replace(other.head, route=route)
    signed = replace(head, signature=sender.company.signer.sign_digest(head.signed_digest).to_bytes())
    refused(buyer, encode_envelope(replace(other, head=signed)), "recipient key does not open it")


def test_a_sender_whose_key_was_revoked(told: Delivered, buyer: Home) -> None:
    with buyer.store.transaction() as connection:
        rows = Rows(connection)
        key = rows.get(KeyRow, told.home(CARRIER).company.signer.address)
        assert key is not None
        rows.put(replace(key, revoked_at=1))
    refused(buyer, told.texts["offer to buyer", BUYER], "no active key of participant 8 signed it")


def test_a_recipient_key_that_was_replaced(told: Delivered, buyer: Home, tmp_path: Path) -> None:
    create_recipient_key(tmp_path / "new.json")
    chain = told.apart.consortium.chain
    buyer.receiver = Receiver(buyer.store, chain, buyer.company.number, tmp_path / "new.json")
    refused(buyer, told.texts["offer to buyer", BUYER], "another key than this company's present recipient key")


def test_a_salt_that_does_not_lead_to_its_subject(told: Delivered, buyer: Home) -> None:
    company, chain = told.home(MAKER).company, told.apart.consortium.chain
    good = derive_identity(chain, [company.name_key], SubjectKind.LOT, company.number, "urn:example:hip-1")
    other = derive_identity(chain, [company.name_key], SubjectKind.LOT, company.number, "urn:example:hip-2")
    proofs = (good.proofs[0][:-1] + bytes([good.proofs[0][-1] ^ 1]),)
    for name in (
        other,
        Identity(SubjectKind.LOT, company.number, "urn:example:hip-2", good.salt, good.proofs),
        Identity(SubjectKind.LOT, company.number + 1, "urn:example:hip-1", good.salt, good.proofs),
    ):
        refused(buyer, forge(told, Content((name,)), "make hip", MAKER), "its salt does not lead to a thing")
    # The subject is right, since the salt does not depend on all of the proof, but the proof is not valid.
    bent = Identity(SubjectKind.LOT, company.number, "urn:example:hip-1", salt_of(proofs), proofs)
    assert bent.subject == good.subject
    refused(buyer, forge(told, Content((bent,)), "make hip", MAKER), "the salt of urn:example:hip-1: ")


def test_a_name_that_is_true_but_not_this_companys_business(told: Delivered, buyer: Home) -> None:
    company, chain = told.home(MAKER).company, told.apart.consortium.chain
    steel = derive_identity(chain, [company.name_key], SubjectKind.LOT, company.number, "urn:example:steel")
    refused(buyer, forge(told, Content((steel,)), "make hip", MAKER), "its salt does not lead to a thing")


def test_a_document_that_does_not_give_the_claims_root(told: Delivered, buyer: Home) -> None:
    stranger = build_claims({"serial": "hip-1"})
    refused(buyer, forge(told, Content(documents=(stranger,)), "make hip", MAKER), "claims root of any of its records")
    refused(buyer, forge(told, replace(content_of(told), documents=(stranger,))), "claims root of any of its records")


def test_a_bundle_about_a_lot_that_never_reached_this_company(told: Delivered, buyer: Home) -> None:
    maker = told.home(MAKER)
    steel = build_bundle(maker.store, told.apart.consortium.chain, ["urn:example:steel"])
    refused(buyer, forge(told, Content(bundle=steel)), "a lot that this record did not bring here")
    refused(buyer, steel, "about a lot that never reached this company; verify it with")
    refused(buyer, forge(told, Content(bundle=steel), "make hip", MAKER), "a lot that this record did not bring here")


@pytest.mark.parametrize("at", [0.3, 0.5, 0.7, 0.9])
def test_a_bundle_that_is_not_verified(told: Delivered, buyer: Home, at: float) -> None:
    content = content_of(told)
    place = int(len(content.bundle) * at)
    bent = content.bundle[:place] + bytes([content.bundle[place] ^ 1]) + content.bundle[place + 1 :]
    refused(buyer, forge(told, replace(content, bundle=bent)), "its bundle is (malformed|not verified)")


def test_a_content_in_another_form(told: Delivered, buyer: Home) -> None:
    sender, whole = told.home(CARRIER), encode_content(content_of(told))
    route = parse_envelope(told.texts["offer to buyer", BUYER]).head.route
    for bent in (b"", b"{}", whole[:-1], whole + b" ", whole.replace(b'"version":1', b'"version":2', 1), whole[1:]):
        refused(buyer, encode_envelope(seal(route, bent, sender.company.signer)), "its content is ")


def test_what_the_index_does_not_have_yet_is_taken_later(told: Delivered, buyer: Home) -> None:
    """First the record is unknown here, then the index has it, but not as final."""
    text, sequence = told.texts["offer to buyer", BUYER], told.apart.records["offer to buyer"]
    with buyer.store.transaction() as connection:
        rows = Rows(connection)
        [record] = rows.find(RecordRow, contract="ledger", sequence=sequence)
        rows.put(replace(record, sequence=sequence + 1000))
        connection.exec_driver_sql(f"DELETE FROM records WHERE contract = 'ledger' AND sequence = {sequence}")  # noqa: S608 - a number
    refused(buyer, text, f"record {sequence} is not final in this company's index yet", HandoverEarlyError)
    with buyer.store.transaction() as connection:
        Rows(connection).put(replace(record, block_number=2**40))
    refused(buyer, text, "is not final in this company's index yet", HandoverEarlyError)
    with buyer.store.transaction() as connection:
        Rows(connection).put(record)
    assert not buyer.receiver.import_file(text).again


def test_a_bundle_of_a_block_that_the_node_does_not_have_yet(
    told: Delivered, buyer: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = told.apart.consortium.chain
    monkeypatch.setattr(type(chain), "final_number", lambda _: 3)
    refused(buyer, told.texts["offer to buyer", BUYER], "is not final on this company's node yet", HandoverEarlyError)


@pytest.mark.parametrize("place", ["keep", "put_document", "add_identity"])
def test_a_failure_within_the_write_keeps_nothing(
    told: Delivered, buyer: Home, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(HandoverRepository if place == "keep" else Book, place, fail)
        refused(buyer, told.texts["offer to buyer", BUYER], "the disk is full", StoreError)
    assert not buyer.receiver.import_file(told.texts["offer to buyer", BUYER]).again
