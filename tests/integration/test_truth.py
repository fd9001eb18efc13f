"""What a report says about a part is what the chain says, in random worlds (tests/proofs/truth)."""

from __future__ import annotations

import pytest

from tests.proofs.truth.cases import judge, make_cases

_WORLDS = 50
_AT_ONCE = 10


@pytest.mark.parametrize("first", range(0, _WORLDS, _AT_ONCE))
def test_a_report_tells_what_the_chain_tells(first: int) -> None:
    differences = [str(one) for case in make_cases(range(first, first + _AT_ONCE)) for one in judge(case)]
    assert differences == []
