"""What is said not to be proved: what no bundle proves, what the sender left out, and what has no history in it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.bundle import EvidenceEntryShown, ShownClaims, ShownEvidence
from millmark.ledger.claims import build_claims
from millmark.ledger.evidence import LeafKind
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import TransformationKind
from millmark.ledger.trust import Cosigner, Cosigners
from millmark.ledger.verify.statements import Section, Thing
from millmark.ledger.verify.verifier import build_report
from tests.support.bundle_vector import vector_content
from tests.support.story import MODEL, NONE, Story, codes, hidden, name, named, said, tell, verified_of

ORDER, PART, BAR, BOX = name("order"), name("part"), name("bar"), name("box")
SPLIT, CONVERSION = TransformationKind.SPLIT, TransformationKind.CONVERSION


def received(*lots: bytes) -> Story:
    story = Story()
    for lot in lots:
        story.receive(lot)
    return story


def test_of_a_lot_with_all_its_records_only_what_no_bundle_proves_is_left() -> None:
    report = tell(received(PART), PART, names={PART: "urn:example:part"})
    assert [one.code for one in report.within(Section.NOT_PROVED)] == [
        "after", "truth", "trust", "others", "received_lots",
    ]  # fmt: skip


def test_signatures_that_the_trust_file_does_not_ask_for_are_not_judged() -> None:
    story, signatures = received(PART), (b"\1" * 65,)
    assert not said(tell(story, PART), "signatures")
    assert said(tell(story, PART, signatures=signatures), "signatures")
    verified = verified_of(story, PART, signatures=signatures)
    asking = Cosigners(1, (Cosigner(1, LocalSigner.generate().address),))
    trust = replace(verified.trust, checkpoint=asking)
    assert not said(build_report(replace(verified, trust=trust)), "signatures")


def test_lots_with_withheld_records_are_named_in_order() -> None:
    lots = sorted((PART, BAR, BOX))
    story = received(*lots)
    [made] = story.transform(TransformationKind.MERGE, dict.fromkeys(lots, 5), {"made": 15})
    for lot in (lots[2], lots[0]):
        story.withhold(lot)
    assert named(tell(story, made), "withheld", "lots") == [(Thing(lots[0], None), Thing(lots[2], None))]


def test_conversions_are_told_and_what_splits_is_none() -> None:
    story = received(BAR)
    [first, second] = story.transform(SPLIT, {BAR: 10}, {"first": 4, "second": 6})
    assert not said(tell(story, first, second), "conversions")
    [made] = story.transform(CONVERSION, {first: 4}, {"made": 4})
    assert named(tell(story, made, second), "conversions", "converted") == [(len(story.entries),)]


def test_records_that_are_in_a_history_that_is_not_here_are_told() -> None:
    story = received(BAR)
    first, second = story.transform(SPLIT, {BAR: 10}, {"first": 4, "second": 6})
    shared = len(story.entries)
    assert not said(tell(story, first, second), "elsewhere")
    del story.histories[second]
    report = tell(story, first)
    assert named(report, "elsewhere", "shared") == [(shared,)]
    [sisters] = said(report, "sisters")
    assert (sisters.records, sisters.values["lots"]) == ((shared,), (Thing(second, None),))


def test_what_is_packed_in_a_part_and_has_no_history_here_is_told() -> None:
    story = received(BOX, PART)
    story.pack(BOX, PART, hidden())
    report = tell(story, BOX, PART)
    assert named(report, "packed", "packed") == [(Thing(hidden(), None),)]
    assert named(report, "packed", "lots") == [1]


def test_what_came_from_outside_is_told_with_its_records() -> None:
    story = received(BAR)
    [made] = story.transform(CONVERSION, {BAR: 10}, {"made": 10})
    [told] = said(tell(story, made), "received_lots")
    assert (told.records, told.values["lots"], told.values["received"]) == ((1,), 1, (Thing(BAR, None),))


def test_documents_are_counted_that_are_kept_back_or_of_which_nothing_is_shown() -> None:
    story = received(PART)
    claims = build_claims({"name": "crank"})
    for _ in range(2):
        story.on_lot("CustodyOffered", PART, to=2, claims_root=claims.root)
        story.on_lot("CustodyWithdrawn", PART)
    offered = (2, 4)
    assert [one.records for one in said(tell(story, PART), "documents")] == [offered]
    shown = ShownClaims(2, 0, claims.disclose([("name",)]))
    report = tell(story, PART, claims=(shown,))
    assert [one.records for one in said(report, "documents")] == [offered[1:]]
    assert named(report, "documents", "documents") == [1]
    empty = replace(shown, record=4, disclosure=replace(shown.disclosure, shown=()))
    assert [one.records for one in said(tell(story, PART, claims=(shown, empty)), "documents")] == [offered[1:]]


@pytest.mark.parametrize("model", [MODEL, 0])
def test_what_is_not_shown_of_a_certificate_is_told(model: int) -> None:
    """Of one by inference, the inference too."""
    story = received(PART)
    number = story.certify(PART, model=model)
    inference = ["inferences"] if model else []
    wanted = ("measured", "entries", "inferences", "uncompared", "execution")
    opened = tuple(replace(one, record=number) for one in vector_content().bundle.inferences[:1]) if model else ()
    hashed = ShownEvidence(number, (), (), None)
    entry = EvidenceEntryShown(LeafKind.EVENT, NONE, {})
    for evidence, inferences, expected in (
        ((), (), ["measured", *inference]),
        ((hashed,), (), ["entries", *inference]),
        ((replace(hashed, shown=entry),), (), inference),
        ((hashed,), opened, ["entries", *(["uncompared", "execution"] if model else [])]),
    ):
        report = tell(story, PART, evidence=evidence, inferences=inferences)
        assert [code for code in codes(report) if code in wanted] == expected
        for code in ("measured", "inferences", "uncompared"):
            assert named(report, code, "certificates") == [(number,)] * expected.count(code)
        assert named(report, "entries", "measured") == [(number,)] * expected.count("entries")


def test_an_operation_is_not_shown_to_be_finished_by_its_entry() -> None:
    story = Story()
    story.commission(PART, ORDER, story.begin(ORDER))
    assert not {"operations", "finished"} & set(codes(tell(story, PART)))
    story.finish(ORDER, 3)
    record = len(story.entries)
    assert named(tell(story, PART), "operations", "finished") == [(record,)]
    hashed = ShownEvidence(record, (NONE,), (), None)
    report = tell(story, PART, evidence=(hashed,))
    assert not said(report, "operations")
    assert said(report, "finished")
