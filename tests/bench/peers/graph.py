"""Lineage by rustworkx: the whole graph in memory, and each answer as a set of lots."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

import rustworkx

from tests.bench.peers.answer import Prepare
from tests.bench.peers.walks import build_tasks

EDGES = "SELECT i.lot, o.lot FROM lot_inputs i JOIN lot_outputs o ON o.sequence = i.sequence"


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    edges = sqlite3.connect(arguments["file"]).execute(EDGES).fetchall()
    lots = sorted({lot for edge in edges for lot in edge})
    places = {lot: place for place, lot in enumerate(lots)}
    graph = rustworkx.PyDiGraph(multigraph=False)
    graph.add_nodes_from(range(len(lots)))
    graph.add_edges_from_no_data([(places[one], places[other]) for one, other in edges])

    def ancestors(lot: bytes) -> set[bytes]:
        return {lots[place] for place in rustworkx.ancestors(graph, places[lot])}

    def descendants(lot: bytes) -> set[bytes]:
        return {lots[place] for place in rustworkx.descendants(graph, places[lot])}

    return build_tasks({"ancestors": ancestors, "descendants": descendants}, arguments["lots"])
