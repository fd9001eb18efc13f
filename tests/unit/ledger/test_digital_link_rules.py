"""GS1 Digital Link: URI Syntax 1.7.0, rule by rule: what conforms is read, and what does not is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import parse_digital_link

RULES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "digital_links.json").read_text(encoding="utf-8")
)


def _is_read(text: str) -> bool:
    try:
        link = parse_digital_link(text)
        link.check_attributes()
    except IdentifierError:
        return False
    assert parse_digital_link(link.uri).elements == link.elements
    return True


@pytest.mark.parametrize("case", RULES, ids=lambda case: f"{case['clause']} {case['says']}")
def test_what_conforms_is_read_and_nothing_else_but_where_a_reason_is_given(case: dict[str, Any]) -> None:
    """With a reason (`differs`), it is the other way round: a reason that no longer holds must go."""
    assert _is_read(case["input"]) == (case["conforms"] != bool(case.get("differs")))


def test_the_cases_are_about_all_that_the_grammar_says_and_refuse_more_than_they_read() -> None:
    assert {case["clause"] for case in RULES} == {"4.1", "4.2", "4.5", "4.6", "4.9", "4.10", "4.11", "4.12"}
    assert len({case["input"] for case in RULES}) == len(RULES)
    assert sum(case["conforms"] for case in RULES) < len(RULES) / 2
