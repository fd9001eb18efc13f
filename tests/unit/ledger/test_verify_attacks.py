"""Somebody wants a false bundle accepted, or a true one to say more than is so: each way that was thought of.

The generators in tests/proofs/forge_*.py vary lies about one step by the thousand; here stand those with a story.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import replace
from random import Random

import pytest

from millmark.ledger.bundle import Bundle, IdentityShown, RecordShown, WithheldRecord, encode_bundle
from millmark.ledger.canonical import keccak256
from millmark.ledger.checkpoint import Checkpoint
from millmark.ledger.events.certificates import CertificateIssued
from millmark.ledger.events.lots import CustodyOffered, GateWaived, LotReceived
from millmark.ledger.headers import parse_header
from millmark.ledger.keys import LocalSigner
from millmark.ledger.names import subjects_of
from millmark.ledger.records import LotState, Verdict
from millmark.ledger.slots import KeySlots, NameKeySlots, link, start_of
from millmark.ledger.trust import BelievedBlock, Cosigner, Cosigners, TrustFile
from millmark.ledger.verify import Report, Step, describe, verify_bundle
from millmark.ledger.verify._proofs import StateProof, subject_of
from millmark.ledger.verify.report import ProofsRefused, ReplayRefused, StatusRefused, VerificationError
from millmark.ledger.verify.statements import Thing, Unit
from tests.proofs.forge_disclosed import with_earlier_key
from tests.proofs.forging import DAY_S
from tests.support.bundle_content import (
    Content,
    entry_of,
    event_in,
    inner_of_shown,
    publish,
    publish_bytes,
    topic_of_kind,
    with_fields,
)
from tests.support.bundle_vector import vector_bundle, vector_bytes, vector_content, vector_now, vector_trust
from tests.support.event_data import encode_event, event_of
from tests.support.story import named, said, subjects


def refused(data: bytes, trust: TrustFile, now_s: int) -> Step:
    with pytest.raises(VerificationError) as caught:
        verify_bundle(data, trust, now_s=now_s)
    return caught.value.step


def refused_content(content: Content) -> Step:
    data, trust = publish_bytes(content)
    return refused(data, trust, content.time + 100)


def report(content: Content, *, any_status: bool = False) -> Report:
    data, trust = publish_bytes(content)
    return verify_bundle(data, trust, now_s=content.time + 100, any_status=any_status)


def part_named(content: Content, name: str) -> bytes:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    parts: list[Thing] = named(found, "part", "lot")
    return next(one.subject for one in parts if one.identifier == f"urn:example:{name}")


def alone(content: Content, subject: bytes) -> None:
    """Makes the bundle about one lot that needs no other history: one that was received from outside."""
    history = content.history(subject)
    kept = [one for one in content.bundle.records if one.sequence in history.records]
    named = {one.participant for one in kept}
    named |= {event_in(one, CustodyOffered).to for one in kept if one.kind == "CustodyOffered"}
    keys = {entry_of(one).key for one in kept}
    content.participants = {number: one for number, one in content.participants.items() if number in named}
    content.keys = {address: one for address, one in content.keys.items() if address in keys}
    content.machines, content.models, content.streams = {}, {}, {}
    identities = [one for one in content.bundle.identities if one.identifier.endswith((":bar", ":box"))]
    content.change(
        parts=(subject,), histories=(history,), records=tuple(kept), claims=(), evidence=(), inferences=(),
        participants=tuple(sorted(named)), keys=tuple(sorted(keys)), machines=(), models=(), streams=(),
        identities=tuple(one for one in identities if _names(content, one.identifier) == subject),
    )  # fmt: skip


def _names(content: Content, identifier: str) -> bytes:
    """The subject of an identifier, as the true report has it."""
    kinds = {"urn:example:bar": "LotReceived", "urn:example:box": "LotsPacked"}
    records = (one for one in vector_bundle().records if one.kind == kinds[identifier])
    return next(entry_of(one).histories[0] for one in records if identifier.endswith("box") or _is_bar(one))


def _is_bar(record: RecordShown) -> bool:
    return event_in(record, LotReceived).quantity == 100


# A maker with two name keys


def second_key(content: Content, set_at: int) -> IdentityShown:
    """Lets the maker of the first part have had an earlier name key, and replace its key later; returns the part."""
    part = next(one for one in content.bundle.identities if subject_of(one) in content.bundle.parts)
    part = with_earlier_key(content, part, Random(7))  # noqa: S311  # a key of a test
    content.name_keys[part.creator, 2] = NameKeySlots(b"\x07" * 32, set_at, 10**9)
    return part


def test_a_name_is_shown_under_a_later_key_if_the_earlier_one_named_nothing() -> None:
    content = vector_content()
    part = second_key(content, content.time)
    replaced = [one for one in report(content).attention if one.code == "renamed"]
    assert len(replaced) == 2, "the maker replaced both keys"
    [earlier, _] = subjects_of(part.kind, part.creator, part.identifier, part.proofs)
    content.taken[earlier] = True
    assert refused_content(content) is Step.IDENTIFIERS


def test_what_was_recorded_with_a_replaced_key_is_refused() -> None:
    """Else one serial number could be shown for one part until the key was replaced, and for another afterwards."""
    content = vector_content()
    part = second_key(content, content.time)
    first = next(one for one in content.bundle.records if one.sequence in content.history(subject_of(part)).records)
    content.name_keys[part.creator, 2] = NameKeySlots(b"\x07" * 32, first.block_time, 10**9)
    assert refused_content(content) is Step.IDENTIFIERS


def test_that_an_earlier_key_named_nothing_must_be_proved() -> None:
    content = vector_content()
    part = second_key(content, content.time)
    bundle, _ = publish(content)
    [earlier, _] = subjects_of(part.kind, part.creator, part.identifier, part.proofs)
    proof = StateProof(bundle, parse_header(bundle.headers[0]))
    proof._storage_roots[bundle.ledger] = bytes(32)  # of a trie of which the bundle has no node
    with pytest.raises(ProofsRefused, match="an earlier name: ") as caught:
        list(proof._earlier(bundle, part))
    assert caught.value.subject == earlier


def test_an_inference_of_a_record_that_is_no_certificate_is_refused() -> None:
    content = vector_content()
    first, *others = content.bundle.inferences
    placed = content.bundle.records[0].sequence
    content.change(inferences=(replace(first, record=placed), *others))
    data, trust = publish_bytes(content)
    with pytest.raises(VerificationError, match="no such certificate by inference") as caught:
        verify_bundle(data, trust, now_s=content.time)
    assert (caught.value.step, caught.value.sequence) == (Step.INFERENCES, placed)


# A part that does not stand well


def on_own(content: Content, part: bytes, by: int, kind: str, **members: int | bytes) -> None:
    key = next(entry_of(one).key for one in content.bundle.records if one.participant == by)
    content.keys[key] = replace(content.keys[key], revoked_at=0)
    sequence = content.bundle.records[-1].sequence + 1
    data = encode_event(event_of(kind, **members), key, (part,))
    content.append(RecordShown(kind, sequence, by, content.time, data), part)


def test_scrapping_a_quarantined_part_does_not_make_it_stand_well() -> None:
    content = vector_content()
    part = part_named(content, "hip-1")
    holder = next(one for one in content.bundle.records if one.kind == "LotsUnpacked").participant
    on_own(content, part, holder, "LotQuarantined", reason_root=bytes(32))
    assert refused_content(content) is Step.STATUS
    on_own(content, part, holder, "LotScrapped", quantity=1, disposition=0, reason_root=bytes(32))
    data, trust = publish_bytes(content)
    with pytest.raises(StatusRefused, match="nothing is left of the part") as caught:
        verify_bundle(data, trust, now_s=content.time)
    assert caught.value.subject == part
    found = report(content, any_status=True)
    assert [one.values["state"] for one in said(found, "stands") if one.subject == part] == [LotState.SPENT]
    assert any("nothing is left of urn:example:hip-1" in str(one) for one in found.attention)


def certificate_of(content: Content, part: bytes) -> RecordShown:
    """Its latest."""
    shown = [content.record(one) for one in content.history(part).records if isinstance(one, int)]
    return [one for one in shown if one.kind == "CertificateIssued"][-1]


def test_a_certificate_of_one_who_worked_on_the_order_is_told() -> None:
    """Of an order without a gate; or with one that was changed to a company which had lost its machines' role."""
    content = vector_content()
    record = certificate_of(content, part_named(content, "hip-1"))
    order = event_in(record, CertificateIssued).statement.items[0].order
    for one in content.bundle.records:
        if one.kind in ("OrderPlaced", "RevisionProposed", "RevisionAccepted") and entry_of(one).histories == (order,):
            content.put(with_fields(one, gates=()))
    assert not any(one.code == "own_work" for one in report(content).attention)
    worker = next(one.participant for one in content.bundle.records if one.kind == "AssignmentFinished")
    key = next(entry_of(one).key for one in content.bundle.records if one.participant == worker)
    content.keys[key] = replace(content.keys[key], revoked_at=0)
    content.put(replace(with_fields(record, key=key), participant=worker))
    (told,) = (str(one) for one in report(content).attention if one.code == "own_work")
    assert f"certificate {record.sequence} of urn:example:hip-1 is by Alder Forge" in told


