"""Genealogies drawn: everything of the answer is in the picture, in order, and no name can break out of it."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.provenance import Direction, Limits, OrderTrace, Trace, recall, trace, trace_order
from millmark.ledger.provenance.answers import RelatedLot
from millmark.ledger.records import CertificateStatus, LotState, Verdict
from millmark.services.pictures.genealogy import Family, Link, Node, Tone, build_reach, draw_genealogy, place
from millmark.services.pictures.genealogy import build_family as build_in_words
from millmark.services.portal.charts import PictureWords
from millmark.services.portal.pages import read_catalogues
from tests.support.fake_world import SMITH, World, build_world, lot_trace
from tests.support.stores import new_store

WORDS = PictureWords(read_catalogues()["en"])
HEIGHT, GAP = 40.0, 10.0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("pictures")) as store:
        yield build_world(store)


def made_up(links: list[tuple[int, int, bool]], lots: int = 8, name: str = "lot") -> Family:
    nodes = {str(number): Node(str(number), (f"{name} {number}", "1 H87 held"), Tone.LOT) for number in range(lots)}
    drawn = tuple(Link(str(a), str(b), packed) for a, b, packed in links)
    return Family(f"Genealogy of {name}", ("All.",), ("0",), nodes, drawn)


def build_family(found: Trace | OrderTrace, stopped: Collection[bytes] = frozenset()) -> Family:
    return build_in_words(found, WORDS, stopped)


def draw(family: Family) -> str:
    return draw_genealogy(family, "en")


def names(picture: str) -> set[str]:
    """First words of every box's full text."""
    root = ElementTree.fromstring(picture)  # noqa: S314  # our own output
    return {str(title.text).split(",")[0] for group in root.iter("g") for title in group.findall("title")}


def test_all_lots_and_steps_are_in_the_picture(built: World) -> None:
    found = lot_trace(built, "hip 3")
    family = build_family(found)
    identifiers = (found.lot.identifier, *(lot.identifier for lot in found.upstream))
    lots = {str(one).rpartition(":")[2] for one in identifiers}
    assert names(draw(family)) == lots | {"split", "conversion", "merge"}
    assert draw(family).count("<path") == len(family.links) == 7


def test_siblings_that_were_not_asked_about_are_not_drawn(built: World) -> None:
    assert "hip-2" not in draw(build_family(lot_trace(built, "hip 1")))


def test_a_box_is_drawn_with_what_is_in_it(built: World) -> None:
    family = build_family(lot_trace(built, "box"))
    assert [(link.before, link.after) for link in family.links if link.packed] == [
        ("0x" + built.lots["hip 2"].hex(), "0x" + built.lots["box"].hex())
    ]
    assert 'class="packed"' in draw(family)


def test_an_order_is_drawn_from_all_its_lots(built: World) -> None:
    found = trace_order(built.store, built.orders["hip"])
    family = build_family(found)
    assert set(family.roots) == {"0x" + lot.subject.hex() for lot in found.lots}
    assert draw(family).count(">melt</text>") == 1, "what is shared is drawn once"


def test_a_picture_says_that_something_is_left_out(built: World) -> None:
    found = trace(built.store, built.lots["hip 3"], limits=Limits(depth=1, lots=10))
    assert "Anything beyond 1 lots or steps is left out." in draw(build_family(found))


def test_a_picture_has_title_summary_and_language_for_who_cannot_see_it(built: World) -> None:
    root = ElementTree.fromstring(draw(build_family(lot_trace(built, "box"))))  # noqa: S314  # our own output
    assert root.get("role") == "img"
    assert root.get("lang") == "en"
    assert [child.get("id") for child in list(root)[:2]] == str(root.get("aria-labelledby")).split()
    assert root[0].text == "Genealogy of urn:example:box"
    assert root[1].text == "Lots: 6. Steps: 3. As of block 10."


