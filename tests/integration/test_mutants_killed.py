"""Real tests on real mutants: killed and surviving ones, in functions and outside, and mutants of the contracts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.proofs.mutation.covering import ROOT
from tests.proofs.mutation.outcomes import is_killed
from tests.proofs.mutation.python_mutants import PythonMutant, find_mutants
from tests.proofs.mutation.solidity_mutants import apply
from tests.proofs.mutation.solidity_mutants import find_mutants as find_solidity_mutants

_MODULE, _TESTS = "ledger/headers.py", "tests/unit/ledger/test_rlp.py"
_OTHERWISE = f"{_MODULE}:decode_integer: return int.from_bytes(item, 'big') -> return None"
"""Gets only tests that do not come across it."""
_UNCOVERED = f"{_MODULE}:decode_integer: not isinstance(item, bytes) -> isinstance(item, bytes)"
"""Gets no test at all."""
_EXPECTED = {
    f"{_MODULE}:: 55 -> 56": "killed",
    f"{_MODULE}:encode_list: 192 -> 193": "killed",
    f"{_MODULE}:decode_rlp: return item -> return None": "killed",
    f"{_MODULE}:_payload: length > _SHORT -> length >= _SHORT": "killed",
    _OTHERWISE: "survived",
    _UNCOVERED: "uncovered",
}


def _run(module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", f"tests.proofs.mutation.{module}", *arguments]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)


@pytest.mark.parametrize(("apart", "between"), [([], "open"), ([_TESTS], "apart")])
def test_tests_are_run_on_mutants_in_and_outside_functions(tmp_path: Path, apart: list[str], between: str) -> None:
    """Also those that run in no fork of their process."""
    _run("covering", str(tmp_path), str(Path(_MODULE).parent), _TESTS)
    mutants = {one.name: one for one in find_mutants(ROOT, _MODULE) if one.name in _EXPECTED}
    _give_other_tests(tmp_path / "covering.json", mutants[_OTHERWISE], mutants[_UNCOVERED])
    jobs = [
        {"mutant": asdict(one), "row": {"name": name, "source": "a", "tests": "b"}} for name, one in mutants.items()
    ]
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    _run("forks", str(tmp_path), *apart)
    lines = list(map(json.loads, (tmp_path / "known.jsonl").read_text().splitlines()))
    found = {one["name"]: one for one in lines}
    # One that makes a list endless may also be stopped before hypothesis has found the shortest.
    outcomes = {name: "killed" if is_killed(one["outcome"]) else one["outcome"] for name, one in found.items()}
    assert outcomes == _EXPECTED
    assert all(one["killer"] for one in found.values() if one["outcome"] == "killed"), "a test, not the runner"
    assert [one["outcome"] for one in lines if one["name"] == _OTHERWISE] == [between, "survived"]


def _give_other_tests(path: Path, otherwise: PythonMutant, uncovered: PythonMutant) -> None:
    """Has the quickest test that does not run one mutant taken for the only one that does; for the other, none."""
    covering = json.loads(path.read_text())
    own = covering["by_line"][_MODULE]
    for test in {test for line in otherwise.lines for test in own[str(line)]}:
        del covering["cpu_s"][test]
    quickest = min(covering["cpu_s"], key=covering["cpu_s"].__getitem__)
    own.update({str(line): [quickest] for line in otherwise.lines})
    own.update({str(line): [] for line in uncovered.lines})
    path.write_text(json.dumps(covering))


def test_what_is_imported_beforehand_works_as_ever() -> None:
    """Imported before asyncio, its part in C keeps the current task where asyncio does not look."""
    script = (
        "from tests.proofs.mutation.forks import load\n"
        "load(['_asyncio'])\n"
        "import asyncio\n"
        "async def find():\n"
        "    return asyncio.current_task().get_name()\n"
        "print(asyncio.run(find()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.startswith("Task-")


@pytest.mark.contracts
def test_mutants_of_the_contracts_are_found_in_the_compilers_syntax_tree() -> None:
    mutants = find_solidity_mutants()
    assert len({one.name for one in mutants}) == len(mutants) > 2000
    for mutant in mutants[::50]:
        assert apply(mutant) != (ROOT / mutant.path).read_bytes()
