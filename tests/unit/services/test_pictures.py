"""Genealogies drawn: everything of the answer is in the picture, in order, and no name can break out of it."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.provenance import Direction, Limits, OrderTrace, Trace, recall, trace, trace_order
from millmark.ledger.provenance.answers import RelatedLot
from millmark.ledger.records import CertificateStatus, LotState, Verdict
from millmark.services.pictures import Family, build_family, build_reach, draw_dot, draw_svg, draw_tree, draw_upright
from millmark.services.pictures.family import Link, Node, Tone
from millmark.services.pictures.svg import place
from tests.support.fake_world import SMITH, World, build_world, lot_trace
from tests.support.stores import new_store

SVG = "{http://www.w3.org/2000/svg}"
HEIGHT, GAP = 40.0, 10.0


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_store(tmp_path_factory.mktemp("pictures")) as store:
        yield build_world(store)


def made_up(links: list[tuple[int, int, bool]], lots: int = 8, name: str = "lot") -> Family:
    nodes = {str(number): Node(str(number), (f"{name} {number}", "1 H87 held"), Tone.LOT) for number in range(lots)}
    drawn = tuple(Link(str(a), str(b), packed) for a, b, packed in links)
    return Family(f"Genealogy of {name}", ("All.",), ("0",), nodes, drawn, ())


def names(picture: str) -> set[str]:
    """First words of every box's full text."""
    root = ElementTree.fromstring(picture)  # noqa: S314  # our own output
    return {str(title.text).split(",")[0] for group in root.iter(f"{SVG}g") for title in group.findall(f"{SVG}title")}


def test_all_lots_and_steps_are_in_every_picture(built: World) -> None:
    found = lot_trace(built, "hip 3 again")
    family = build_family(found)
    lots = {lot.identifier for lot in found.upstream} | {found.lot.identifier}
    assert names(draw_svg(family)) == lots | {"rework 22", "split 18", "conversion 16", "merge 15"}
    dot, tree = draw_dot(family), "\n".join(draw_tree(family, Direction.UP))
    assert all(f'"{lot}\\n' in dot and f"{lot}: " in tree for lot in lots)
    assert dot.count(" -> ") == len(family.links) == 9


def test_siblings_that_were_not_asked_about_are_not_drawn(built: World) -> None:
    assert "hip-2" not in draw_svg(build_family(lot_trace(built, "hip 1")))


def test_a_box_is_drawn_with_what_is_in_it(built: World) -> None:
    family = build_family(lot_trace(built, "box"))
    assert [(link.before, link.after) for link in family.links if link.packed] == [
        ("0x" + built.lots["hip 2"].hex(), "0x" + built.lots["box"].hex())
    ]
    assert 'class="packed"' in draw_svg(family)
    assert "arrowhead=none" in draw_dot(family)
    assert any("hip-2" in line and "[contains]" in line for line in draw_tree(family, Direction.UP))
    carried = draw_tree(build_family(lot_trace(built, "hip 2")), Direction.DOWN)
    assert any("box" in line and "[packed in]" in line for line in carried)


def test_an_order_is_drawn_from_all_its_lots(built: World) -> None:
    found = trace_order(built.store, built.orders["hip"])
    family = build_family(found)
    assert set(family.roots) == {"0x" + lot.subject.hex() for lot in found.lots}
    tree = draw_tree(family, Direction.UP)
    assert sum("urn:example:melt" in line for line in tree) == 1, "what is shared is opened once"
    assert sum("(see above)" in line for line in tree) == 4


def test_a_tree_goes_where_it_was_asked_to(built: World) -> None:
    family = build_family(lot_trace(built, "billet"))
    assert "went into" not in draw_tree(family, Direction.UP)
    assert "made from" not in draw_tree(family, Direction.DOWN)
    both = draw_tree(family, Direction.BOTH)
    assert both.index("made from") < both.index("went into")


def test_pictures_say_what_they_leave_out(built: World) -> None:
    found = trace(built.store, built.lots["hip 3 again"], limits=Limits(depth=1, lots=10))
    family = build_family(found)
    said = "upstream at depth 1; use a larger depth"
    for drawn in (draw_svg(family), draw_dot(family), "\n".join(draw_tree(family, Direction.BOTH))):
        assert said in drawn


def test_a_picture_has_title_summary_and_language_for_who_cannot_see_it(built: World) -> None:
    root = ElementTree.fromstring(draw_svg(build_family(lot_trace(built, "box"))))  # noqa: S314  # our own output
    assert root.get("role") == "img"
    assert str(root.get("aria-labelledby")).split() == ["title", "summary"]
    assert [child.get("id") for child in list(root)[:2]] == ["title", "summary"]
    assert root[0].text == "Genealogy of lot urn:example:box"
    assert root[1].text == "6 lots, 3 steps, as of block 10."


def test_what_goes_nowhere_looks_and_reads_different(built: World) -> None:
    found = lot_trace(built, "hip 3 again")
    stopped = replace(found, upstream=tuple(replace(lot, quarantined=True) for lot in found.upstream))
    family = build_family(stopped)
    assert {(node.tone, node.bad) for node in family.nodes.values()} == {
        (Tone.ASKED, False),
        (Tone.LOT, True),
        (Tone.STEP, False),
    }
    assert all("in quarantine" in node.lines[1] for node in family.nodes.values() if node.bad)


