"""Verification, step by step: the true bundle passes, and each forgery is refused by the step that it lies about."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest

from millmark.ledger.bundle import HistoryShown, RecordShown, WithheldRecord, encode_bundle
from millmark.ledger.checkpoint import Checkpoint
from millmark.ledger.events.certificates import CertificateIssued, OpeningDemanded
from millmark.ledger.events.lots import LotQuarantined
from millmark.ledger.events.orders import AssignmentFinished
from millmark.ledger.evidence import LeafKind
from millmark.ledger.headers import parse_header
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import CertificateStatus, LotState, ModelState, Verdict
from millmark.ledger.trust import BelievedBlock, Cosigner, Cosigners
from millmark.ledger.verify import Report, Step, VerificationError, describe, verify_bundle
from millmark.ledger.verify._attention import _same_measurements
from millmark.ledger.verify._proofs import StateProof
from millmark.ledger.verify._replay import _verify_names, verify_histories
from millmark.ledger.verify._state import Entry
from millmark.ledger.verify._status import Verified
from millmark.ledger.verify.report import (
    CheckpointRefused,
    HeadsRefused,
    ProofsRefused,
    ReplayRefused,
    StatusRefused,
    TrustRefused,
    moment,
)
from millmark.ledger.verify.statements import Age, Fields, Unit
from tests.proofs.forgeries import judge, run_mutations
from tests.proofs.forging import FORGERIES, Forgery, published
from tests.support.bundle_content import Content, entry_of, event_in, publish, publish_bytes, with_fields
from tests.support.bundle_vector import vector_bundle, vector_bytes, vector_content, vector_now, vector_trust
from tests.support.event_data import encode_event
from tests.support.story import Story, made_of, name, named, said

CASES = [(step, forge) for step in Step if step is not Step.FORMAT for forge in FORGERIES[step]]
SEEDS = 4


def report(content: Content, *, any_status: bool = False) -> Report:
    data, trust = publish_bytes(content)
    return verify_bundle(data, trust, now_s=content.time + 100, any_status=any_status)


@pytest.mark.parametrize(("step", "forge"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_forgery_is_refused_by_the_step_that_it_is_about(step: Step, forge: Forgery) -> None:
    judged = 0
    for seed in range(40):
        forged = forge(vector_content(), Random(seed))  # noqa: S311  # to be had again, not secret
        if forged is not None:
            assert judge(forged) is step, seed
            judged += 1
            if judged == SEEDS:
                return
    raise AssertionError("it forges too seldom")


def test_no_changed_byte_goes_unnoticed() -> None:
    tally = run_mutations(vector_bytes(), vector_trust(), vector_now(), 150, seed=7)
    assert tally.accepted == []


def test_the_true_bundle_says_who_made_the_part_and_how_it_stands() -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    part = next(one.subject for one in said(found, "part") if str(one.values["lot"]) == "urn:example:hip-1")
    assert part is not None
    line = {part, *made_of(found, part)}
    own = {one.code: one.values for one in found.statements if one.subject == part}
    made = next(own[code] for code in ("made", "received", "split", "merged", "converted") if code in own)
    assert [str(made["by"]), str(own["stands"]["holder"]), str(own["in_order"]["buyer"])] == [
        "Alder Forge",
        "Nordwind Mobility",
        "Nordwind Mobility",
    ]
    machines = [one.values["machine"] for one in said(found, "on_machine") if one.subject in line]
    assert [machine.identifier for machine in machines] == ["urn:example:press"]  # type: ignore[attr-defined]  # named
    stands = own["stands"]
    assert (stands["state"], stands["quantity"], stands["unit"]) == (LotState.HELD, 1, Unit("H87"))
    assert (own["passed"]["status"], own["passed"]["verdict"]) == (CertificateStatus.VALID, Verdict.PASS)
    assert len(line) == 1 + 4
    assert named(found, "withheld_kind", "count") == [1]
    assert named(found, "as_of", "age") == [Age(100)]


def test_the_report_says_what_is_not_proved_and_what_not_to_overlook() -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    assert any("after the proof block" in str(one) for one in found.not_proved)
    assert any("withheld records" in str(one) for one in found.not_proved)
    assert any("corrected by record" in str(one) for one in found.attention)
    assert any("declared compromised" in str(one) for one in found.attention)
    assert any("urn:example:hip-3" in str(one) and "fail" in str(one) for one in found.attention)
    assert any("hip-4 has no certificate" in str(one) for one in found.attention)
    lines = "\n".join(describe(found))
    parts = named(found, "part", "lot")
    assert parts
    assert all(part.identifier and part.identifier in lines for part in parts)
    assert '"engraving" "für Mara"' in lines


def test_withheld_fields_and_undisclosed_evidence_are_counted() -> None:
    content = vector_content()
    content.change(evidence=(), inferences=())
    found = report(content)
    assert not said(found, "entry")
    issued = [one.sequence for one in content.bundle.records if one.kind == "CertificateIssued"]
    certificates = ", ".join(map(str, issued))
    assert f"measured data of certificates {certificates}: no evidence is shown" in map(str, found.not_proved)


def test_a_disclosed_text_cannot_move_the_cursor() -> None:
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=vector_now())
    shown = next(one for one in found.statements if one.code == "document")
    hostile = Fields(((("a\x1b[2J",), "\x9b2J\u202egnihton"),))
    changed = replace(shown, values={**shown.values, "fields": hostile})
    lines = "\n".join(describe(replace(found, statements=(changed,))))
    assert lines.replace("\n", "").isprintable()


# Step 2 and 3: what the verifier brings


def test_a_ledger_of_a_chain_made_anew_is_refused() -> None:
    """With the same keys, all addresses are the same."""
    content = vector_content()
    content.change(ledger_id=bytes(range(32)), identities=())  # whose salts name the ledger, too
    data, trust = publish_bytes(content)
    with pytest.raises(TrustRefused, match="ledger id"):
        verify_bundle(data, trust, now_s=content.time, any_status=True)
    verify_bundle(data, replace(trust, ledger_id=bytes(range(32))), now_s=content.time, any_status=True)


def test_a_staging_ledger_of_the_same_keys_is_refused() -> None:
    content = vector_content()
    # Inferences' contexts and the salts of names name the chain, too.
    content.change(chain_id=content.bundle.chain_id + 1, inferences=(), identities=())
    data, trust = publish_bytes(content)
    with pytest.raises(TrustRefused, match="chain id"):
        verify_bundle(data, trust, now_s=content.time, any_status=True)
    verify_bundle(data, replace(trust, chain_id=content.bundle.chain_id), now_s=content.time, any_status=True)


def test_a_cosigned_checkpoint_is_believed_and_one_signature_less_is_not() -> None:
    bundle, trust = publish(vector_content())
    signers = sorted((LocalSigner.generate() for _ in range(3)), key=lambda one: one.address)
    last = parse_header(bundle.headers[-1])
    digest = Checkpoint(bundle.chain_id, bundle.ledger, bundle.ledger_id, last.number, last.hash).digest
    signatures = tuple(one.sign_digest(digest).to_bytes() for one in signers)
    keys = tuple(Cosigner(number, one.address) for number, one in enumerate(signers, start=1))
    cosigned = replace(trust, checkpoint=Cosigners(2, keys))
    now = vector_now()
    data = encode_bundle(replace(bundle, signatures=signatures[:2]))
    assert said(verify_bundle(data, cosigned, now_s=now), "checkpoint_cosigned")
    with pytest.raises(CheckpointRefused, match="1 of the 2"):
        verify_bundle(encode_bundle(replace(bundle, signatures=signatures[:1])), cosigned, now_s=now)
    # Whoever names the block needs no signatures, and is told that they were not judged.
    assert any("whose signatures" in str(one) for one in verify_bundle(data, trust, now_s=now).not_proved)


def test_the_proof_block_may_be_an_ancestor_of_the_checkpoint_and_no_descendant() -> None:
    bundle, trust = vector_bundle(), vector_trust()
    assert len(bundle.headers) == 2
    first = parse_header(bundle.headers[0])
    older = replace(trust, checkpoint=BelievedBlock(first.number, first.hash))
    with pytest.raises(CheckpointRefused):
        verify_bundle(vector_bytes(), older, now_s=vector_now())
    verify_bundle(encode_bundle(replace(bundle, headers=bundle.headers[:1], seals=None)), older, now_s=vector_now())


@pytest.mark.parametrize(("age_s", "good"), [(0, True), (59, True), (60, True), (61, False), (10**12, False)])
def test_a_bundle_is_too_old_beyond_the_age_and_not_at_it(age_s: int, good: bool) -> None:
    time = vector_content().time
    if good:
        verify_bundle(vector_bytes(), vector_trust(), now_s=time + age_s, max_age_s=60)
    else:
        with pytest.raises(CheckpointRefused, match="days old"):
            verify_bundle(vector_bytes(), vector_trust(), now_s=time + age_s, max_age_s=60, any_status=True)


# Step 4: what the contracts store


@pytest.mark.parametrize(
    ("table", "member", "least"),
    [
        ("participants", "sequence", 1),
        ("keys", "participant", 1),
        ("machines", "owner", 1),
        ("models", "state", ModelState.REGISTERED),
        ("streams", "sequence", 1),
    ],
)
def test_what_has_a_first_number_exists_and_what_has_none_does_not(table: str, member: str, least: int) -> None:
    for number in (least, type(least)(0)):
        content = vector_content()
        found = getattr(content, table)
        found |= {name: replace(one, **{member: number}) for name, one in found.items()}
        bundle, trust = publish(content)
        proof = StateProof(bundle, parse_header(bundle.headers[0]))
        proof.verify_contracts(bundle, trust)
        if number:
            assert {getattr(one, member) for one in getattr(proof.read(bundle), table).values()} == {least}
        else:
            with pytest.raises(ProofsRefused, match="does not exist"):
                proof.read(bundle)


# Steps 5 and 6: nothing is left out


@pytest.mark.parametrize(
    "kind", ["CertificateIssued", "CertificateRevoked", "LotScrapped", "LotsPacked", "AssignmentDeclined"]
)
def test_a_left_out_record_is_told_by_its_history(kind: str) -> None:
    bundle = vector_bundle()
    record = next(one for one in bundle.records if one.kind == kind)
    subject = entry_of(record).histories[0]
    histories = tuple(
        replace(one, records=tuple(link for link in one.records if link != record.sequence)) for one in bundle.histories
    )
    records = tuple(one for one in bundle.records if one is not record)
    with pytest.raises(HeadsRefused) as refused:
        verify_bundle(
            encode_bundle(replace(bundle, histories=histories, records=records)), vector_trust(), now_s=vector_now()
        )
    assert refused.value.subject in entry_of(record).histories
    assert refused.value.sequence is not None
    assert subject.hex() in str(refused.value) or len(entry_of(record).histories) > 1


def test_every_history_is_asked_for_by_name_when_it_is_missing() -> None:
    for history in vector_bundle().histories:
        content = vector_content()
        left = tuple(one for one in content.bundle.histories if one.subject != history.subject)
        named = {link for one in left for link in one.records}
        records = tuple(one for one in content.bundle.records if one.sequence in named)
        content.change(histories=left, records=records)
        forged = published(content)
        with pytest.raises(ReplayRefused) as refused:
            verify_bundle(forged.data, forged.trust, now_s=forged.now_s)
        assert refused.value.subject == history.subject or "is proved, although no record" in str(refused.value)


def test_a_quarantined_part_is_refused_by_its_status() -> None:
    content = vector_content()
    made = next(one for one in content.bundle.records if one.kind == "LotCommissioned")
    part, address = entry_of(made).histories[0], entry_of(made).key
    content.keys[address] = replace(content.keys[address], revoked_at=0)
    sequence = content.bundle.records[-1].sequence + 1
    data = encode_event(LotQuarantined(bytes(32)), address, (part,))
    content.append(RecordShown("LotQuarantined", sequence, made.participant, content.time, data), part)
    assert judge(published(content)) is Step.STATUS
    found = report(content, any_status=True)
    assert any("is quarantined by Alder Forge" in str(one) for one in found.attention)


# Step 11


def test_a_refused_status_still_brings_the_report() -> None:
    content = vector_content()
    for number, model in content.models.items():
        withdrawn = content.bundle.records[-1].block_time + 1
        content.models[number] = replace(model, state=ModelState.WITHDRAWN, withdrawn_at=withdrawn)
    content.time += 10
    data, trust = publish_bytes(content)
    with pytest.raises(StatusRefused) as refused:
        verify_bundle(data, trust, now_s=content.time)
    assert refused.value.report is not None
    assert set(named(refused.value.report, "no_valid_verdict", "status")) == {CertificateStatus.FALLEN}
    assert not said(refused.value.report, "passed")
    assert said(report(content, any_status=True), "no_valid_verdict")


def test_expiry_is_judged_at_the_proof_block_and_now() -> None:
    latest = max(one.sequence for one in vector_bundle().records if one.kind == "CertificateIssued")
    expires_at = event_in(vector_content().record(latest), CertificateIssued).statement.expires_at
    with pytest.raises(StatusRefused, match=r"expired|unopened"):
        verify_bundle(vector_bytes(), vector_trust(), now_s=expires_at, max_age_s=10**9)
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=expires_at, max_age_s=10**9, any_status=True)
    [verdict] = [one for one in found.statements if one.values.get("certificate") == latest and "until" in one.values]
    assert verdict.code == "no_valid_verdict"
    assert verdict.values["status"] is CertificateStatus.EXPIRED
    assert verdict.values["until"] == moment(expires_at)
    assert verdict.records == (latest,)


def test_the_report_says_how_long_it_holds() -> None:
    data, trust, now = vector_bytes(), vector_trust(), vector_now()
    first = verify_bundle(data, trust, now_s=now)
    deadlines = [event_in(one, OpeningDemanded).deadline for one in vector_bundle().records if "Demanded" in one.kind]
    held = first.holds_until
    assert held == deadlines[-1] > now
    same = verify_bundle(data, trust, now_s=held - 1, any_status=True)
    assert (same.holds_until, same.attention) == (held, first.attention)
    assert verify_bundle(data, trust, now_s=held, any_status=True).attention != first.attention
    [made] = named(first, "as_of", "time")
    assert verify_bundle(data, trust, now_s=now, max_age_s=150).holds_until == int(made.timestamp()) + 151


def test_a_demand_counts_from_its_deadline_on() -> None:
    demanded = [one for one in vector_bundle().records if one.kind == "OpeningDemanded"][-1]
    event = event_in(demanded, OpeningDemanded)
    deadline, certificate = event.deadline, event.certificate
    found = verify_bundle(vector_bytes(), vector_trust(), now_s=deadline - 1)
    assert any(
        f"doubts certificate {certificate} of urn:example:hip-3: Umbra Inspection must show by" in str(one)
        for one in found.attention
    )
    with pytest.raises(StatusRefused, match="unopened") as refused:
        verify_bundle(vector_bytes(), vector_trust(), now_s=deadline)
    assert refused.value.sequence == certificate


def test_one_input_for_two_lots_is_caught() -> None:
    """The inspector says the same of two parts; the second certificate's digest is bound to the first part."""
    content = vector_content()
    first, second = content.bundle.inferences[:2]
    digest = event_in(content.record(first.record), CertificateIssued).statement.inference_digest
    content.put(with_fields(content.record(second.record), inference_digest=digest))
    reused = replace(first, record=second.record)
    inferences = tuple(reused if one is second else one for one in content.bundle.inferences)
    content.change(inferences=inferences)
    assert judge(published(content)) is Step.INFERENCES
    content.change(inferences=())
    assert any("with one inference" in str(one) for one in report(content).attention)


