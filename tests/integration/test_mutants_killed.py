"""Real tests on real mutants: killed and surviving ones, in functions and outside, and mutants of the contracts."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.mutation.covering import ROOT, Covering
from tests.support.mutation.python_mutants import UNCHANGED, PythonMutant, find_mutants
from tests.support.mutation.solidity_mutants import apply
from tests.support.mutation.solidity_mutants import find_mutants as find_solidity_mutants

_MODULE, _TESTS = "ledger/rlp.py", "tests/unit/ledger/test_rlp.py"
_OTHERWISE = f"{_MODULE}:encode_integer: 7 -> 8"
"""Gets only tests that do not come across it."""
_UNCOVERED = f"{_MODULE}:encode_integer: 8 -> 9"
"""Gets no test at all."""
_EXPECTED = {
    f"{_MODULE}:: 55 -> 56": "killed",
    f"{_MODULE}:encode_rlp: 192 -> 193": "killed",
    f"{_MODULE}:decode_rlp: return item -> return None": "killed",
    f"{_MODULE}:_payload: length > _SHORT -> length >= _SHORT": "killed",
    _OTHERWISE: "survived",
    _UNCOVERED: "uncovered",
    "unchanged True": "survived",
    "unchanged False": "survived",
}


def _run(module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", f"tests.support.mutation.{module}", *arguments]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)


def test_tests_are_run_on_mutants_in_and_outside_functions(tmp_path: Path) -> None:
    _run("covering", str(tmp_path), str(Path(_MODULE).parent), _TESTS)
    covering = Covering.read(tmp_path)
    mutants = [one for one in find_mutants(ROOT, _MODULE) if one.name in _EXPECTED]
    jobs = [(one, covering.tests_of(one.path, one.lines, in_function=one.in_function)) for one in mutants]
    for place, (one, tests) in enumerate(jobs):
        if one.name == _OTHERWISE:
            jobs[place] = one, sorted(covering.cpu_s.keys() - set(tests))[:1]
        elif one.name == _UNCOVERED:
            jobs[place] = one, []
    for here in (True, False):
        jobs.append((PythonMutant(_MODULE, f"unchanged {here}", UNCHANGED, (), here), list(covering.cpu_s)))
    (tmp_path / "jobs.json").write_text(json.dumps([{"mutant": asdict(one), "tests": tests} for one, tests in jobs]))
    _run("forks", str(tmp_path))
    found = {one["name"]: one for one in map(json.loads, (tmp_path / "results.jsonl").read_text().splitlines())}
    assert {name: one["outcome"] for name, one in found.items()} == _EXPECTED
    assert all(one["killer"] for one in found.values() if one["outcome"] == "killed"), "a test, not the runner"


@pytest.mark.contracts
def test_mutants_of_the_contracts_are_found_in_the_compilers_syntax_tree() -> None:
    mutants = find_solidity_mutants()
    assert len({one.name for one in mutants}) == len(mutants) > 2000
    for mutant in mutants[::50]:
        assert apply(mutant) != (ROOT / mutant.path).read_bytes()