def test_a_certificate_with_an_easier_model_than_the_order_asks_for_is_told() -> None:
    content = vector_content()
    record = certificate_of(content, part_named(content, "hip-3"))
    (model,) = content.models
    content.models[model + 1] = content.models[model]
    content.put(with_fields(record, model=model + 1))
    content.change(models=(model, model + 1))
    assert any(
        "certificate of urn:example:hip-3 is not what its order asks for" in str(one)
        and f"with model {model}" in str(one)
        for one in report(content).attention
    )


# More than is so


def test_who_received_a_lot_is_not_said_to_have_made_it() -> None:
    content = vector_content()
    alone(content, _names(content, "urn:example:bar"))
    found = report(content, any_status=True)
    lines = "\n".join(describe(found))
    assert subjects(found, "received") == subjects(found, "part")
    assert "received from outside by Alder Forge" in lines
    assert "made by" not in lines
    whole = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    assert not set(subjects(whole, "received")) & set(subjects(whole, "part"))
    assert any(str(one).startswith("where 4 lots came from that were received") for one in whole.not_proved)


def test_what_is_packed_in_a_part_is_not_said_to_stand_well() -> None:
    content = vector_content()
    alone(content, _names(content, "urn:example:box"))
    assert "how 1 lots stand that are packed in the parts and have no history here" in map(
        str, report(content).not_proved
    )