def test_what_is_asked_about_is_not_shown_as_good_when_it_is_stopped(built: World) -> None:
    found = lot_trace(built, "hip 3 again")
    stopped = build_family(replace(found, lot=replace(found.lot, state=LotState.QUARANTINED)))
    assert [stopped.nodes[root].classes for root in stopped.roots] == ["asked bad"]
    assert '<g class="asked bad">' in draw_svg(stopped)
    assert draw_dot(stopped).count("#ffe3dc") == 2, "it was made of one that failed"
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
def test_one_rule_says_in_every_picture_what_is_red(
    built: World, verdict: Verdict, status: CertificateStatus, left: bool, used: bool
) -> None:
    """Of a lot of which something is left, and of one that is used up: as the lot that is asked about, as one that it
    came from, and in what a recall reached, at whichever company."""
    found, reached = lot_trace(built, "hip 3 again"), recall(built.store, lot=built.lots["bar"])
    [certificate, *_] = lot_trace(built, "hip 1").certificates
    given = replace(certificate, verdict=verdict, status=status, latest=True)
    for state, is_red in ((LotState.HELD, left), (LotState.SPENT, used)):
        own = replace(found.lot, state=state)
        around = tuple(_judged(lot, verdict, status, state) for lot in found.upstream)
        asked = build_family(replace(found, lot=own, certificates=(given,) if verdict else (), upstream=around))
        lots = [_judged(lot, verdict, status, state) for lot in reached.lots]
        for family in (asked, *(build_reach(lots, reached.as_of, (), company) for company in (SMITH, None))):
            boxes = [node for node in family.nodes.values() if node.tone is not Tone.STEP]
            assert {(node.bad, node.spent) for node in boxes} == {(is_red, state is LotState.SPENT)}
            for drawn in (draw_svg(family), draw_upright(family, "en")):
                assert drawn.count(">✕</text>") == len(boxes) * is_red
                assert len(re.findall('<g class="[a-z]+ bad', drawn)) == len(boxes) * is_red
                assert drawn.count(' spent">') == len(boxes) * (state is LotState.SPENT)
            dot = draw_dot(family)
            assert dot.count("#ffe3dc") == dot.count("peripheries=2") == len(boxes) * is_red
            assert dot.count(',dashed"') == len(boxes) * (state is LotState.SPENT)


def _judged(lot: RelatedLot, verdict: Verdict, status: CertificateStatus, state: LotState) -> RelatedLot:
    return replace(lot, verdict=verdict, status=status, state=state, quarantined=False)


def test_what_others_have_is_not_red(built: World) -> None:
    reached = recall(built.store, lot=built.lots["bar"])
    lots = [_judged(lot, Verdict.NONE, CertificateStatus.NONE, LotState.HELD) for lot in reached.lots]
    tones = {node.tone: node.bad for node in build_reach(lots, reached.as_of, (), SMITH).nodes.values()}
    assert tones == {Tone.OWN: False, Tone.AWAY: False}


def test_a_lot_that_was_called_back_is_red_in_the_passport(built: World) -> None:
    found = lot_trace(built, "hip 3 again")
    called = {lot.subject for lot in found.upstream}
    family = build_family(found, stopped=called)
    assert {key for key, node in family.nodes.items() if node.bad} == {"0x" + one.hex() for one in called}


@pytest.mark.parametrize(
    "name", ["</text><script>alert(1)</script>", '"]; evil [label="', "a\\", "\\N", "a\nb\0c", "]]>&amp;", "\ud800"]
)
def test_no_name_breaks_out(built: World, name: str) -> None:
    found = lot_trace(built, "hip 1")
    told = replace(found, lot=replace(found.lot, identifier=name))
    picture = draw_svg(build_family(told))
    root = ElementTree.fromstring(picture)  # noqa: S314  # our own output
    assert {element.tag for element in root.iter()} <= {
        SVG + tag for tag in ("svg", "title", "desc", "style", "defs", "marker", "path", "rect", "text", "g")
    }
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in name)
    assert root[0].text == f"Genealogy of lot {shown}"
    plain = draw_dot(build_family(told))
    escaped = shown.replace("\\", "\\\\").replace('"', '\\"')
    assert f'[label="{escaped}\\n1 pc' in plain
    assert re.sub(r'"(?:[^"\\]|\\.)*"', "", plain).count('"') == 0
    assert "evil [" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", plain)
    picture.encode()
    plain.encode()


def test_long_names_keep_their_end_in_the_box_and_all_of_it_beside_it() -> None:
    name = "https://id.gs1.org/01/09506000013459/21/" + "A" * 60 + "-0001"
    picture = draw_svg(made_up([], lots=1, name=name))
    texts = [element.text for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]  # noqa: S314  # ours
    assert any(text and text.startswith("…") and text.endswith("-0001 0") and len(text) < 40 for text in texts)
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
        return draw_svg(build_family(lot_trace(built, "melt")))

    assert drawn() == drawn()


def test_a_chain_longer_than_pythons_stack_is_drawn() -> None:
    chain = [(number, number + 1, False) for number in range(1999)]
    nodes = made_up(chain, lots=2000)
    steps = {key: replace(node, tone=Tone.STEP) if int(key) % 2 else node for key, node in nodes.nodes.items()}
    tree = draw_tree(replace(nodes, nodes=steps), Direction.DOWN)
    assert len(tree) == 3 + 1000
    assert draw_svg(nodes).count("<rect") == 2001


def test_a_lot_alone_is_a_picture(built: World) -> None:
    found = trace(built.store, built.lots["bar"], direction=Direction.UP)
    assert isinstance(found, Trace | OrderTrace)
    assert names(draw_svg(build_family(found))) == {"urn:example:bar"}
