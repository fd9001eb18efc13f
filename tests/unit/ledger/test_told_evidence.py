"""What is said of operations and certificates without evidence; "va" is of ledger/verify/FINDINGS.md."""

from __future__ import annotations

from ledger.bundle import EvidenceEntryShown, ShownEvidence
from ledger.evidence import LeafKind
from ledger.verify import verify_bundle
from tests.support.bundle_content import publish_bytes
from tests.support.bundle_vector import vector_content
from tests.support.story import NONE, Story, name
from tests.support.told import said, subjects, tell


def test_va_operations_without_evidence_are_named() -> None:
    """An invented leaf hash finishes an operation; the evidence of another one does not speak for it."""
    content = vector_content()
    finished = {one.sequence for one in content.bundle.records if one.kind == "AssignmentFinished"}
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert set(said(report, "measured_operations")[0].records) == finished
    kept: tuple[ShownEvidence, ...] = tuple(one for one in content.bundle.evidence if one.record not in finished)
    content.change(evidence=kept)
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert set(said(report, "operations")[0].records) == finished
    assert not said(report, "measured_operations")
    certified = {one.sequence for one in content.bundle.records if one.kind == "CertificateIssued"}
    assert set(said(report, "measured_certificates")[0].records) == certified


def test_va_a_certificate_without_evidence_is_named_although_others_have_some() -> None:
    content = vector_content()
    first, *others = (one for one in content.bundle.evidence)
    content.change(evidence=tuple(others))
    data, trust = publish_bytes(content)
    report = verify_bundle(data, trust, now_s=content.time)
    assert said(report, "measured")[0].records == (first.record,)
    assert first.record not in said(report, "measured_certificates")[0].records


def test_of_an_entry_that_is_not_shown_nothing_is_said_about_its_lot() -> None:
    story, lot = Story(), name("lot")
    story.receive(lot)
    certificate = story.certify(lot)
    hashed = ShownEvidence(certificate, (), (), None)
    assert not said(tell(story, lot, evidence=(hashed,)), "no_window")
    other = ShownEvidence(certificate, (), (), EvidenceEntryShown(LeafKind.WINDOW, NONE, {"lot": "0x00"}))
    assert subjects(tell(story, lot, evidence=(other,)), "no_window") == [lot]
