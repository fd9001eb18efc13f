"""Causes are taken in once, from who can say them, and lead to entries of the machine's stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from millmark.ledger.canonical import sha256
from millmark.ledger.claims import build_claims
from millmark.ledger.errors import InputError
from millmark.ledger.records import Anchor, Verdict
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import StreamRow
from millmark.services.planning.feedback.causes import RECOVERY, CauseRefusedError, MachineCause, Outcome
from millmark.services.planning.feedback.taking import Answer, report_event
from millmark.services.planning.reading import writing
from tests.support.event_data import event_of
from tests.support.feedback_world import (
    COORDINATOR,
    MACHINE,
    ORDER,
    OTHERS_MACHINE,
    OWNER,
    STRANGER,
    STREAM,
    FeedbackWorld,
)
from tests.support.stores import new_store


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FeedbackWorld]:
    with new_store(tmp_path) as store:
        made = FeedbackWorld(store)
        made.found()
        yield made


def taken(world: FeedbackWorld) -> list[tuple[str, str]]:
    return [(step.step, step.state) for step in world.steps()]


def drift(world: FeedbackWorld) -> bytes:
    world.note_drift(world.make())
    world.look()
    return world.causes()[-1].id


def report(world: FeedbackWorld, kind: str = "machine-down") -> MachineCause:
    with writing(world.store) as tables:
        said = MACHINE, kind, "it stopped", world.now_s, world._queue
        cause = report_event(tables, world.me, *said, captured=world.captured)
    world.report(cause)
    return cause


def test_a_drift_note_leads_to_settings_that_wait_for_the_operator_with_an_entry(world: FeedbackWorld) -> None:
    drift(world)
    assert taken(world) == [("setpoint", "waiting")]
    [entry] = world.entries()
    assert entry["feedback"] == "setpoint"
    assert entry["proposed"] == "feed 180 in place of 200"
    [(key, anchor)] = world.queued.items()
    assert isinstance(anchor, Anchor)
    assert anchor.stream == STREAM
    assert anchor.size == 1
    assert world.condition().efficiency_per_mille == 1000
    assert key.startswith("feedback/anchor/")


def test_accepted_settings_are_recorded_with_who_accepted(world: FeedbackWorld) -> None:
    name = drift(world)
    world.setpoints.answers[name] = Answer(True, world.now_s + 5, "Olga")
    world.look()
    assert taken(world) == [("setpoint", "done")]
    assert world.entries()[-1]["accepted"] is True
    assert world.entries()[-1]["by"] == "Olga"
    # What began before the settings took effect says nothing about them.
    assert world.condition().since_s == world.setpoints.answers[name].at_s


def test_refused_settings_lead_to_derating_at_once_with_the_reason(world: FeedbackWorld) -> None:
    name = drift(world)
    world.setpoints.answers[name] = Answer(False, world.now_s, "Olga", "the coolant was low")
    world.look()
    assert taken(world) == [("setpoint", "refused"), ("derate", "done")]
    assert world.entries()[1]["reason"] == "the coolant was low"
    assert world.entries()[2]["efficiency_per_mille"] == 950
    assert world.condition().efficiency_per_mille == 950


def test_settings_that_nobody_answered_are_refused_by_nobody(world: FeedbackWorld) -> None:
    name = drift(world)
    world.setpoints.answers[name] = Answer(False, world.now_s, "", "it was expired before it was answered")
    world.look()
    assert taken(world) == [("setpoint", "refused"), ("derate", "done")]
    assert "by" not in world.entries()[1]
    assert world.entries()[1]["reason"] == "it was expired before it was answered"
    assert world.steps()[0].detail == "it was expired before it was answered"


def test_where_no_settings_can_be_proposed_the_next_step_is_taken_at_once(world: FeedbackWorld) -> None:
    world.setpoints.proposes = False
    drift(world)
    assert taken(world) == [("setpoint", "refused"), ("derate", "done")]
    assert world.entries()[0]["not_proposed"] == "the regime is unseen"


def test_the_same_cause_twice_acts_once_also_after_a_restart(world: FeedbackWorld) -> None:
    cause = report(world)
    before, queued = taken(world), dict(world.queued)
    world.report(cause)
    world.report(replace(cause, text="told once more"))
    again = FeedbackWorld(world.store, setpoints=world.setpoints, queued=world.queued, now_s=world.now_s)
    assert again.look() == 0
    again.report(cause)
    assert taken(again) == before
    assert again.queued == queued
    assert len(world.causes()) == 1


def test_records_are_looked_at_once(world: FeedbackWorld) -> None:
    lots = [world.make() for _ in range(3)]
    for lot in lots:
        world.certify(lot, Verdict.FAIL)
    assert world.look() == 3
    assert world.look() == 0
    assert [row.outcome for row in world.causes()] == ["counted", "acted", "earlier"]


def test_what_was_recorded_before_feedback_began_moves_nothing(tmp_path: Path) -> None:
    with new_store(tmp_path, "old.db") as store:
        world = FeedbackWorld(store)
        world.found()
        with store.transaction() as connection:
            connection.exec_driver_sql("DELETE FROM feedback_position")
        world.note_drift(world.make())
        world.look()
        world.look()
        assert not world.causes()


def test_a_note_of_somebody_without_a_gate_is_refused_and_says_so(world: FeedbackWorld) -> None:
    lot = world.make()
    for who in (STRANGER, world.me, COORDINATOR):
        world.note_drift(lot, by=who)
        world.certify(lot, Verdict.FAIL, by=who)
        world.certify(lot, Verdict.PASS, by=who)
    world.look()
    assert {row.outcome for row in world.causes()} == {Outcome.REFUSED.value}
    assert all("inspects at no gate" in row.reason for row in world.causes())
    assert not world.steps()
    assert not world.queued
    assert world.condition().good == 0


def test_a_cause_at_another_companys_machine_is_its_owners_matter(world: FeedbackWorld) -> None:
    world.note_drift(world.make(machine=OTHERS_MACHINE, owner=STRANGER))
    world.look()
    assert not world.causes()  # neither owner nor coordinator
    elsewhere = FeedbackWorld(world.store, COORDINATOR, number=world.number, now_s=world.now_s)
    elsewhere.note_drift(elsewhere.make(machine=OTHERS_MACHINE, owner=STRANGER))
    elsewhere.look()
    assert [row.outcome for row in elsewhere.causes()] == ["elsewhere"]
    assert not elsewhere.steps()


@pytest.mark.parametrize("machine", [OTHERS_MACHINE, 404])
def test_nobody_reports_what_happens_at_a_machine_that_is_not_its_own(world: FeedbackWorld, machine: int) -> None:
    entry = report(world)
    with pytest.raises(CauseRefusedError, match="not one of this company"):
        world.report(replace(entry, machine=machine))


def test_evidence_that_is_not_there_is_refused(world: FeedbackWorld) -> None:
    entry = report(world)
    for forged in (replace(entry, leaf=99), replace(entry, leaf_hash=b"\7" * 32), replace(entry, stream=b"\7" * 32)):
        with pytest.raises(CauseRefusedError, match="not in the book"):
            world.report(forged)


def test_a_cause_from_before_the_latest_step_is_kept_and_does_nothing(world: FeedbackWorld) -> None:
    early = world.make()  # begun before the step
    drift(world)
    world.note_drift(early)
    world.look()
    assert [row.outcome for row in world.causes()] == ["acted", "earlier"]
    assert taken(world) == [("setpoint", "waiting")]


def test_recovered_verdicts_lift_the_derating_and_a_cause_after_that_begins_below(world: FeedbackWorld) -> None:
    world.setpoints.proposes = False
    drift(world)
    for _ in range(RECOVERY):
        world.certify(world.make(started_s=world.now_s + 1), Verdict.PASS)
    world.look()
    assert world.condition().efficiency_per_mille == 1000
    assert world.condition().rung == 1
    assert world.entries()[-1]["feedback"] == "lift"
    assert world.entries()[-1]["good"] == RECOVERY
    world.now_s += 1000
    world.note_drift(world.make())
    world.look()
    assert [step.step for step in world.steps()] == ["setpoint", "derate", "lift", "derate"]


def test_a_failed_machine_makes_no_offers_until_it_is_mended(world: FeedbackWorld) -> None:
    report(world)
    assert taken(world) == [("withdraw", "done")]
    assert world.condition().efficiency_per_mille == 0
    with writing(world.store) as tables:
        assert world.watcher(tables).repair(MACHINE, "a new spindle").efficiency_per_mille == 1000
    assert world.entries()[-1]["reason"] == "a new spindle"
    with writing(world.store) as tables, pytest.raises(CauseRefusedError):
        world.watcher(tables).repair(MACHINE, "twice")


def test_an_overhauled_machine_is_offered_at_its_whole_speed_with_the_reason_on_record(world: FeedbackWorld) -> None:
    world.setpoints.proposes = False
    drift(world)
    assert world.condition().rung == 2
    with writing(world.store) as tables, pytest.raises(CauseRefusedError):
        world.watcher(tables).repair(MACHINE, "derated machines are offered")
    with writing(world.store) as tables:
        assert world.watcher(tables).repair(MACHINE, "new bearings", overhauled=True).rung == 0
    assert (world.entries()[-1]["overhauled"], world.entries()[-1]["efficiency_per_mille"]) == (True, 1000)
    assert world.entries()[-1]["reason"] == "new bearings"
    written = len(world.entries())
    with writing(world.store) as tables:
        assert world.watcher(tables).repair(MACHINE, "and its belt", overhauled=True).rung == 0
    assert len(world.entries()) == written  # nothing was held against it


def test_what_a_person_dismisses_is_taken_back_with_the_reason_on_record(world: FeedbackWorld) -> None:
    world.setpoints.proposes = False
    name = drift(world)
    row = world.dismiss(name)
    assert (row.outcome, row.reason) == ("dismissed", "the sensor was being cleaned")
    assert world.condition().rung == 0  # both rungs to which it led
    assert world.entries()[-1]["dismissed"] is True
    assert [step.step for step in world.steps()] == ["setpoint", "derate", "lift"]
    for unknown, reason in ((name, "again"), (sha256(b"nothing"), "no such cause")):
        with writing(world.store) as tables, pytest.raises(CauseRefusedError):
            world.watcher(tables).dismiss(unknown, reason)


def test_without_a_stream_the_step_waits_and_is_taken_as_soon_as_there_is_one(world: FeedbackWorld) -> None:
    with world.store.transaction() as connection:
        stream = Rows(connection).get(StreamRow, STREAM)
        assert stream is not None
        connection.exec_driver_sql("DELETE FROM streams")
    drift(world)
    assert taken(world) == [("setpoint", "due")]
    assert "open one" in world.steps()[0].detail
    with world.store.transaction() as connection:
        Rows(connection).put(stream)
    world.look()
    assert taken(world) == [("setpoint", "waiting")]
    assert len(world.setpoints.asked) == 1


def test_dismissing_takes_accepted_settings_off_the_ladder_and_nothing_of_another_cause(world: FeedbackWorld) -> None:
    first = drift(world)
    world.setpoints.answers[first] = Answer(True, world.now_s + 5, "Olga")
    world.look()
    world.now_s += 100
    second = drift(world)
    assert world.condition().rung == 2
    world.dismiss(first)
    assert world.condition().rung == 2  # another one followed
    assert "lift" not in [step.step for step in world.steps()]
    world.dismiss(second)
    assert world.condition().rung == 1
    assert world.entries()[-1]["cause"]["id"] == f"0x{second.hex()}"  # type: ignore[index]  # an object


def test_dismissing_after_accepted_settings_takes_the_rung_back(world: FeedbackWorld) -> None:
    name = drift(world)
    world.setpoints.answers[name] = Answer(True, world.now_s + 5, "Olga")
    world.look()
    world.dismiss(name)
    assert world.condition().rung == 0
    assert world.entries()[-1]["feedback"] == "lift"


def test_dismissing_what_counted_towards_an_earlier_step_changes_no_later_count(world: FeedbackWorld) -> None:
    world.setpoints.proposes = False
    for _ in range(3):
        world.certify(world.make(started_s=world.now_s + 1), Verdict.FAIL)
        world.look()
    assert [row.outcome for row in world.causes()] == ["counted", "acted", "counted"]
    world.dismiss(world.causes()[0].id)
    assert list(world.condition().counts.values()) == [1]
    world.dismiss(world.causes()[2].id)
    assert list(world.condition().counts.values()) == [0]
    assert "lift" not in [step.step for step in world.steps()]


def test_one_certificate_over_many_lots_is_one_verdict(world: FeedbackWorld) -> None:
    lots = [world.make() for _ in range(RECOVERY)]
    world.certify(lots[0], Verdict.PASS, more=tuple(lots[1:]))
    world.look()
    assert world.condition().good == 1


@pytest.mark.parametrize("how", ["never anchored", "kept by the node"])
def test_a_stream_that_a_node_captures_gets_no_entry_and_stops_nothing(world: FeedbackWorld, how: str) -> None:
    if how == "never anchored":
        world.captured = True
    else:
        with world.store.transaction() as connection:
            connection.exec_driver_sql("UPDATE streams SET size = 5")
    first = drift(world)
    assert taken(world) == [("setpoint", "due")]
    assert "node" in world.steps()[0].detail
    assert not world.queued
    assert world.is_idle(), "it is not tried anew as long as nothing has changed"
    world.note_drift(world.make())
    world.look()
    assert [row.outcome for row in world.causes()] == ["acted", "acted"]
    world.dismiss(first)
    assert not world.entries()
    with pytest.raises(InputError):
        report(world)


def test_settings_for_which_it_is_too_late_are_not_proposed(world: FeedbackWorld) -> None:
    world.captured = True
    drift(world)
    drift(world)
    world.captured = False
    assert not world.is_idle()
    world.look()
    assert taken(world) == [("setpoint", "settled"), ("derate", "done")]
    assert world.condition().rung == 2
    assert not world.setpoints.asked


def test_a_lift_names_the_cause_of_its_rung(world: FeedbackWorld) -> None:
    down = report(world)
    with world.store.transaction() as connection:
        row = replace(world.causes()[0], id=bytes(32), kind="declined", number=9, stream=b"", record=7)
        Rows(connection).put(row)
    with writing(world.store) as tables:
        world.watcher(tables).repair(MACHINE, "a new spindle")
    assert world.entries()[-1]["cause"]["id"] == f"0x{down.id.hex()}"  # type: ignore[index]  # an object


def test_a_machine_that_its_operator_notes_as_down_is_withdrawn_and_nobody_else_can_say_it(
    world: FeedbackWorld,
) -> None:
    def note(by: int, said: object) -> None:
        claims = build_claims({"cause": said})  # type: ignore[dict-item]  # whatever is said
        with world.store.transaction() as connection:
            Book(connection).put_document(claims.root, json.dumps(claims.to_json()))
        world.record(event_of("NoteRecorded", kind_=4, about=0, claims_root=claims.root), by, (ORDER,))

    down = {"kind": "machine-down", "machine": MACHINE, "text": "the spindle broke"}
    for said in ("broken", {"kind": "drift", "machine": MACHINE}, {**down, "machine": 404}, {**down, "machine": "17"}):
        note(OWNER, said)
    note(STRANGER, {**down, "text": "two\nlines"})
    world.look()
    assert [(row.outcome, row.reason) for row in world.causes()] == [("refused", "participant 6 does not own it")]
    note(OWNER, down)
    world.look()
    assert taken(world) == [("withdraw", "done")]
    assert world.causes()[-1].text == "the spindle broke"