def test_evidence_of_an_operation_is_not_said_to_be_older_than_the_proof_block() -> None:
    """Nobody anchored a root when the operation was finished: its stream may have been rewritten before the latest."""
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    assert any(one.code == "measured_operations" for one in found.proved)
    assert any(one.code == "finished" for one in found.not_proved)
    content = vector_content()
    issued = {one.sequence for one in vector_bundle().records if one.kind == "CertificateIssued"}
    certified = {one.record for one in vector_bundle().evidence} & issued
    content.change(evidence=tuple(one for one in content.bundle.evidence if one.record in certified))
    less = report(content)
    assert not {"measured_operations", "finished"} & {one.code for one in less.statements}
    assert "operations" in {one.code for one in less.not_proved}


def test_documents_that_are_kept_back_whole_are_counted() -> None:
    content = vector_content()
    documents = len(content.bundle.claims)
    content.change(claims=content.bundle.claims[1:])
    before = [str(one) for one in report(vector_content()).not_proved if one.code == "documents"]
    after = next(str(one) for one in report(content).not_proved if one.code == "documents")
    assert documents
    assert (int(before[0].split()[1]) if before else 0) + 1 == int(after.split()[1])


def test_a_unit_cannot_move_the_cursor() -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    stands = next(one for one in found.statements if one.code == "stands")
    hostile = replace(found, statements=(replace(stands, values={**stands.values, "unit": Unit("\x1bc")}),))
    assert "\n".join(describe(hostile)).replace("\n", "").isprintable()


def test_a_block_ahead_of_the_clock_is_not_said_to_be_past() -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_content().time - 7200)
    assert "(2 hours ahead of this clock)" in describe(found)[0]
    assert refused(vector_bytes(), vector_trust(), vector_content().time - DAY_S - 1) is Step.CHECKPOINT


# Something hidden in a withheld record


@pytest.mark.parametrize("as_kind", ["its own", "LotsTransformed"])
def test_nothing_but_what_was_made_elsewhere_can_be_sealed(as_kind: str) -> None:
    """Every record of the bundle in turn, its true inner hash shown, under its own kind or the one that may be."""
    bundle = vector_bundle()
    steps = set()
    for record in bundle.records:
        kind = record.kind if as_kind == "its own" else as_kind
        withheld = WithheldRecord(kind, inner_of_shown(record))
        changed = replace(
            bundle,
            records=tuple(one for one in bundle.records if one is not record),
            histories=tuple(
                replace(one, records=tuple(withheld if link == record.sequence else link for link in one.records))
                for one in bundle.histories
            ),
        )
        step = refused(encode_bundle(changed), vector_trust(), vector_now())
        steps.add(step)
        if record.kind != "LotsTransformed":
            assert step is Step.HEADS, record
    assert steps <= {Step.HEADS, Step.REPLAY}


# Words of others


