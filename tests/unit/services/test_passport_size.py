"""The passport stays small: a page for a phone on a slow network, whatever the part has behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from millmark.ledger.bundle import InferenceShown
from millmark.ledger.verify.statements import LANGUAGES
from millmark.quality.inference import MAX_FIXED, pack_window
from millmark.services.portal.passports import MOST_WINDOWS
from tests.support.figures import Tell
from tests.support.gateway_client import LINK
from tests.support.stores import new_store
from tests.support.story import Story, name
from tests.support.story import tell as tell_story
from tests.support.story_site import PART, StorySite

MOST_BYTES = 60_000
"""Uncompressed: what the network carries is a fifth of it."""
NAMED = 20


def build_story() -> tuple[Story, list[int], dict[bytes, str]]:
    """A part made of named lots, certified as often as a passport shows windows."""
    order, story, names = name("order"), Story(), {PART: LINK}
    assignment = story.begin(order)
    story.commission(PART, order, assignment)
    for number in range(NAMED - 1):
        lot = name(f"component {number}")
        names[lot] = f"https://id.gs1.org/01/09506000134352/10/COMPONENT-OF-THE-CRANKSHAFT-{number}"
        story.receive(lot, 1)
        story.rework(PART, lot, order=order, operation=0, assignment=assignment)
    certificates = [story.certify(PART, order, leaf_index=7 + turn) for turn in range(MOST_WINDOWS)]
    return story, certificates, names


@pytest.mark.parametrize("language", LANGUAGES)
def test_with_many_names_and_windows_it_is_below_60_kb(tmp_path: Path, language: str, tell: Tell) -> None:
    story, certificates, names = build_story()
    window = pack_window([MAX_FIXED * (-1) ** place for place in range(4096)])
    opened = tuple(InferenceShown(one, bytes(32), window, (2**31 - 1,)) for one in certificates)
    with new_store(tmp_path) as store:
        site = StorySite(store, story, tell_story(story, PART, names=names), opened)
        site.passport(language, proved=True)
    assert site.html.count('<svg class="window"') == MOST_WINDOWS
    assert site.html.count("COMPONENT-OF-THE-CRANKSHAFT-") >= NAMED - 1
    size = len(site.html.encode())
    tell(f"passport with {MOST_WINDOWS} windows and {NAMED} names ({language}): {size:,} bytes")
    assert size <= MOST_BYTES
