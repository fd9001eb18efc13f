"""Custody and certificates: stories that break one rule of the replay each."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from millmark.ledger.records import LotState, ModelState, TransformationKind
from tests.support.story import (
    BOX,
    BUYER,
    DAY_S,
    DRAFT,
    INSPECTOR,
    MODEL,
    ORDER,
    OTHER,
    PUBLISHED,
    A,
    Broken,
    Episode,
    Story,
    certified,
    check_broken,
    in_production,
    name,
)

broken = Broken()


# Custody and certificates


@broken("the certificate expired before it was issued")
def certified_for_no_time(story: Story) -> None:
    story.receive(A)
    story.certify(A, expires_at=story.now + 1)


@broken("the anchor has another root")
def certified_by_the_latest_anchor_with_another_root(story: Story) -> None:
    story.receive(A)
    story.certify(A, size=100, root=b"\1" * 32)


@broken("offered while offered")
def offered_twice(story: Story) -> None:
    story.receive(A)
    story.offer(A)
    story.offer(A)


@broken("there is no offer")
def taken_without_an_offer(story: Story) -> None:
    story.receive(A)
    story.take(A)


@broken("what is packed is quarantined")
def moved_with_something_quarantined(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.receive(BOX)
    story.pack(BOX, A)
    story.on_lot("LotQuarantined", A, by=INSPECTOR)
    story.offer(BOX)


@broken("packed too deep")
def boxes_in_boxes(story: Story) -> None:
    boxes = [story.receive(name(f"box {number}")) for number in range(11)]
    for inner, outer in itertools.pairwise(boxes):
        story.pack(outer, inner)
    story.offer(boxes[-1])


@broken("custody passes the closed gate of participant 4")
def to_the_buyer_without_a_certificate(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.offer(A, to=BUYER)


@broken("custody passes the closed gate of participant 4")
def to_the_buyer_in_a_box(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.receive(BOX)
    story.pack(BOX, A)
    story.offer(BOX, to=BUYER)


@broken("custody passes the closed gate of participant 4")
def taken_when_revoked_meanwhile(story: Story) -> None:
    certificate = certified(story)
    story.offer(A, to=BUYER)
    story.on_lot("CertificateRevoked", A, by=INSPECTOR, certificate=certificate)
    story.take(A, by=BUYER)


@broken("custody passes the closed gate of participant 4")
def on_another_model(story: Story) -> None:
    certified(story, model=PUBLISHED)
    story.offer(A, to=BUYER)


@broken("custody passes the closed gate of participant 4")
def taken_when_unopened(story: Story) -> None:
    certificate = certified(story)
    story.demand(A, certificate)
    story.now += 8 * DAY_S
    story.offer(A, to=BUYER)


@broken("custody passes the closed gate of participant 4")
def h1_split_off_after_a_demand(story: Story) -> None:
    story.commission(A, ORDER, in_production(story), 4)
    certificate = story.certify(A, ORDER)
    story.demand(A, certificate)
    [part, _] = story.transform(TransformationKind.SPLIT, {A: 4}, {"part": 1, "rest": 3}, order=ORDER)
    story.offer(part, to=BUYER)


@broken("model 22 was not approved")
def certified_on_a_draft(story: Story) -> None:
    story.receive(A)
    story.certify(A, model=DRAFT)


@broken("model 20 was not approved")
def certified_on_a_model_that_was_withdrawn(story: Story) -> None:
    story.receive(A)
    story.models[MODEL] = replace(story.models[MODEL], state=ModelState.WITHDRAWN, withdrawn_at=story.now)
    story.now += 10
    story.certify(A)


@broken("the statement names another order")
def certified_of_another_order(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.certify(A)


@broken("its lots do not ascend")
def certified_of_lots_that_do_not_ascend(story: Story) -> None:
    lots = sorted((story.receive(A), story.receive(BOX)), reverse=True)
    story.certify_by_procedure(*lots)


@broken("a certificate on 2 lots")
def one_inference_of_two_lots(story: Story) -> None:
    story.certify_by_procedure(*sorted((story.receive(A), story.receive(BOX))), model=MODEL)


@broken("the statement is about other lots")
def certified_in_another_history(story: Story) -> None:
    story.receive(A)
    story.certify(A, histories=(story.receive(BOX),))


@broken("its histories are not the certificate's lots")
def revoked_of_one_lot_only(story: Story) -> None:
    lots = sorted((story.receive(A), story.receive(BOX)))
    certificate = story.certify_by_procedure(*lots)
    story.on_lot("CertificateRevoked", lots[0], by=INSPECTOR, certificate=certificate)


@broken("revoked by another participant than its issuer")
def revoked_by_another(story: Story) -> None:
    story.on_lot("CertificateRevoked", A, by=OTHER, certificate=certified(story))


@broken("demanded of a procedure")
def a_procedure_is_demanded(story: Story) -> None:
    story.demand(A, story.certify_by_procedure(story.receive(A)))


@broken("opened when refuted")
def opened_a_second_time(story: Story) -> None:
    certificate = certified(story)
    story.settle("CertificateRefuted", A, certificate)
    story.settle("CertificateRefuted", A, certificate)


@broken("a procedure was opened")
def a_procedure_is_refuted(story: Story) -> None:
    story.settle("CertificateRefuted", A, story.certify_by_procedure(story.receive(A)))


@broken("custody passes the closed gate of participant 4")
def h1_another_certificate_after_a_demand(story: Story) -> None:
    story.demand(A, certified(story))
    story.certify(A, ORDER)
    story.offer(A, to=BUYER)


@broken("custody passes the closed gate of participant 4")
def h2_another_certificate_after_a_refutation(story: Story) -> None:
    story.settle("CertificateRefuted", A, certified(story, model=PUBLISHED), executed=1)
    story.certify(A, ORDER)
    story.offer(A, to=BUYER)


@broken("custody passes the closed gate of participant 4")
def m7_a_pass_of_another_inspector(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.certify(A, ORDER, by=OTHER)
    story.offer(A, to=BUYER)


def test_m8_a_refutation_is_not_behind_a_quarantine_by_hand() -> None:
    """Which the ledger lets its custodian lift only if who imposed it may not act; the report says that."""
    story = Story()
    certificate = certified(story, verdict=2, model=PUBLISHED)
    story.on_lot("LotReleased", A, by=INSPECTOR)
    story.on_lot("LotQuarantined", A, by=INSPECTOR)
    story.settle("CertificateRefuted", A, certificate, executed=1)
    story.on_lot("LotReleased", A)
    assert story.replay(A).lifted == {len(story.entries): INSPECTOR}


@broken("released by another participant than the one who quarantined it")
def released_while_the_fail_counts(story: Story) -> None:
    certified(story, verdict=2)
    story.on_lot("LotReleased", A)


@broken("upheld when it was revoked")
def upheld_after_it_was_revoked(story: Story) -> None:
    certificate = certified(story)
    story.on_lot("CertificateRevoked", A, by=INSPECTOR, certificate=certificate)
    story.settle("CertificateUpheld", A, certificate)


@broken("revoked when it was revoked")
def revoked_twice(story: Story) -> None:
    certificate = certified(story)
    for _ in range(2):
        story.on_lot("CertificateRevoked", A, by=INSPECTOR, certificate=certificate)


@broken("revoked when it was refuted")
def revoked_when_refuted(story: Story) -> None:
    certificate = certified(story)
    story.settle("CertificateRefuted", A, certificate)
    story.on_lot("CertificateRevoked", A, by=INSPECTOR, certificate=certificate)


@broken("upheld past its deadline")
def opened_too_late(story: Story) -> None:
    certificate = certified(story)
    story.demand(A, certificate)
    story.now += 7 * DAY_S
    story.settle("CertificateUpheld", A, certificate)


@broken("is not a verdict")
def refuted_with_no_verdict(story: Story) -> None:
    certificate = certified(story, model=PUBLISHED)
    story.settle("CertificateRefuted", A, certificate, executed=3)


@broken("not published was executed")
def refuted_by_a_model_that_is_not_there(story: Story) -> None:
    story.settle("CertificateRefuted", A, certified(story), executed=2)


@broken("a published model is executed")
def upheld_without_executing_what_could_be(story: Story) -> None:
    story.settle("CertificateUpheld", A, certified(story, model=PUBLISHED), executed=0)


@broken("demanded when demanded")
def demanded_twice(story: Story) -> None:
    certificate = certified(story)
    story.demand(A, certificate)
    story.demand(A, certificate)


@broken("the lot has no certificate")
def another_lots_certificate_is_demanded(story: Story) -> None:
    story.demand(story.receive(BOX), certified(story))


@pytest.mark.parametrize(("cause", "told"), broken, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_named(cause: str, told: Episode) -> None:
    check_broken(cause, told)


def test_h1_h2_an_opened_or_reworked_one_closes_nothing() -> None:
    story = Story()
    first = certified(story)
    story.demand(A, first)
    story.certify(A, ORDER)
    story.settle("CertificateUpheld", A, first, executed=False)
    story.offer(A, to=BUYER)
    story.on_lot("CustodyWithdrawn", A)
    story.settle("CertificateRefuted", A, story.certify(A, ORDER, model=PUBLISHED), executed=1)
    story.rework(A, assignment=3)
    last = story.certify(A, ORDER)
    story.offer(A, to=BUYER)
    story.take(A, by=BUYER)
    state = story.replay(A)
    assert [one.sequence for one in state.deciding(state.lots[A])] == [last]
    assert state.lots[A].custodian == BUYER


def test_k7_a_verdict_of_another_inspector_moves_nothing() -> None:
    story = Story()
    story.commission(A, ORDER, in_production(story))
    story.certify(A, ORDER, verdict=2, by=OTHER)
    story.certify(A, ORDER)
    story.offer(A, to=BUYER)
    assert len(story.replay(A).lots[A].certificates) == 2


def test_m3_a_split_hands_the_certificate_on() -> None:
    story = Story()
    story.commission(A, ORDER, in_production(story), quantity=2)
    certificate = story.certify(A, ORDER)
    part, other = story.transform(TransformationKind.SPLIT, {A: 2}, {"one": 1, "two": 1}, order=ORDER)
    story.offer(part, to=BUYER)
    lot = story.replay(part, other).lots[part]
    assert [one.sequence for one in lot.certificates] == [certificate]


def test_m5_the_custodian_lifts_what_nobody_opened() -> None:
    story = Story()
    story.demand(A, certified(story, verdict=2))
    story.now += 8 * DAY_S
    story.on_lot("LotReleased", A)
    assert story.replay(A).lots[A].state is LotState.HELD


def test_h11_a_verdict_from_before_the_defect_opens_the_gate() -> None:
    story = Story()
    certified(story)
    story.now += 10
    story.models[MODEL] = replace(
        story.models[MODEL], state=ModelState.WITHDRAWN, withdrawn_at=story.now, defective_since=story.now
    )
    story.now += 10
    story.offer(A, to=BUYER)
    assert story.replay(A).lots[A].state is LotState.OFFERED
