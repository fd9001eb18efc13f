"""A genealogy as a Graphviz document (the DOT language), for whoever has Graphviz or a tool that reads it."""

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
    """Time runs from left to right. Every text is quoted, so that no name can be taken for DOT."""
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
    looks = " [style=dashed, arrowhead=none, constraint=false]" if link.packed else ""
    return f"{_quote(link.before)} -> {_quote(link.after)}{looks};"


def _quote(*lines: str) -> str:
    """A double-quoted string of several lines. A backslash would begin an escape (\\N is the node's name)."""
    return '"' + r"\n".join(_escape(line) for line in lines) + '"'


def _escape(line: str) -> str:
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in line)
    return shown.replace("\\", "\\\\").replace('"', '\\"')