def test_heads_of_another_ledger_are_no_heads_of_this_one() -> None:
    content = vector_content()
    for history in content.bundle.histories:
        head = start_of(content.bundle.chain_id, content.bundle.registry, content.bundle.ledger_id, history.subject)
        for one in history.records:
            if isinstance(one, WithheldRecord):
                head = link(head, topic_of_kind(one.kind), one.inner)
            else:
                head = link(head, topic_of_kind(content.record(one).kind), inner_of_shown(content.record(one)))
        content.heads[history.subject] = head
    assert refused_content(content) is Step.HEADS


def cosigned(content: Content, *participants: int) -> tuple[Bundle, TrustFile, list[LocalSigner]]:
    """The bundle with a signer each, by address, and a trust file that asks for all of these participants."""
    bundle, trust = publish(content)
    signers = sorted((LocalSigner.generate() for _ in participants), key=lambda one: one.address)
    keys = sorted(
        (Cosigner(number, one.address) for number, one in zip(participants, signers, strict=True)),
        key=lambda key: (key.participant, key.address),
    )
    return bundle, replace(trust, checkpoint=Cosigners(len(set(participants)), tuple(keys))), signers


OTHERS: dict[str, Callable[[Checkpoint], Checkpoint]] = {
    "another chain": lambda point: replace(point, chain_id=point.chain_id + 1),
    "another ledger": lambda point: replace(point, ledger=keccak256(b"staging")[:20]),
    "another block number": lambda point: replace(point, block_number=point.block_number + 1),
    "another fork": lambda point: replace(point, block_hash=keccak256(b"fork")),
}


@pytest.mark.parametrize("what", OTHERS)
def test_signatures_of_something_else_are_no_signatures_of_this_block(what: str) -> None:
    bundle, trust, signers = cosigned(vector_content(), 1, 2)
    last = parse_header(bundle.headers[-1])
    point = Checkpoint(bundle.chain_id, bundle.ledger, bundle.ledger_id, last.number, last.hash)
    right = tuple(one.sign_digest(point.digest).to_bytes() for one in signers)
    verify_bundle(encode_bundle(replace(bundle, signatures=right)), trust, now_s=vector_now())
    other = OTHERS[what](point)
    wrong = tuple(one.sign_digest(other.digest).to_bytes() for one in signers)
    assert refused(encode_bundle(replace(bundle, signatures=wrong)), trust, vector_now()) is Step.CHECKPOINT
    assert (
        refused(encode_bundle(replace(bundle, signatures=(right[0], wrong[1]))), trust, vector_now()) is Step.CHECKPOINT
    )


def test_two_keys_of_one_participant_are_one_voice() -> None:
    bundle, trust, signers = cosigned(vector_content(), 1, 1, 2)
    assert isinstance(trust.checkpoint, Cosigners)
    last = parse_header(bundle.headers[-1])
    digest = Checkpoint(bundle.chain_id, bundle.ledger, bundle.ledger_id, last.number, last.hash).digest
    owners = {key.address: key.participant for key in trust.checkpoint.keys}
    both = tuple(one.sign_digest(digest).to_bytes() for one in signers if owners[one.address] == 1)
    assert refused(encode_bundle(replace(bundle, signatures=both)), trust, vector_now()) is Step.CHECKPOINT


@pytest.mark.parametrize(
    ("slots", "told"),
    [
        (KeySlots(3, 63, True, 0, 1, 2**32, 0, 0), "a key that the ledger has as revoked"),
        (KeySlots(3, 63, True, 0, 1, 0, 0, 0), "a key that the ledger has as that of Alder Forge"),
    ],
)
def test_a_co_signer_whose_key_the_ledger_knows_otherwise_is_told(slots: KeySlots, told: str) -> None:
    """The trust file decides; but it may be older than what the bundle itself proves."""
    content = vector_content()
    signer = LocalSigner.generate()
    record = next(one for one in content.bundle.records if one.participant == 3)
    content.put(with_fields(record, key=signer.address))
    content.keys[signer.address] = slots
    content.change(keys=tuple(sorted(content.keys)))
    bundle, trust = publish(content)
    last = parse_header(bundle.headers[-1])
    digest = Checkpoint(bundle.chain_id, bundle.ledger, bundle.ledger_id, last.number, last.hash).digest
    number = 3 if slots.revoked_at else 2
    believing = replace(trust, checkpoint=Cosigners(1, (Cosigner(number, signer.address),)))
    data = encode_bundle(replace(bundle, signatures=(signer.sign_digest(digest).to_bytes(),)))
    assert any(told in str(one) for one in verify_bundle(data, believing, now_s=vector_now()).attention)


