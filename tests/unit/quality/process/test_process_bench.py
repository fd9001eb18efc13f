"""The benchmark of production state in its quick form: without its peers, and what it says of those."""

from __future__ import annotations

from typing import cast

import pytest

from quality.errors import InputError
from tests.bench.quality.process import run_process
from tests.bench.quality.process_control import run_control


def test_what_cannot_be_run_is_left_out_by_name() -> None:
    found = run_process(("tep", "wear", "settling"), None, None, 1)
    assert found.passed
    assert "tep-studio" in str(found.answer["tep"])
    assert "ai4i2020.csv" in str(found.answer["wear"])
    settling = cast("dict[str, object]", found.answer["settling"])
    assert settling["states"] == 10_000
    assert settling["inside"] is True


def test_disturbed_runs_leave_no_limit() -> None:
    rows, answer, _ = run_control(None, 3)
    assert answer["violated"] == 0
    assert answer["left_out"] == "casadi"
    assert int(str(answer["proposed"])) >= 30
    assert any("left out" in row for row in rows)


def test_a_part_that_there_is_not_is_an_error() -> None:
    with pytest.raises(InputError, match="there is no part tp"):
        run_process(("tp",), None, None, 1)
