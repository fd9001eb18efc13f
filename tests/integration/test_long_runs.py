"""Long proofs in parts: what a part counted is kept, a part that fails stops the run, and the next call goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.proofs.long_runs import LongRun, count_faults, go_on, read_parts, tell_state
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration
REPORT = {
    "count": 2,
    "injected": {"one": 1, "two": 2},
    "events": 9,
    "lost": 0,
    "duplicate": 0,
    "phantom": 0,
    "misordered": 0,
    "replay_equal": True,
    "heads_equal": True,
    "broken": [],
}


def a_run(report: object, code: int = 0, target: int = 6, each: int = 3) -> LongRun:
    command = (sys.executable, "-c", f"import sys; print({json.dumps(report)!r}); sys.exit({code} + 0 * {{seed}})")
    return LongRun("kill", "", target, each, "kills", command, count_faults)


def test_parts_add_up_until_the_target_each_with_a_seed_of_its_own(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert go_on(a_run(REPORT), float("inf"), kept)
    assert [(part.seed, part.count, part.passed) for part in read_parts(kept)] == [(1001, 3, True), (1002, 3, True)]
    assert go_on(a_run(REPORT, target=9), float("inf"), kept)
    assert [part.seed for part in read_parts(kept)] == [1001, 1002, 1003]
    assert go_on(a_run(REPORT, target=99), 0, kept)
    assert len(read_parts(kept)) == 3


def test_no_part_is_begun_that_those_under_way_make_superfluous(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert go_on(a_run(REPORT, target=3), float("inf"), kept, at_once=4)
    assert [part.seed for part in read_parts(kept)] == [1001]
    # What parts counted so far says more than what they were asked to try: one of 3 is missing, not three of 1.
    assert go_on(a_run(REPORT, target=6, each=1), float("inf"), kept, at_once=4)
    assert [part.seed for part in read_parts(kept)] == [1001, 1002]


def a_run_that_waits(folder: Path, others: int, wrong: int = 0) -> LongRun:
    """Each part ends once so many have begun. That with the seed `wrong` prints what nobody can count."""
    waits = f"""
import json, pathlib, sys, time
folder, seed, until = pathlib.Path({str(folder)!r}), {{seed}}, time.monotonic() + {MAX_S}
(folder / str(seed)).touch()
while len(list(folder.iterdir())) < {others}:
    assert time.monotonic() < until, "alone"
    time.sleep(0.01)
report = json.loads({json.dumps(REPORT)!r})
print(json.dumps([report] if seed == {wrong} else report))
"""
    return LongRun("kill", "", 12, 3, "kills", (sys.executable, "-c", waits), count_whole)


def count_whole(printed: str) -> tuple[int, int]:
    return sum(json.loads(printed)["injected"].values()), 0


def test_parts_that_run_at_once_have_seeds_of_their_own(tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "begun"
    folder.mkdir()
    assert go_on(a_run_that_waits(folder, 4), float("inf"), kept, at_once=4)
    parts = read_parts(kept)
    assert {1001, 1002, 1003, 1004} <= {part.seed for part in parts}
    assert len({part.seed for part in parts}) == len(parts)
    assert all(part.passed for part in parts)


def test_what_ran_beside_a_part_that_raised_an_error_is_kept(tmp_path: Path) -> None:
    kept, folder = tmp_path / "kept", tmp_path / "begun"
    folder.mkdir()
    with pytest.raises(TypeError):
        go_on(a_run_that_waits(folder, 3, wrong=1002), float("inf"), kept, at_once=3)
    seeds = {part.seed for part in read_parts(kept)}
    assert {1001, 1003} <= seeds
    assert 1002 not in seeds


@pytest.mark.parametrize(
    ("report", "code"),
    [
        ({**REPORT, "lost": 1}, 0),
        ({**REPORT, "heads_equal": False}, 0),
        ({**REPORT, "broken": ["a file stayed open"]}, 0),
        ({**REPORT, "injected": {}}, 0),
        (REPORT, 1),
        ("no report", 0),
    ],
)
def test_a_part_that_fails_is_kept_as_such_and_stops_the_run(tmp_path: Path, report: object, code: int) -> None:
    kept = tmp_path / "kept"
    assert not go_on(a_run(report, code), float("inf"), kept)
    [part] = read_parts(kept)
    assert not part.passed
    assert next(line for line in tell_state([part]) if "kill" in line).endswith(f"| {part.violations} | 1 |")