def test_what_goes_nowhere_looks_and_reads_different(built: World) -> None:
    found = lot_trace(built, "hip 3")
    stopped = replace(found, upstream=tuple(replace(lot, quarantined=True) for lot in found.upstream))
    family = build_family(stopped)
    assert {(node.tone, node.bad) for node in family.nodes.values()} == {
        (Tone.ASKED, False),
        (Tone.LOT, True),
        (Tone.STEP, False),
    }
    assert all("in quarantine" in node.lines[1] for node in family.nodes.values() if node.bad)


def test_what_is_asked_about_is_not_shown_as_good_when_it_is_stopped(built: World) -> None:
    found = lot_trace(built, "hip 3")
    stopped = build_family(replace(found, lot=replace(found.lot, state=LotState.QUARANTINED)))
    assert [stopped.nodes[root].classes for root in stopped.roots] == ["asked bad"]
    assert '<g class="asked bad">' in draw(stopped)
    spent = build_family(replace(found, lot=replace(found.lot, state=LotState.SPENT)))
    assert [spent.nodes[root].classes for root in spent.roots] == ["asked spent"]


PASSED, FAILED = Verdict.PASS, Verdict.FAIL
STANDINGS = [
    (Verdict.NONE, CertificateStatus.NONE, False, False),
    (PASSED, CertificateStatus.VALID, False, False),
    (FAILED, CertificateStatus.VALID, True, True),
    (FAILED, CertificateStatus.EXPIRED, True, True),
    (FAILED, CertificateStatus.REVOKED, True, True),
    (PASSED, CertificateStatus.EXPIRED, True, False),
    (PASSED, CertificateStatus.VOIDED, True, False),
    (PASSED, CertificateStatus.REVOKED, True, True),
    (PASSED, CertificateStatus.FALLEN, True, True),
    (PASSED, CertificateStatus.REFUTED, True, True),
    (PASSED, CertificateStatus.UNOPENED, True, True),
]


@pytest.mark.parametrize(("verdict", "status", "left", "used"), STANDINGS)
def test_one_rule_says_what_is_red(
    built: World, verdict: Verdict, status: CertificateStatus, left: bool, used: bool
) -> None:
    """Of a lot of which something is left, and of one that is used up: as the lot that is asked about, as one that it
    came from, and in what a recall reached, at whichever company."""
    found, reached = lot_trace(built, "hip 3"), recall(built.store, lot=built.lots["bar"])
    [certificate, *_] = lot_trace(built, "hip 1").certificates
    given = replace(certificate, verdict=verdict, status=status, latest=True)
    for state, is_red in ((LotState.HELD, left), (LotState.SPENT, used)):
        own = replace(found.lot, state=state)
        around = tuple(_judged(lot, verdict, status, state) for lot in found.upstream)
        asked = build_family(replace(found, lot=own, certificates=(given,) if verdict else (), upstream=around))
        lots = [_judged(lot, verdict, status, state) for lot in reached.lots]
        for family in (asked, *(build_reach(lots, reached.as_of, (), company, WORDS) for company in (SMITH, None))):
            boxes = [node for node in family.nodes.values() if node.tone is not Tone.STEP]
            assert {(node.bad, node.spent) for node in boxes} == {(is_red, state is LotState.SPENT)}
            drawn = draw(family)
            assert drawn.count(">✕</text>") == len(boxes) * is_red
            assert len(re.findall('<g class="[a-z]+ bad', drawn)) == len(boxes) * is_red
            assert drawn.count(' spent">') == len(boxes) * (state is LotState.SPENT)


def _judged(lot: RelatedLot, verdict: Verdict, status: CertificateStatus, state: LotState) -> RelatedLot:
    return replace(lot, verdict=verdict, status=status, state=state, quarantined=False)


