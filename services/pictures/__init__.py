"""Drawings of genealogies, a text tree, a Graphviz document, an SVG picture; and of footprints.

draw_svg(build_family(trace(store, identifier)))
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from millmark.ledger.lazy import import_on_use

if TYPE_CHECKING:
    from millmark.services.pictures.family import (
        Family,
        Words,
        build_family,
        build_reach,
        describe_cut,
        draw_dot,
        draw_tree,
    )
    from millmark.services.pictures.plot import Bar, draw_waterfall
    from millmark.services.pictures.svg import draw_svg, draw_upright

__all__ = [
    "Bar",
    "Family",
    "Words",
    "build_family",
    "build_reach",
    "describe_cut",
    "draw_dot",
    "draw_svg",
    "draw_tree",
    "draw_upright",
    "draw_waterfall",
]

_HOMES = {
    "millmark.services.pictures.family": (
        "Family",
        "Words",
        "build_family",
        "build_reach",
        "describe_cut",
        "draw_dot",
        "draw_tree",
    ),
    "millmark.services.pictures.plot": (
        "Bar",
        "draw_waterfall",
    ),
    "millmark.services.pictures.svg": (
        "draw_svg",
        "draw_upright",
    ),
}

__getattr__ = import_on_use(__name__, _HOMES)
