"""Settings are proposed by the machine's own model into the operator's inbox, or it is said why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.plans.plan import CauseKind
from millmark.quality.process import Proposal
from millmark.quality.process.proposals import Outcome
from millmark.services.planning.feedback.causes import MachineCause
from millmark.services.planning.feedback.inbox_proposer import FOLDER, MOST_READ, InboxProposer, _document
from millmark.services.planning.feedback.taking import Proposed, Unproposed
from millmark.services.planning.reading import writing
from millmark.services.setpoints.repository import SetpointRepository
from tests.support.feedback_world import MACHINE, OWNER, STREAM, T0, FeedbackWorld
from tests.support.planning_samples import keep_process
from tests.support.stores import new_store


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FeedbackWorld]:
    home = tmp_path / "home"
    keep_process(home, MACHINE, T0 - 60)
    with new_store(tmp_path) as store:
        made = FeedbackWorld(store)
        made.setpoints = InboxProposer(home, OWNER)  # type: ignore[assignment]  # the real one
        made.found()
        yield made


def write(home: Path, name: str, content: bytes) -> None:
    (home / FOLDER / str(MACHINE) / name).write_bytes(content)


def propose(world: FeedbackWorld, now_s: int = T0) -> Proposed | Unproposed:
    cause = MachineCause(CauseKind.DRIFT, MACHINE, "the temperature drifts", T0, T0, 7)
    found = None
    for _ in range(MOST_READ):
        world.setpoints.search([cause], now_s)
        with writing(world.store) as tables:
            found = world.setpoints.propose(tables, cause, now_s)
        if found is not None:
            break
    assert found is not None
    return found


def test_what_the_model_finds_waits_in_the_inbox_and_names_its_cause(world: FeedbackWorld) -> None:
    world.note_drift(world.make())
    world.look()
    [cause], [step] = world.causes(), world.steps()
    assert (step.step, step.state) == ("setpoint", "waiting")
    assert step.detail.startswith("temperature_set 208.0000 → 21")
    with writing(world.store) as tables:
        [row] = SetpointRepository(tables.rows).latest(9)
        assert world.setpoints.answer(tables, cause.id, world.now_s) is None
    document = row.parse()
    assert cause.id.hex()[:16] in document.cause
    assert (row.machine, row.stream, document.unit) == (MACHINE, STREAM, "EUR/100")
    assert document.expected.cost < document.kept.cost
    world.look()
    assert world.steps() == [step]


def test_what_nobody_answers_counts_as_refused_when_its_time_is_over(world: FeedbackWorld) -> None:
    world.note_drift(world.make())
    world.look()
    world.now_s += 9 * 3600
    world.look()
    assert [(step.step, step.state) for step in world.steps()] == [("setpoint", "refused"), ("derate", "done")]
    assert "expired" in str(world.entries()[1]["reason"])


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("model.bin", b"MMQPno", "cannot be used"),
        ("terms.toml", b"[prices]\nrate = 1", "cannot be used"),
        ("telemetry.csv", b"time,temperature\n1,2", "cannot be used"),
        ("telemetry.csv", b"x" * (9 << 20), "more than 8 MiB"),
    ],
)
def test_unusable_files_are_named_and_propose_nothing(
    world: FeedbackWorld, name: str, content: bytes, why: str
) -> None:
    proposer = world.setpoints
    assert isinstance(proposer, InboxProposer)
    write(proposer.home, name, content)
    found = propose(world)
    assert isinstance(found, Unproposed)
    assert why in found.text


def test_old_telemetry_and_a_machine_without_a_model_propose_nothing(world: FeedbackWorld) -> None:
    proposer = world.setpoints
    assert isinstance(proposer, InboxProposer)
    old = propose(world, T0 + 2 * 3600)
    assert isinstance(old, Unproposed)
    assert "ended 121 min ago" in old.text
    (proposer.home / FOLDER / str(MACHINE)).rename(proposer.home / FOLDER / "404")
    without = propose(world)
    assert isinstance(without, Unproposed)
    assert "no model" in without.text


def test_half_written_telemetry_is_read_anew_until_it_is_whole(world: FeedbackWorld) -> None:
    telemetry = (world.setpoints.home / FOLDER / str(MACHINE) / "telemetry.csv").read_bytes()  # type: ignore[attr-defined]  # the real one
    write(world.setpoints.home, "telemetry.csv", telemetry[:-20])  # type: ignore[attr-defined]  # the real one
    world.note_drift(world.make())
    world.look()
    assert [(step.state, step.detail) for step in world.steps()] == [("due", "settings are being looked for")]
    assert not world.is_idle()
    write(world.setpoints.home, "telemetry.csv", telemetry)  # type: ignore[attr-defined]  # the real one
    world.look()
    assert [step.state for step in world.steps()] == ["waiting"]
    assert world.is_idle()


def test_telemetry_of_a_time_to_come_proposes_nothing(world: FeedbackWorld) -> None:
    found = propose(world, T0 - 2 * 3600)
    assert isinstance(found, Unproposed)
    assert "time to come" in found.text


def test_a_proposal_that_changes_nothing_now_is_none(world: FeedbackWorld) -> None:
    kept = Outcome(9, 9, 0, 9, 9, 9, 0, {})
    cheaper = Outcome(8, 9, 0, 9, 9, 9, 0, {})
    same = {"speed_set": 5}
    later = [{"speed_set": 6}]
    proposal = Proposal(same, same, later, {"speed_set": 0}, 60, cheaper, kept, "0" * 64)
    cause = MachineCause(CauseKind.DRIFT, MACHINE, "it drifts", T0, T0, 7)
    assert isinstance(_document(cause, proposal, "EUR/100"), Unproposed)