def test_h3_one_measurement_for_two_lots_is_told() -> None:
    """Whoever reads the records sees it: a leaf names one lot, and nothing has to be opened."""
    content = vector_content()
    first, second = (content.record(one.record) for one in content.bundle.inferences[:2])
    named = event_in(first, CertificateIssued).statement
    assert not [one for one in report(content).attention if one.code == "one_measurement"]
    content.put(with_fields(second, leaf_index=named.leaf_index, leaf_hash=named.leaf_hash, anchor_size=_size(first)))
    content.change(inferences=(), evidence=())
    told = [one for one in report(content, any_status=True).attention if one.code == "one_measurement"]
    assert [one.records for one in told] == [(first.sequence, second.sequence)]
    assert f"records {first.sequence}, {second.sequence} name one measurement" in str(told[0])


def _size(record: RecordShown) -> int:
    return event_in(record, CertificateIssued).anchor_size


def test_m9_one_measurement_for_two_operations_is_told() -> None:
    """Of two operations that ran at once, on one machine, the contract cannot tell which one an entry is about."""
    finished = [AssignmentFinished(0, number, bytes(32), 5, b"\x11" * 32) for number in (3, 4)]
    entries = [Entry(event, 7 + place, 1, bytes(20), 0, (bytes(32),)) for place, event in enumerate(finished)]
    alone = Entry(replace(finished[0], leaf_index=6), 9, 1, bytes(20), 0, (bytes(32),))
    told = list(_same_measurements(cast(Verified, SimpleNamespace(entries=[*entries, alone]))))
    assert [one.records for one in told] == [(7, 8)]


