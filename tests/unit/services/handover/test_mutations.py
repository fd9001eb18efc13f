"""A few of the mutations of which `scripts/prove handovers` runs 100,000."""

from __future__ import annotations

from services.handover.building import build_content
from services.handover.content import encode_content
from services.handover.envelope import parse_envelope
from tests.support.handover_mutations import run_content_mutations, run_text_mutations
from tests.unit.services.handover.conftest import Told


def test_no_mutated_hand_over_is_taken(told: Told) -> None:
    giver, taker = told.home("swift"), told.home("nordwind")
    text, offer = told.texts["offer to buyer", "nordwind"], told.apart.records["offer to buyer"]
    texts = run_text_mutations(taker, text, 300, 1)
    assert texts.accepted == []
    assert len(texts.refused) > 5
    chain, numbers = told.apart.consortium.chain, (giver.company.number, taker.company.number)
    plain = encode_content(build_content(giver.store, chain, offer, *numbers, 2**40))
    contents = run_content_mutations(giver, taker, parse_envelope(text), plain, 60, 1)
    assert contents.accepted == []
    assert (texts.tried, contents.tried) == (300, 60)
