"""What a reader must not overlook, at the borders: which second, which of several, and what is doubtful no more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from millmark.ledger.bundle import EvidenceEntryShown, ShownEvidence
from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.evidence import LeafKind, build_window_commitment
from millmark.ledger.records import ALL_ROLES, CertificateStatus, Gate, TransformationKind
from millmark.ledger.slots import KeySlots
from millmark.ledger.trust import Cosigner, Cosigners
from millmark.ledger.verify._proofs import Reasons
from millmark.ledger.verify.report import moment
from millmark.ledger.verify.statements import Span
from millmark.ledger.verify.verifier import build_report
from tests.support.bundle_vector import vector_content
from tests.support.story import (
    BUYER,
    EXPIRY_S,
    GRAM,
    INSPECTOR,
    MAKER,
    MODEL,
    NONE,
    OTHER,
    START_S,
    STREAM,
    Story,
    key_of,
    name,
    named,
    said,
    subjects,
    tell,
    verified_of,
)

ORDER, PART, BAR = name("order"), name("part"), name("bar")


@pytest.fixture
def story() -> Story:
    """A part of an order with a gate."""
    story = Story()
    story.commission(PART, ORDER, story.begin(ORDER))
    return story


def test_how_far_the_proof_is_behind_the_believed_block_is_told_in_blocks_and_time(story: Story) -> None:
    assert not said(tell(story, PART), "behind")
    [told] = said(tell(story, PART, behind=2), "behind")
    assert (told.values["blocks"], told.values["span"]) == (2, Span(120))


@pytest.mark.parametrize(("later", "tells"), [(-1, 1), (0, 1), (1, 0)])
def test_records_from_the_second_on_since_which_a_key_was_compromised_are_told(
    story: Story, later: int, tells: int
) -> None:
    certificate = story.certify(PART, ORDER)
    address, declared = key_of(INSPECTOR), story.now + 9
    story.keys[address] = KeySlots(INSPECTOR, ALL_ROLES, True, 0, START_S, declared, story.now + later, declared)
    told = said(tell(story, PART), "compromised")
    assert [(one.records, one.values["declared"]) for one in told] == [((certificate,), moment(declared))] * tells


@pytest.mark.parametrize("late", [INSPECTOR, OTHER])
def test_of_several_certificates_that_decide_the_one_that_has_expired_is_told(late: int) -> None:
    story = Story()
    story.place(ORDER, 1, Gate(INSPECTOR, MODEL), Gate(OTHER, MODEL))
    story.accept(ORDER)
    assignment = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, assignment)
    story.start(ORDER, assignment)
    story.commission(PART, ORDER, assignment)
    issued = {
        by: story.certify(
            PART,
            ORDER,
            by=by,
            expires_at=story.now + 9 if by == late else EXPIRY_S,
            leaf_index=by,
            inference_digest=bytes([by]) * 32,
        )
        for by in (INSPECTOR, OTHER)
    }
    told = [(one.records, one.values["status"]) for one in said(tell(story, PART), "certificate")]
    assert told == [((issued[late],), CertificateStatus.EXPIRED)]


def test_a_gate_that_was_waived_without_a_certificate_is_told_otherwise_than_one_with_a_verdict(story: Story) -> None:
    waived = story.record("GateWaived", BUYER, PART, inspector=INSPECTOR, certificate=0)
    certificate = story.certify(PART, ORDER, verdict=2)
    again = story.record("GateWaived", BUYER, PART, inspector=INSPECTOR, certificate=certificate)
    report = tell(story, PART)
    assert [one.records for one in said(report, "waived_uncertified")] == [(waived,)]
    assert [one.records for one in said(report, "waived")] == [(again, certificate)]


def test_only_a_part_that_is_used_up_is_told_to_be() -> None:
    story = Story()
    story.receive(BAR)
    [made] = story.transform(TransformationKind.CONVERSION, {BAR: 10}, {"made": 10})
    assert not said(tell(story, made), "spent"), "what it was made of is no part"
    story.on_lot("LotScrapped", made, quantity=9)
    assert not said(tell(story, made), "spent")
    story.on_lot("LotScrapped", made, quantity=1)
    assert subjects(tell(story, made), "spent") == [made]


def test_behind_a_conversion_of_another_measure_an_odd_one_is_told() -> None:
    story = Story()
    story.receive(BAR, 100, GRAM)
    kind, odd = TransformationKind.CONVERSION, []
    for at, (unit, made) in enumerate(((b"H87", 7), (b"KGM", 1), (b"H87", 7), (b"GRM", 9))):
        own = {"of": GRAM, "output_unit": unit, "units": {f"made {at}": unit}, "yield_in": 10, "yield_out": made}
        story.transform(kind, {BAR: 10}, {f"made {at}": made}, **own)  # type: ignore[arg-type]  # its members
        odd += [len(story.entries)] if unit != b"H87" else []
    assert [one.records for one in said(tell(story), "odd_yield")] == [(number,) for number in odd]


# Measurements


@pytest.mark.parametrize(
    ("model", "lots", "tells"), [(MODEL, (PART, BAR), 1), (MODEL, (PART, PART), 0), (0, (PART, BAR), 0)]
)
def test_one_inference_for_two_lots_is_told(story: Story, model: int, lots: tuple[bytes, ...], tells: int) -> None:
    """Twice of one lot, it may be issued again; a procedure has none."""
    story.receive(BAR)
    numbers = tuple(
        story.certify(lot, story.order_of(lot), model=model, leaf_index=index + 7) for index, lot in enumerate(lots)
    )
    report = tell(story, PART, BAR)
    assert [one.records for one in said(report, "one_inference")] == [numbers] * tells
    assert not said(report, "one_measurement")


def window(record: int, entry: Json, kind: LeafKind = LeafKind.WINDOW) -> tuple[ShownEvidence, ...]:
    return (ShownEvidence(record, (NONE,), (), EvidenceEntryShown(kind, NONE, entry)),)


@pytest.mark.parametrize(
    ("leaf", "entry", "index"),
    [
        (9, {"first": 0, "last": 0}, 0),
        (9, {"first": 0, "last": 1}, None),
        (0, {"first": 0, "last": 9}, 0),
        (9, {"first": 0}, None),
        (9, {"first": 0, "last": "0"}, None),
        (9, {"first": 0, "last": False}, None),
        (9, ["last", 0], None),
    ],
)
def test_a_window_is_as_old_as_the_latest_entry_that_it_says_to_be_cut_from(
    story: Story, leaf: int, entry: Json, index: int | None
) -> None:
    """The stream had one entry when the work began. A later entry than the window itself cannot be in it."""
    certificate = story.certify(PART, ORDER, stream=STREAM, leaf_index=leaf)
    report = tell(story, PART, evidence=window(certificate, entry))
    assert named(report, "old_measurement", "index") == ([] if index is None else [index])
    assert not said(report, "timing"), "it is known"
    other = tell(story, PART, evidence=window(certificate, entry, LeafKind.EVENT))
    assert named(other, "old_measurement", "index") == ([0] if leaf == 0 else []), "of another kind it is no window"


@pytest.mark.parametrize(
    ("entry", "tells"),
    [
        ({"first": 5, "last": 8}, 0),
        ({"first": 2, "last": 5}, 0),
        ({"first": 6, "last": 8}, 1),
        ({"first": 2, "last": 4}, 1),
        ({"first": 2}, 1),
        ({"last": 8}, 1),
        ({"first": "2", "last": 8}, 1),
        ({"first": 2, "last": "8"}, 1),
    ],
)
def test_a_window_has_the_entries_from_its_first_to_its_last(story: Story, entry: Json, tells: int) -> None:
    story.finish(ORDER, 3, leaf=5)
    certificate = story.certify(PART, ORDER, stream=STREAM, leaf_index=9)
    assert len(said(tell(story, PART, evidence=window(certificate, entry)), "other_measurement")) == tells


def test_where_two_records_say_how_old_a_measurement_is_the_start_of_the_work_is_named(story: Story) -> None:
    story.certify(PART, ORDER, verdict=2, stream=STREAM, leaf_index=0, size=1)
    story.finish(ORDER, 3)
    again = story.propose(ORDER)
    story.step("AssignmentAccepted", ORDER, again)
    story.start(ORDER, again)
    started = len(story.entries)
    story.rework(PART, assignment=again)
    certificate = story.certify(PART, ORDER, stream=STREAM, leaf_index=0, inference_digest=b"\2" * 32)
    assert (certificate, started) in [one.records for one in said(tell(story, PART), "old_measurement")]


@pytest.mark.parametrize(("leaf", "old", "undated"), [(49, 1, 0), (50, 0, 1), (54, 0, 1), (55, 0, 0)])
def test_certificates_of_other_lots_tell_how_long_a_stream_was(leaf: int, old: int, undated: int) -> None:
    """It had 50 entries before the work began, and 55 after it."""
    story = Story()
    story.receive(BAR)
    for size in (40, 50):
        story.certify(BAR, size=size, inference_digest=bytes([size]) * 32)
    assignment = story.begin(ORDER)
    started = len(story.entries)
    story.commission(PART, ORDER, assignment)
    story.certify(BAR, size=55, inference_digest=b"\2" * 32)
    certificate = story.certify(PART, ORDER, leaf_index=leaf, size=60, inference_digest=b"\3" * 32)
    report = tell(story, PART, BAR)
    assert [one.records for one in said(report, "old_measurement")] == [(certificate, started)] * old
    assert [one.records for one in said(report, "timing")] == [(certificate,)] * undated


def test_a_measurement_of_what_nobody_here_worked_on_has_nothing_to_be_dated_by() -> None:
    story = Story()
    story.receive(PART)
    story.certify(PART, leaf_index=7, size=40)
    assert not said(tell(story, PART), "timing")


@pytest.mark.parametrize(
    ("model", "kind", "tells"), [(0, LeafKind.OFFER, 1), (0, LeafKind.OPERATION, 0), (MODEL, LeafKind.OFFER, 0)]
)
def test_a_certificate_by_procedure_on_an_entry_that_shows_no_work_is_told(
    story: Story, model: int, kind: LeafKind, tells: int
) -> None:
    """One by inference on such an entry has no window."""
    certificate = story.certify(PART, ORDER, model=model, leaf_index=7)
    report = tell(story, PART, evidence=window(certificate, {}, kind))
    assert [one.records for one in said(report, "no_work")] == [(certificate,)] * tells
    assert len(said(report, "no_window")) == (1 if model else 0)


@pytest.mark.parametrize(("leaf", "tells"), [(20, 1), (21, 0)])
def test_a_measurement_is_old_by_the_latest_of_what_was_anchored_before_a_rework(leaf: int, tells: int) -> None:
    """The stream had 17 entries when the work began, as by the first of two verdicts on it."""
    story = Story()
    story.receive(BAR)
    story.certify(BAR, size=17)
    assignment = story.begin(ORDER)
    story.commission(PART, ORDER, assignment)
    for size in (17, 21):
        story.certify(PART, ORDER, verdict=2, leaf_index=size - 1, size=size, inference_digest=bytes([size]) * 32)
    story.rework(PART, assignment=assignment)
    story.certify(PART, ORDER, leaf_index=leaf, size=22, inference_digest=b"\2" * 32)
    assert named(tell(story, PART, BAR), "old_measurement", "size") == [17] + [21] * tells


def test_of_several_reworks_the_latest_before_a_certificate_dates_it(story: Story) -> None:
    for size in (10, 21):
        story.certify(PART, ORDER, verdict=2, leaf_index=size - 1, size=size, inference_digest=bytes([size]) * 32)
        reworked = story.rework(PART, assignment=3)
    certificate = story.certify(PART, ORDER, leaf_index=19, size=22, inference_digest=b"\2" * 32)
    story.rework(PART, assignment=3)
    assert [one.records for one in said(tell(story, PART), "old_measurement")] == [(certificate, reworked)]


def test_an_operation_and_a_certificate_on_one_entry_are_told_unless_it_made_the_lot(story: Story) -> None:
    story.finish(ORDER, 3, leaf=5)
    finished = len(story.entries)
    story.receive(BAR)
    certificate = story.certify(BAR, stream=STREAM, leaf_index=5)
    [told] = said(tell(story, PART, BAR), "one_measurement")
    assert told.records == (finished, certificate)


@pytest.mark.parametrize(("others", "tells"), [((), 0), ((BAR,), 1)])
def test_a_certificate_of_several_lots_is_on_the_entry_of_an_operation_that_made_all(
    story: Story, others: tuple[bytes, ...], tells: int
) -> None:
    story.finish(ORDER, 3, leaf=5)
    for one in others:
        story.receive(one)
    lots = sorted((PART, *others))
    story.certify_by_procedure(*lots, stream=STREAM, leaf_index=5)
    assert len(said(tell(story, *lots), "one_measurement")) == tells


def test_behind_a_measurement_that_is_not_shown_other_windows_are_compared(story: Story) -> None:
    """With the lot that they are of, and with what the shown inference was made of."""
    shown = next(iter(vector_content().bundle.inferences))
    first = story.certify(PART, ORDER, leaf_index=7)
    second = story.certify(PART, ORDER, leaf_index=8, inference_digest=b"\2" * 32)
    hidden = (ShownEvidence(first, (NONE,), (), None),)
    opened = (replace(shown, record=second),)
    own = {"lot": to_hex(PART), "commitment": to_hex(build_window_commitment(shown.salt, shown.window))}
    for entry, code in (
        (own, None),
        ({**own, "commitment": to_hex(NONE)}, "other_window"),
        ({**own, "lot": to_hex(BAR)}, "no_window"),
    ):
        report = tell(story, PART, evidence=(*hidden, *window(second, entry)), inferences=opened)
        told = [(one.code, one.records) for one in report.statements if one.code in ("no_window", "other_window")]
        assert told == ([] if code is None else [(code, (second,))])
        assert [one.records for one in said(report, "inputs")] == ([] if code == "other_window" else [(second,)])
    without = tell(story, PART, evidence=window(second, {**own, "commitment": to_hex(NONE)}))
    assert not said(without, "other_window"), "no inference is shown"


def test_of_several_works_of_an_inspector_on_a_lot_the_first_is_named() -> None:
    story, kind = Story(), TransformationKind.CONVERSION
    story.receive(BAR, by=BUYER)
    story.offer(BAR, to=MAKER, by=BUYER)
    story.take(BAR, by=MAKER)
    [bulk] = story.transform(kind, {BAR: 10}, {"bulk": 10})
    [made] = story.transform(kind, {bulk: 10}, {"made": 10})
    story.certify(made, by=MAKER)
    assert [one.subject for one in named(tell(story, made), "own_work", "work")] == [bulk]


@pytest.mark.parametrize(
    ("generation", "revoked_at", "owner", "told"),
    [
        (0, 0, MAKER, []),
        (1, 0, MAKER, ["checkpoint_revoked"]),
        (0, 9, MAKER, ["checkpoint_revoked"]),
        (0, 0, 200, ["checkpoint_foreign"]),
        (1, 0, 200, ["checkpoint_foreign"]),
    ],
)
def test_a_key_of_a_co_signer_counts_as_replaced_where_the_bundle_proves_its_owner(
    story: Story, generation: int, revoked_at: int, owner: int, told: list[str]
) -> None:
    """Of participant 200 it proves nothing: nobody can say which of its keys are of now."""
    address = b"\x09" * 20
    story.keys[address] = KeySlots(owner, ALL_ROLES, True, generation, START_S, revoked_at, 0, 0)
    verified = verified_of(story, PART)
    trust = replace(verified.trust, checkpoint=Cosigners(1, (Cosigner(MAKER, address),)))
    report = build_report(replace(verified, trust=trust, reasons=Reasons((address,))))
    codes = ("checkpoint_revoked", "checkpoint_foreign")
    assert [one.code for one in report.statements if one.code in codes] == told