def test_k10_an_entry_that_is_no_window_of_the_lot_is_told() -> None:
    """A certificate on an entry of another kind, or of another lot; and one whose inference read other data."""
    for kind, change, cause in (
        (LeafKind.EVENT, {}, "is on an entry that was not measured on"),
        (LeafKind.WINDOW, {"lot": "0x" + "99" * 32}, "is on an entry that was not measured on"),
        (LeafKind.WINDOW, {"commitment": "0x" + "99" * 32}, "is by an inference on other data"),
    ):
        content = vector_content()
        opened = {one.record for one in content.bundle.inferences}
        evidence = next(one for one in content.bundle.evidence if one.record in opened and one.shown is not None)
        assert evidence.shown is not None
        assert isinstance(evidence.shown.entry, dict)
        shown = replace(evidence.shown, kind=kind, entry={**evidence.shown.entry, **change})
        content.change(evidence=(replace(evidence, shown=shown),))
        # Taken as proved: the leaf of an honest inspector fits no other entry.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("millmark.ledger.verify.verifier.verify_evidence", lambda *_: None)
            assert [one for one in report(content, any_status=True).attention if cause in str(one)], cause


@pytest.mark.parametrize("kind", list(LeafKind))
def test_m9_an_operation_finished_by_an_entry_that_shows_no_work_is_told(kind: LeafKind) -> None:
    """The contract sees the entry's hash alone, so it takes an offer or a plan as well."""
    content = vector_content()
    finished = {one.sequence for one in content.bundle.records if one.kind == "AssignmentFinished"}
    evidence = next(one for one in content.bundle.evidence if one.record in finished and one.shown is not None)
    assert evidence.shown is not None
    content.change(evidence=(replace(evidence, shown=replace(evidence.shown, kind=kind)),))
    with pytest.MonkeyPatch.context() as patch:  # taken as proved
        patch.setattr("millmark.ledger.verify.verifier.verify_evidence", lambda *_: None)
        told = [one for one in report(content, any_status=True).attention if one.code == "no_work"]
    shows = kind in (LeafKind.EVENT, LeafKind.WINDOW, LeafKind.OPERATION)
    assert [(one.records, one.values["kind"]) for one in told] == ([] if shows else [((evidence.record,), kind)])


