"""Draws a genealogy as text: an indented tree, or a Graphviz document (DOT language).

In the tree, a lot reached by several paths is expanded once and referred to elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from millmark.ledger.provenance import Direction
from millmark.services.pictures.family import Family, Link, Node, Tone, describe_cut

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


_FILLS = {Tone.ASKED: "#dbe9ff", Tone.STEP: "#eef1f4"}
_STYLES = {Tone.ASKED: ",bold", Tone.STEP: ",rounded", Tone.OWN: ",bold"}


def draw_dot(family: Family) -> str:
    """The DOT document, with time from left to right. All text is quoted, so that no name can be parsed as DOT."""
    head = [
        "digraph genealogy {",
        f"  graph [rankdir=LR, label={_quote(family.title, *family.summary)}, fontname=sans];",
        "  node [shape=box, fontname=sans, fontsize=11];",
    ]
    nodes = [f"  {_node(node)}" for node in family.nodes.values()]
    links = [f"  {_link(link)}" for link in family.links]
    return "\n".join([*head, *nodes, *links, "}", ""])


def _node(node: Node) -> str:
    fill = "#ffe3dc" if node.bad else _FILLS.get(node.tone, "#ffffff")
    style = "filled" + _STYLES.get(node.tone, "") + (",dashed" if node.spent else "")
    looks = f'style="{style}", fillcolor="{fill}"' + (", peripheries=2" if node.bad else "")
    return f"{_quote(node.key)} [label={_quote(*node.lines)}, {looks}];"


def _link(link: Link) -> str:
    # constraint=false: packing must not move a lot to another rank, since ranks show the order of steps.
    looks = " [style=dashed, arrowhead=none, constraint=false]" if link.packed else ""
    return f"{_quote(link.before)} -> {_quote(link.after)}{looks};"


def _quote(*lines: str) -> str:
    """A double-quoted string of several lines. Backslashes are escaped: DOT expands \\N to the node's name."""
    return '"' + r"\n".join(_escape(line) for line in lines) + '"'


def _escape(line: str) -> str:
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    return shown.replace("\\", "\\\\").replace('"', '\\"')
