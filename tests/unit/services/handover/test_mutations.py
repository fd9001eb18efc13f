"""A few of the mutations of which `scripts/prove handovers` runs 100,000."""

from __future__ import annotations

import pytest

from services.handover.building import build_content
from services.handover.content import encode_content
from services.handover.envelope import parse_envelope
from tests.support.handover_mutations import run_content_mutations, run_text_mutations
from tests.unit.services.handover.conftest import Told


@pytest.mark.parametrize(
    ("word", "by", "to", "texts", "contents"),
    [
        ("offer to buyer", "swift", "nordwind", 300, 60),
        ("call", "kestrel", "vector", 60, 20),
        ("offers lathe", "birch", "vector", 60, 20),
        ("plan", "kestrel", "vector", 60, 20),
    ],
)
def test_no_mutated_hand_over_is_taken(told: Told, word: str, by: str, to: str, texts: int, contents: int) -> None:
    giver, taker = told.home(by), told.home(to)
    text, record = told.texts[word, to], told.apart.records[word]
    changed = run_text_mutations(taker, text, texts, 1)
    assert changed.accepted == []
    assert len(changed.refused) > 5
    chain, numbers = told.apart.consortium.chain, (giver.company.number, taker.company.number)
    plain = encode_content(build_content(giver.store, chain, record, *numbers, 2**40))
    sealed = run_content_mutations(giver, taker, parse_envelope(text), plain, contents, 1)
    assert sealed.accepted == []
    assert (changed.tried, sealed.tried) == (texts, contents)
