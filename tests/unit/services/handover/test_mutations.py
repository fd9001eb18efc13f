"""A few of the mutations of which `scripts/prove handovers` runs 100,000."""

from __future__ import annotations

import pytest

from millmark.services.handover.content import encode_content, parse_envelope
from millmark.services.handover.delivering import build_content
from tests.support.handover_mutations import run_content_mutations, run_text_mutations
from tests.unit.services.handover.conftest import Delivered

TEXTS, CONTENTS = 4000, 200
"""Texts differ from run to run, for every seal is another: so many that each reason is there all the same. The rarest
one is given for 5 texts of 1000."""
REASONS = {
    "it is neither a",
    "its first line is",
    "its head has no",
    "it is truncated, or",
    "its ciphertext is not",
    "it is for another",
    "its signature is invalid:",
    "no active key of",
}
"""From what does not look like a hand-over to one that only its signature tells from the genuine."""
MALFORMED = "its content is malformed"


@pytest.mark.parametrize(
    ("word", "by", "to"),
    [
        ("offer to buyer", "swift", "nordwind"),
        ("call", "kestrel", "vector"),
        ("offers lathe", "birch", "vector"),
        ("plan", "kestrel", "vector"),
    ],
)
def test_no_mutated_hand_over_is_taken(told: Delivered, word: str, by: str, to: str) -> None:
    giver, taker = told.home(by), told.home(to)
    text, record = told.texts[word, to], told.apart.records[word]
    texts = run_text_mutations(taker, text, TEXTS, 1)
    assert texts.accepted == []
    assert texts.refused.keys() >= REASONS
    chain, numbers = told.apart.consortium.chain, (giver.company.number, taker.company.number)
    plain = encode_content(build_content(giver.store, chain, record, *numbers, 2**40))
    contents = run_content_mutations(giver, taker, parse_envelope(text), plain, CONTENTS, 1)
    assert contents.accepted == []
    assert any(not reason.startswith(MALFORMED) for reason in contents.refused)
    assert (texts.tried, contents.tried) == (TEXTS, CONTENTS)