@pytest.mark.parametrize(
    ("member", "what", "other"),
    [
        ("chain_id", "chain id", 7),
        ("registry", "registry", bytes(20)),
        ("ledger", "ledger", bytes(20)),
        ("ledger_id", "ledger id", bytes(32)),
    ],
)
def test_a_bundle_of_another_ledger_is_refused_by_what_differs(member: str, what: str, other: object) -> None:
    bundle = replace(vector_bundle(), **{member: other})  # type: ignore[arg-type]  # a member of the bundle
    with pytest.raises(TrustRefused, match=f"the {what} is"):
        StateProof(bundle, parse_header(bundle.headers[0])).verify_contracts(bundle, vector_trust())


def test_of_several_records_that_are_left_out_of_a_history_the_oldest_is_named() -> None:
    story, lot, other = Story(), name("lot"), name("other lot")
    for one in (lot, other):
        story.receive(one)
    numbers = [story.on_lot("LotQuarantined", one) for one in (lot, other)]
    entries = {one.sequence: one for one in story.entries}
    _verify_names(story.bundle().histories, entries)
    short = [HistoryShown(one.subject, one.records[:1]) for one in story.bundle().histories]
    with pytest.raises(HeadsRefused, match="the record is left out of its history") as refused:
        _verify_names(short, entries)
    assert (refused.value.sequence, refused.value.subject) == (numbers[0], lot)