def test_a_header_of_the_same_number_is_not_the_believed_block() -> None:
    content = vector_content()
    content.time += 1
    data, other = publish_bytes(content)
    believed = vector_trust().checkpoint
    assert isinstance(believed, BelievedBlock)
    assert isinstance(other.checkpoint, BelievedBlock)
    content.later = believed.number - other.checkpoint.number
    data, other = publish_bytes(content)
    assert isinstance(other.checkpoint, BelievedBlock)
    assert (other.checkpoint.number, other.checkpoint.hash != believed.hash) == (believed.number, True)
    assert refused(data, vector_trust(), vector_now()) is Step.CHECKPOINT


# Disclosures of something else


def test_the_same_text_to_the_eye_is_another_value() -> None:
    """U+00FC, and u with U+0308."""
    data = vector_bytes()
    composed = "für Mara".encode()
    assert composed in data
    changed = data.replace(composed, unicodedata.normalize("NFD", "für Mara").encode(), 1)
    assert refused(changed, vector_trust(), vector_now()) is Step.CLAIMS


def test_evidence_of_another_stream_is_refused() -> None:
    bundle = vector_bundle()
    finished = {one.sequence for one in bundle.records if one.kind == "AssignmentFinished"}
    press = next(one for one in bundle.evidence if one.record in finished)
    bench = next(one for one in bundle.evidence if one.record not in finished)
    for own, other in ((bench, press), (press, bench)):
        lie = replace(other, record=own.record)
        evidence = tuple(lie if one is own else one for one in bundle.evidence)
        assert refused(encode_bundle(replace(bundle, evidence=evidence)), vector_trust(), vector_now()) is Step.EVIDENCE


NUMBERS = [
    b"1.0", b"1.3e14", b"+1", b"-0", b"-1", b"00", b"0x1", b"1_0", b"NaN", b"Infinity", b"true",
    b"null", b'"1"', b"[1]", b"9007199254740992", b"9" * 16, b"9" * 5000, b"1e400", b" 1", b"1 ", b"1\n", "١".encode(),
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda one: one[:20].decode())
@pytest.mark.parametrize("member", [b'"chain_id":', b'"participants":[', b'"record":', b'"creator":'])
def test_numbers_have_one_text(member: bytes, number: bytes) -> None:
    head, found, tail = vector_bytes().partition(member)
    assert found
    digits = len(tail) - len(tail.lstrip(b"0123456789"))
    assert refused(head + member + number + tail[digits:], vector_trust(), vector_now()) is Step.FORMAT


def test_failing_verdicts_are_counted_though_an_earlier_one_passed() -> None:
    """The latest certificate counts, whichever the sender would rather have."""
    content = vector_content()
    part = part_named(content, "hip-1")
    issued = [content.record(one) for one in content.history(part).records if isinstance(one, int)]
    passing = [one for one in issued if one.kind == "CertificateIssued"][-1]
    again = with_fields(passing, verdict=int(Verdict.FAIL), inference_digest=keccak256(b"again"))
    sequence = content.bundle.records[-1].sequence + 1
    content.append(replace(again, sequence=sequence, block_time=content.time), part)
    assert refused_content(content) is Step.STATUS


def test_a_waived_gate_is_told_with_the_verdict_that_the_buyer_knew() -> None:
    content = vector_content()
    (waiver,) = (one for one in content.bundle.records if one.kind == "GateWaived")
    certificate = event_in(waiver, GateWaived).certificate
    (told,) = (str(one) for one in report(content).attention if one.code == "waived")
    assert told.startswith(f"record {waiver.sequence}: Nordwind")
    assert "took urn:example:hip-8 without the gate of" in told
    assert f"whose certificate {certificate} is: fail" in told


def test_m10_a_waiver_of_somebody_else_is_refused() -> None:
    content = vector_content()
    (waiver,) = (one for one in content.bundle.records if one.kind == "GateWaived")
    other = next(one for one in content.bundle.records if one.kind == "CertificateIssued")
    content.put(replace(with_fields(waiver, key=entry_of(other).key), participant=other.participant))
    with pytest.raises(ReplayRefused, match="waived by another participant than the buyer"):
        report(content)


def test_m10_a_waiver_names_the_latest_certificate() -> None:
    content = vector_content()
    (waiver,) = (one for one in content.bundle.records if one.kind == "GateWaived")
    content.put(with_fields(waiver, certificate=0))
    with pytest.raises(ReplayRefused, match="names another certificate"):
        report(content)
