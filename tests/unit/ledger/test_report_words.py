"""How each kind of value is put into words, at the borders of numbers, times and lists."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from millmark.ledger.footprint import PATH
from millmark.ledger.records import LotState
from millmark.ledger.verify.report import moment
from millmark.ledger.verify.statements import (
    LANGUAGES,
    Age,
    Fields,
    Model,
    NamedMachine,
    Party,
    Span,
    Thing,
    Unit,
    words_of,
)

SUBJECT = b"\x0a" * 32
HEX = "0x" + "0a" * 32
DAY_S = 86_400
VALUES: list[tuple[object, str]] = [
    ("text", "text"),
    ("a\nb", "a\\x0ab"),
    (7, "7"),
    (b"\x01\xff", "0x01ff"),
    (LotState.HELD, "in custody"),
    (moment(1_767_225_661), "2026-01-01 00:01:01 UTC"),
    (Party(0, None), "the registry's owner"),
    (Party(7, None), "participant 7 (not in the trust file)"),
    (Party(0, "Nordwind"), "Nordwind"),
    (Party(7, "Nord\nwind"), "Nord\\x0awind"),
    (Thing(SUBJECT, "urn:example:a\n"), "urn:example:a\\x0a"),
    (Thing(SUBJECT, None), HEX),
    (NamedMachine(10, None), "machine 10"),
    (NamedMachine(10, "press\n"), "machine press\\x0a"),
    (Model(0), "by procedure"),
    (Model(1), "with model 1"),
    (Unit("KGM"), "kg"),
    (Unit("XY"), 'unit "XY"'),
    (Age(0), "0 seconds ago"),
    (Age(90), "90 seconds ago"),
    (Age(-1), "1 seconds ahead of this clock"),
    (Span(119), "119 seconds"),
    (Span(120), "2 minutes"),
    (Span(7199), "120 minutes"),
    (Span(7200), "2 hours"),
    (Span(2 * DAY_S - 1), "48 hours"),
    (Span(2 * DAY_S), "2 days"),
    (Span(10 * DAY_S), "10 days"),
    ((), "nothing"),
    ((1,), "1"),
    (tuple(range(10)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
    (tuple(range(11)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 1 more"),
    (tuple(range(30)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 20 more"),
    (Fields(()), "no field is shown"),
    (Fields(((("heats", 0), "A1"), (("count",), 3))), '"heats"/0 "A1", "count" 3'),
    (Fields((((*PATH, "a"), 1), ((*PATH, "b"), 2))), "2 fields of its footprint"),
    (Fields(((("count",), 3), ((*PATH, "a"), 1))), '"count" 3, 1 fields of its footprint'),
    (Fields((((*PATH[:1], "count"), 3),)), f'"{PATH[0]}"/"count" 3'),
]


@pytest.mark.parametrize(("value", "text"), VALUES, ids=lambda value: repr(value)[:40])
def test_a_value_has_its_words(value: object, text: str) -> None:
    assert words_of("en").value(value) == text


@pytest.mark.parametrize("language", LANGUAGES)
def test_values_have_words_in_every_language(language: str) -> None:
    for value, _ in VALUES:
        text = words_of(language).value(value)
        assert text
        assert "{" not in text
        assert text.isprintable()


def test_times_after_9999_are_its_last_second() -> None:
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert [moment(last_s) for last_s in (253_402_300_799, 253_402_300_800, 2**64 - 1)] == [last] * 3
    assert moment(253_402_300_798) < last


def test_a_party_or_thing_without_a_name_tells_its_number_or_subject() -> None:
    assert str(Party(7, None)) == "participant 7 (not in the trust file)"
    assert str(Party(7, "Nordwind")) == "Nordwind"
    assert str(Thing(SUBJECT, None)) == HEX
    assert str(Thing(SUBJECT, "urn:example:a")) == "urn:example:a"
