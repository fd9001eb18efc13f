"""What the replay looks up: entries of the registry, all of which it must need, and when models and certificates
count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from millmark.ledger.canonical import to_hex
from millmark.ledger.records import MAX_OPEN, ModelState
from millmark.ledger.slots import KeySlots, MachineSlots, ParticipantSlots, StreamSlots
from millmark.ledger.verify._state import Proved, Standing, did_stand, was_approved
from millmark.ledger.verify.report import ReplayRefused
from tests.support.story import (
    AUDITOR,
    BUYER,
    DAY_S,
    MAKER,
    MODEL,
    NONE,
    ORDER,
    OTHER,
    PRESS,
    STREAM,
    A,
    Story,
    certified,
    in_production,
    key_of,
    model_of,
    refused_record,
)

KINDS: dict[str, tuple[int | bytes, object]] = {
    "participant": (MAKER, ParticipantSlots(0, 1, 1, 0, 0, False, False, 1, 0)),
    "key": (key_of(MAKER), KeySlots(MAKER, 0, False, 0, 1, 0, 0, 0)),
    "machine": (PRESS, MachineSlots(MAKER, 0)),
    "model": (MODEL, model_of(ModelState.APPROVED, AUDITOR)),
    "stream": (STREAM, StreamSlots(1, PRESS, MAKER, 100, NONE)),
}


def proved(*kinds: str) -> Proved:
    """One entry of each kind."""
    tables: dict[str, Any] = {f"{kind}s": dict([KINDS[kind]]) if kind in kinds else {} for kind in KINDS}
    return Proved(heads={}, named_machines={}, name_keys={}, taken={}, **tables)


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_that_no_record_needs_is_named(kind: str) -> None:
    name, slots = KINDS[kind]
    found = proved(kind, "machine")
    found.asked.add(("machine", PRESS) if kind != "machine" else ("model", PRESS))
    shown = to_hex(name) if isinstance(name, bytes) else str(name)
    assert found.superfluous() == f"{kind} {shown}"
    story = Story()
    story.receive(A)
    assert getattr(found, kind)(story.entries[0], name) == slots
    assert found.superfluous() is None


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_that_is_not_there_is_named(kind: str) -> None:
    name, _ = KINDS[kind]
    story = Story()
    story.receive(A)
    with pytest.raises(ReplayRefused) as refused:
        getattr(proved(), kind)(story.entries[0], name)
    shown = to_hex(name) if isinstance(name, bytes) else str(name)
    assert refused.value.reason == f"{kind} {shown}, which the record names, is not proved"
    assert refused.value.sequence == 1


def test_a_stream_needs_its_machine() -> None:
    story = Story()
    story.receive(A)
    with pytest.raises(ReplayRefused, match=f"machine {PRESS}, which the record names, is not proved"):
        proved("stream").stream(story.entries[0], STREAM)


@pytest.mark.parametrize(
    ("open_", "change", "expected"),
    [(0, 1, 1), (1, -1, 0), (0, -1, 0), (MAX_OPEN - 1, 1, MAX_OPEN), (MAX_OPEN, 1, MAX_OPEN), (MAX_OPEN, -1, MAX_OPEN)],
)
def test_doubts_are_counted_from_none_to_the_most(open_: int, change: int, expected: int) -> None:
    standing = Standing(open=open_)
    standing.count(change)
    assert standing.open == expected


# Models, of which a record is made, or a certificate was, at 100

WITHDRAWN = replace(model_of(ModelState.WITHDRAWN, AUDITOR, withdrawn_at=100), defective_since=50)


@pytest.mark.parametrize(
    ("time", "issued_at", "stands"),
    [(100, 100, True), (100, 50, True), (101, 49, True), (101, 50, False), (101, 101, False)],
)
def test_a_withdrawn_model_stood_until_then_and_for_what_is_older_than_its_defect(
    time: int, issued_at: int, stands: bool
) -> None:
    assert did_stand(WITHDRAWN, time, issued_at) is stands
    assert was_approved(WITHDRAWN, time) is (time == 100)
    assert not did_stand(replace(WITHDRAWN, approver=0), time, issued_at), "it was never approved"


@pytest.mark.parametrize(("time", "approved"), [(99, True), (100, True), (101, False)])
def test_a_retired_model_is_used_no_more_and_its_verdicts_stay(time: int, approved: bool) -> None:
    retired = replace(model_of(ModelState.RETIRED, AUDITOR), retired_at=100)
    assert was_approved(retired, time) is approved
    assert did_stand(retired, time, time)


@pytest.mark.parametrize("state", [ModelState.NONE, ModelState.REGISTERED])
def test_a_model_that_is_not_approved_never_stood(state: ModelState) -> None:
    assert not did_stand(model_of(state, 0), 100, 100)
    assert not was_approved(model_of(state, 0), 100)


# Certificates


@pytest.mark.parametrize("late_s", [-1, 0])
def test_a_certificate_counts_until_it_expires(late_s: int) -> None:
    story = Story()
    story.commission(A, ORDER, in_production(story))
    story.certify(A, ORDER, expires_at=story.now + 10)
    story.now += 8 + late_s
    story.offer(A, to=BUYER)
    assert refused_record(story, A) == (None if late_s else len(story.entries))


@pytest.mark.parametrize("late_s", [-1, 0])
def test_an_opening_is_due_before_its_deadline(late_s: int) -> None:
    story = Story()
    certificate = certified(story)
    story.demand(A, certificate)
    story.now += 7 * DAY_S - 1 + late_s
    story.settle("CertificateUpheld", A, certificate, executed=False)
    assert refused_record(story, A) == (None if late_s else len(story.entries))


def test_without_a_gate_the_latest_certificate_decides() -> None:
    story = Story()
    story.receive(A)
    state = story.replay(A)
    assert state.deciding(state.lots[A]) == ()
    story.certify(A)
    latest = story.certify(A, by=OTHER)
    state = story.replay(A)
    assert [one.sequence for one in state.deciding(state.lots[A])] == [latest]


def test_who_started_an_operation_works_on_the_order() -> None:
    story = Story()
    assignment = in_production(story, operations=2)
    story.propose(ORDER, operation=1, machine=12, owner=OTHER)
    story.commission(A, ORDER, assignment)
    assert story.replay(A).orders[ORDER].workers() == {MAKER}
