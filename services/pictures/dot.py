"""Draws a genealogy as a Graphviz document (DOT language)."""

from __future__ import annotations

from services.pictures.family import Family, Link, Node, Tone

__all__ = ["draw_dot"]

_LOOKS = {
    Tone.ASKED: 'style="filled,bold", fillcolor="#dbe9ff"',
    Tone.LOT: 'style="filled", fillcolor="#ffffff"',
    Tone.STOPPED: 'style="filled,dashed,bold", fillcolor="#ffe3dc"',
    Tone.STEP: 'style="filled,rounded", fillcolor="#eef1f4"',
}


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
    return f"{_quote(node.key)} [label={_quote(*node.lines)}, {_LOOKS[node.tone]}];"


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
