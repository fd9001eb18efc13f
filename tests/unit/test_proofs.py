"""What scripts/prove runs: every long form has a name, and each name a command."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.runs import RUNS
from tests.proofs.__main__ import PROOFS, main
from tests.proofs.experiments import COUNTS, EXPERIMENTS, _objects, _row


def test_every_kind_of_fault_has_its_long_run() -> None:
    names = [one.name for one in PROOFS]
    assert max(Counter(names).values()) == 1
    assert {name.removeprefix("faults-") for name in names if name.startswith("faults-")} == set(RUNS)


def test_without_a_name_the_names_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert listed == [one.name for one in PROOFS]


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["everything"]) == 2
    assert capsys.readouterr().err == "prove: nothing is called 'everything'; scripts/prove lists the names\n"


def test_every_experiment_is_a_command_or_a_test_that_tells_its_figures() -> None:
    assert max(Counter(one.name for one in EXPERIMENTS).values()) == 1
    for one in EXPERIMENTS:
        assert bool(one.test) != bool(one.command), one.name
        if one.test:
            path, _, name = one.test.partition("::")
            tree = ast.parse((Path(__file__).parents[2] / path).read_text())
            [found] = [node for node in tree.body if getattr(node, "name", "") == re.sub(r"\[.*", "", name)]
            assert isinstance(found, ast.FunctionDef)
            assert "judge" in [argument.arg for argument in found.args.args], one.name


@pytest.mark.parametrize("count", COUNTS[1:])
def test_an_experiment_with_anything_lost_or_without_figures_fails(count: str) -> None:
    right = {"observed": "all final", **dict.fromkeys(COUNTS, 0)}
    assert _row(EXPERIMENTS[0], right)[-1] == "ok"
    for found in (None, {}, {**right, "observed": ""}, {**right, count: 1}, {**right, "broken": True}):
        assert _row(EXPERIMENTS[0], found)[-1] == "FAILED"


def test_what_commands_print_is_read() -> None:
    printed = """SQLite: {'lost': 0}\nPostgreSQL: {"lost": 1, "of": {}}\n"""
    assert _objects(printed) == [{"lost": 0}, {"lost": 1, "of": {}}]
