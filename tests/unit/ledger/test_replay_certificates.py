"""Custody and certificates: stories that break one rule of the replay each."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from ledger.records import ModelState
from tests.support.broken import BOX, ORDER, A, Broken, Told, certified, check_broken, in_production
from tests.support.story import (
    BUYER,
    DAY_S,
    DRAFT,
    INSPECTOR,
    MODEL,
    OTHER,
    PUBLISHED,
    Story,
    name,
)

broken = Broken()


# Custody and certificates


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


@broken("custody passes a closed gate")
def to_the_buyer_without_a_certificate(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.offer(A, to=BUYER)


@broken("custody passes a closed gate")
def to_the_buyer_in_a_box(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.receive(BOX)
    story.pack(BOX, A)
    story.offer(BOX, to=BUYER)


@broken("custody passes a closed gate")
def taken_when_revoked_meanwhile(story: Story) -> None:
    certificate = certified(story)
    story.offer(A, to=BUYER)
    story.on_lot("CertificateRevoked", A, by=INSPECTOR, certificate=certificate)
    story.take(A, by=BUYER)


@broken("custody passes a closed gate")
def on_another_model(story: Story) -> None:
    certified(story, model=PUBLISHED)
    story.offer(A, to=BUYER)


@broken("custody passes a closed gate")
def taken_when_unopened(story: Story) -> None:
    certificate = certified(story)
    story.demand(A, certificate)
    story.now += 8 * DAY_S
    story.offer(A, to=BUYER)


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


@broken("the order's inspector is participant 4")
def certified_by_another_inspector(story: Story) -> None:
    story.commission(A, ORDER, in_production(story))
    story.certify(A, ORDER, by=OTHER)


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


@broken("is no verdict")
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


@broken("the certificate that is demanded is not the lot's latest")
def an_older_one_is_demanded(story: Story) -> None:
    certificate = certified(story)
    story.certify(A, ORDER)
    story.demand(A, certificate)


@pytest.mark.parametrize(("cause", "told"), broken, ids=lambda value: getattr(value, "__name__", ""))
def test_a_broken_rule_is_named(cause: str, told: Told) -> None:
    check_broken(cause, told)
