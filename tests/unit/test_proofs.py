"""What scripts/prove runs: every long form has a name, and each name a command."""

from __future__ import annotations

from collections import Counter

import pytest

from services.lab.faults.runs import RUNS
from tests.support.proofs import PROOFS, main


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
