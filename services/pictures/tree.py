"""Draws a genealogy as indented text. A lot reached by several paths is expanded once and referred to elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.provenance import Direction
from services.pictures.family import Family, Link, Tone, describe_cut

__all__ = ["draw_tree"]

_Branches = dict[str, list[tuple[str, str]]]
"""For each lot, the next lots, each with the step or packing that leads there."""


def draw_tree(family: Family, direction: Direction) -> list[str]:
    """The lines of a tree: each traced lot with its ancestors, its descendants, or both in turn."""
    lines = [family.title]
    ways = []
    if direction is not Direction.DOWN:
        ways.append(("made from", _branches(family, up=True)))
    if direction is not Direction.UP:
        ways.append(("went into", _branches(family, up=False)))
    for title, branches in ways:
        opened: set[str] = set()
        lines += ["", title, *(line for root in family.roots for line in _walk(family, branches, root, opened))]
    return [*lines, *_notices(family)]


def _notices(family: Family) -> list[str]:
    return ["", *(f"cut off: {describe_cut(cut)}" for cut in family.cuts)] if family.cuts else []


def _branches(family: Family, *, up: bool) -> _Branches:
    """Links from lot to lot, labelled with the step between them."""
    ends: dict[str, list[Link]] = {}
    for link in family.links:
        ends.setdefault(link.after if up else link.before, []).append(link)
    found: _Branches = {}
    for key, node in family.nodes.items():
        if node.tone is not Tone.STEP:
            found[key] = list(_beyond(family, ends, key, up))
    return found


def _beyond(family: Family, ends: dict[str, list[Link]], key: str, up: bool) -> Iterator[tuple[str, str]]:
    for link in ends.get(key, ()):
        other = link.before if up else link.after
        if link.packed:
            yield "contains" if up else "packed in", other
        else:
            how = family.nodes[other].lines[0]
            yield from ((how, far.before if up else far.after) for far in ends.get(other, ()))


def _walk(family: Family, branches: _Branches, root: str, opened: set[str]) -> Iterator[str]:
    """Walks depth first, without recursion: a chain of lots may exceed Python's recursion limit."""
    waiting = [("", "", root, "")]
    while waiting:
        indent, elbow, key, how = waiting.pop()
        again = key in opened and bool(branches[key])
        yield f"{indent}{elbow}{_label(family, key, how)}{' (see above)' if again else ''}"
        if again:
            continue
        opened.add(key)
        inner = indent + {"": "", "├─ ": "│  ", "└─ ": "   "}[elbow]
        last = len(branches[key]) - 1
        children = [
            (inner, "└─ " if place == last else "├─ ", other, by) for place, (by, other) in enumerate(branches[key])
        ]
        waiting.extend(reversed(children))  # the last one added is visited first


def _label(family: Family, key: str, how: str) -> str:
    name, *rest = family.nodes[key].lines
    said = ", ".join(rest)
    return f"{name}: {said} [{how}]" if how else f"{name}: {said}"