def test_what_others_have_is_not_red(built: World) -> None:
    reached = recall(built.store, lot=built.lots["bar"])
    lots = [_judged(lot, Verdict.NONE, CertificateStatus.NONE, LotState.HELD) for lot in reached.lots]
    tones = {node.tone: node.bad for node in build_reach(lots, reached.as_of, (), SMITH, WORDS).nodes.values()}
    assert tones == {Tone.OWN: False, Tone.AWAY: False}


def test_a_lot_that_was_called_back_is_red_in_the_passport(built: World) -> None:
    found = lot_trace(built, "hip 3")
    called = {lot.subject for lot in found.upstream}
    family = build_family(found, stopped=called)
    assert {key for key, node in family.nodes.items() if node.bad} == {"0x" + one.hex() for one in called}


@pytest.mark.parametrize("name", ["</text><script>alert(1)</script>", '"><g onload="', "a\nb\0c", "]]>&amp;", "\ud800"])
def test_no_name_breaks_out(built: World, name: str) -> None:
    found = lot_trace(built, "hip 1")
    told = replace(found, lot=replace(found.lot, identifier=name))
    picture = draw(build_family(told))
    root = ElementTree.fromstring(picture)  # noqa: S314  # our own output
    assert {element.tag for element in root.iter()} <= {"svg", "title", "desc", "path", "rect", "text", "g"}
    assert {key for element in root.iter("g") for key in element.attrib} == {"class"}
    shown = name.replace("\0", "\ufffd").replace("\ud800", "\ufffd")
    assert root[0].text == f"Genealogy of {shown}"
    picture.encode()


def test_long_names_keep_their_end_in_the_box_and_all_of_it_beside_it() -> None:
    name = "https://id.gs1.org/01/09506000013459/21/" + "A" * 60 + "-0001"
    picture = draw(made_up([], lots=1, name=name))
    texts = [element.text for element in ElementTree.fromstring(picture).iter("text")]  # noqa: S314  # ours
    assert any(text and text.startswith("…") and text.endswith("-0001 0") and len(text) < 25 for text in texts)
    assert names(picture) == {f"{name} 0"}


@settings(deadline=None)
@given(
    links=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.just(False)).filter(lambda x: x[0] < x[1])),
    parents=st.lists(st.integers(0, 7), min_size=8, max_size=8),
)
def test_boxes_never_touch_and_steps_run_right(links: list[tuple[int, int, bool]], parents: list[int]) -> None:
    """Also when lots are packed in what they were made from."""
    packed = [(child, parent, True) for child, parent in enumerate(parents) if parent < child]
    family = made_up([*links, *packed])
    layout = place(family, dict.fromkeys(family.nodes, HEIGHT), GAP)
    for wire in layout.wires:
        assert wire.link.packed or wire.onward
        assert [layer for layer, _ in wire.points] == list(range(wire.points[0][0], wire.points[-1][0] + 1))
        assert {wire.points[0], wire.points[-1]} == {layout.places[wire.link.before], layout.places[wire.link.after]}
    by_layer: dict[int, list[float]] = {}
    for layer, middle in layout.places.values():
        by_layer.setdefault(layer, []).append(middle)
        assert -0.001 <= middle - HEIGHT / 2 <= layout.height - HEIGHT + 0.001
    for middles in by_layer.values():
        middles.sort()
        assert all(b - a >= HEIGHT + GAP - 0.001 for a, b in itertools.pairwise(middles))


def test_the_same_answer_gives_the_same_picture(built: World) -> None:
    def drawn() -> str:
        return draw(build_family(lot_trace(built, "melt")))

    assert drawn() == drawn()


def test_a_chain_longer_than_pythons_stack_is_drawn() -> None:
    chain = [(number, number + 1, False) for number in range(1999)]
    nodes = made_up(chain, lots=2000)
    assert draw(nodes).count("<rect") == 2000


def test_a_lot_alone_is_a_picture(built: World) -> None:
    found = trace(built.store, built.lots["bar"], direction=Direction.UP)
    assert isinstance(found, Trace | OrderTrace)
    assert names(draw(build_family(found))) == {"bar"}
