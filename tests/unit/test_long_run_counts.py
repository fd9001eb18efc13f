"""What long proofs in parts count, and that each is of something that exists."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pytest

from tests.faults.runs import RUNS
from tests.proofs import long_runs
from tests.proofs.long_runs import LONG_RUNS, count_invariants, read_parts
from tests.proofs.mutation import command as mutants


def test_the_runs_of_forge_are_those_of_the_invariant_that_had_the_fewest() -> None:
    printed = (
        "[PASS] invariant_One() (runs: 256, calls: 16384, reverts: 0)\n[PASS] invariant_Two() (runs: 8, calls: 1, 0)"
    )
    assert count_invariants(printed) == (8, 0)
    assert count_invariants("[FAIL: x] invariant_One() (runs: 2)") == (0, 1)


def test_every_long_run_is_of_something_that_exists() -> None:
    names = [run.name for run in LONG_RUNS]
    assert len(set(names)) == len(names)
    assert {run.name for run in LONG_RUNS if "tests.faults" in run.command} <= set(RUNS)
    assert {part.name for part in read_parts(long_runs.KEPT)} <= set(names)
    assert all(any("{seed}" in argument for argument in run.command) for run in LONG_RUNS)


def test_every_part_that_failed_is_told_among_the_results() -> None:
    """A line that begins with the proof's name and the seeds says why."""
    text = (long_runs.ROOT / "tests" / "faults" / "RESULTS.md").read_text(encoding="utf-8")
    lines = re.findall(r"^- `(\w+)` ((?:\d{4}(?:, | and )?)+):", text, re.MULTILINE)
    told = {(name, int(seed)) for name, seeds in lines for seed in re.findall(r"\d{4}", seeds)}
    assert {(part.name, part.seed) for part in read_parts(long_runs.KEPT) if not part.passed} == told


@pytest.mark.parametrize(("main", "known"), [(long_runs.main, "kill"), (mutants.main, "verify")])
def test_a_name_that_is_none_is_refused_with_those_that_are(
    main: Callable[[Sequence[str]], int], known: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["nosuch"])
    said = capsys.readouterr().err
    assert "there is no 'nosuch'" in said
    assert known in said
    assert "[]" not in said
