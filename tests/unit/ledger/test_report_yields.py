"""What is said of conversions between units of one measure: whether they make or lose some of it."""

from __future__ import annotations

import pytest

from millmark.ledger.records import TransformationKind
from millmark.ledger.verify.report import Report
from tests.support.story import PIECE, Story, name, said, tell

BAR, PIN = name("bar"), name("pin")
SIZES = [
    ("KGM", "GRM", 1000),
    ("TNE", "KGM", 1000),
    ("GRM", "MGM", 1000),
    ("MTR", "MMT", 1000),
    ("CMT", "MMT", 10),
    ("KMT", "MTR", 1000),
    ("LTR", "MLT", 1000),
    ("MTQ", "LTR", 1000),
]


def convert(unit: bytes, other: bytes, given: int, made: int, *used: bytes) -> Report:
    """Of one of `unit`, made from `given` to `made`, with components."""
    story = Story()
    story.receive(BAR, given, unit)
    for one in used:
        story.receive(one)
    inputs = dict(sorted({BAR: given, **dict.fromkeys(used, 1)}.items()))
    own = {"of": unit, "output_unit": other, "units": {"part": other}, "used": used}
    yields = {"yield_in": given, "yield_out": made}
    [part] = story.transform(TransformationKind.CONVERSION, inputs, {"part": made}, **own, **yields)  # type: ignore[arg-type]  # its members
    return tell(story, part)


@pytest.mark.parametrize(("unit", "smaller", "size"), SIZES, ids=lambda value: str(value))
def test_what_is_neither_made_nor_lost_is_not_told(unit: str, smaller: str, size: int) -> None:
    large, small = unit.encode(), smaller.encode()
    assert not said(convert(large, small, 1, size), "odd_yield")
    assert not said(convert(small, large, size, 1), "odd_yield")
    for wrong in (size - 1, size + 1):
        [told] = said(convert(large, small, 1, wrong), "odd_yield")
        assert (told.values["given"], told.values["made"]) == (1, wrong)
        assert said(convert(small, large, wrong, 1), "odd_yield")


def test_of_other_measures_pieces_and_components_nothing_is_said() -> None:
    assert not said(convert(b"KGM", b"MTR", 1, 7), "odd_yield")
    assert not said(convert(b"KGM", PIECE, 1, 7), "odd_yield")
    assert not said(convert(PIECE, b"KGM", 1, 7), "odd_yield")
    assert not said(convert(b"KGM", b"GRM", 1, 1001, PIN), "odd_yield")
