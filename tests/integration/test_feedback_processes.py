"""Two gateways of one company on one database: each cause, step, entry and record is made once, whoever is faster."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.ledger.records import Verdict
from millmark.ledger.store import Store
from millmark.services.planning.feedback.causes import RECOVERY
from tests.support.feedback_world import MACHINE, FeedbackWorld
from tests.support.patience import MAX_S
from tests.support.stores import copy_database, new_store

pytestmark = pytest.mark.integration

LOOK = """
import sys, time
from millmark.ledger.submit import build_entry
from millmark.services.gateway.recording.repository import RecordingRepository, RecordingRow, describe_subjects
from millmark.services.planning.feedback.taking import NoSetpoints
from millmark.services.planning.feedback.watching import Watcher
from millmark.services.planning.reading import reading, writing
from millmark.services.store import open_store

store, me, now_s = open_store(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

def queue(connection, key, record):
    row = RecordingRow(key, me, describe_subjects([]))
    RecordingRepository(connection).queue(b"\\1" * 20, build_entry(key, record), row)

def watcher(shelf):
    return Watcher(shelf, me, queue, NoSetpoints(), now_s)

print("ready", flush=True)
sys.stdin.readline()
while True:
    with reading(store) as shelf:
        if watcher(shelf).is_idle():
            break
    with writing(store) as shelf:
        watcher(shelf).look()
"""
"""What the thread of a gateway does, with the outbox as the queue."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[FeedbackWorld]:
    """Much has happened since feedback last looked."""
    with new_store(tmp_path) as store:
        made = FeedbackWorld(store)
        made.found()
        for _ in range(3):
            made.note_drift(made.make())
            for verdict in (Verdict.FAIL, Verdict.FAIL, *[Verdict.PASS] * RECOVERY):
                made.certify(made.make(), verdict)
        yield made


def look(folder: Path, world: FeedbackWorld, processes: int) -> None:
    """So many processes look at once, until nothing is left."""
    words = [sys.executable, "-c", LOOK, f"sqlite:///{folder / 'ledger.db'}", str(world.me), str(world.now_s)]
    running = [
        subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for one in running:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in running:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in running:
        one.communicate(timeout=MAX_S)
        assert one.returncode == 0


def told(world: FeedbackWorld, store: Store) -> dict[str, object]:
    """All that feedback made, but for the salts."""
    seen = FeedbackWorld(store, world.me)
    causes = [(row.number, row.id, row.outcome) for row in seen.causes()]
    steps = [(step.cause, step.number, step.step, step.state, step.leaf, step.detail) for step in seen.steps()]
    with store.reading() as connection:
        keys = connection.exec_driver_sql("SELECT idempotency_key FROM outbox_records ORDER BY 1").scalars().all()
    condition = seen.condition(MACHINE)
    return {"causes": causes, "steps": steps, "entries": seen.entries(), "keys": keys, "condition": condition}


def test_two_processes_make_what_one_makes(world: FeedbackWorld, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    with new_store(tmp_path / "alone") as alone:
        copy_database(world.store, alone)
        look(tmp_path / "alone", world, 1)
        expected = told(world, alone)
    look(tmp_path, world, 2)
    assert told(world, world.store) == expected
    steps = [step.step for step in world.steps()]
    assert {"setpoint", "derate", "lift"} <= set(steps)
    entries = expected["entries"]
    assert isinstance(entries, list)
    assert len(entries) == len(steps)