@pytest.mark.parametrize("kind", ["LotQuarantined", "LotUnheardOf"])
def test_only_a_kind_that_may_be_is_withheld(kind: str) -> None:
    bundle = vector_bundle()
    first, *others = bundle.histories
    history = replace(first, records=(*first.records, WithheldRecord(kind, bytes(32))))
    with pytest.raises(HeadsRefused, match=f"a {kind} is withheld") as refused:
        verify_histories(replace(bundle, histories=(history, *others)), {first.subject: bytes(32)})
    assert (refused.value.subject, refused.value.sequence) == (first.subject, first.records[-1])


def test_a_record_that_is_in_no_history_is_named() -> None:
    story, lot = Story(), name("lot")
    story.receive(lot)
    story.receive(name("other lot"))
    del story.histories[name("other lot")]
    with pytest.raises(HeadsRefused, match="the record belongs to no history in the bundle") as refused:
        _verify_names(story.bundle().histories, {one.sequence: one for one in story.entries})
    assert refused.value.sequence == 2


def test_a_contract_without_an_account_is_refused() -> None:
    content = vector_content()
    address = content.trust.registry.address
    content.accounts[address] = b""
    assert judge(published(content)) is Step.TRUST
    with pytest.raises(TrustRefused, match="account of Registry: the account does not exist"):
        report(content)


@pytest.mark.parametrize("step", list(Step))
def test_every_step_has_an_error_of_its_own(step: Step) -> None:
    classes = [one for one in VerificationError.__subclasses__() if one.step is step]
    assert len(classes) == 1
    shown = str(classes[0]("cause"))
    assert shown == f"step {step.value} ({step.name.lower()}): cause"
