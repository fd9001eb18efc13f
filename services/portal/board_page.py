"""The page of machines: the board, and the list of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from starlette.responses import Response

from millmark.ledger.provenance import listings, open_reader
from millmark.ledger.records import Role
from millmark.ledger.store import Store
from millmark.services.pictures.gantt import draw_gantt
from millmark.services.planning.consent import PlannedTimes
from millmark.services.portal.board import MAX_WORK, SPANS, MachineWork, build_board, read_work
from millmark.services.portal.forms import Forms
from millmark.services.portal.lists import PAGE_ITEMS, Filters, Lists, principal_of
from millmark.services.portal.pages import Pages
from millmark.services.portal.routes import MEMBERS, PageRoute

__all__ = ["Board"]

_RULE = replace(MEMBERS, cost=5)
"""It reads the work of a page of machines."""


@dataclass(frozen=True, slots=True)
class Board:
    store: Store
    pages: Pages
    forms: Forms

    def routes(self) -> tuple[PageRoute, ...]:
        return (
            PageRoute(
                "/portal/machines",
                self.show,
                _RULE,
                menu="machines",
                used_by=Role.MANUFACTURER | Role.COORDINATOR | Role.INSPECTOR,
            ),
        )

    def show(self, request: Request, days: str = "") -> Response:
        """The machine board. `days`: how many it shows, of `SPANS`; else as many as all work takes."""
        chosen = int(days) if days in map(str, SPANS) else None

        def find(viewer: int | None, after: int | None, wanted: Filters, newest_first: bool) -> listings.Page[Any]:
            return listings.machines(self.store, viewer, after, PAGE_ITEMS, wanted, newest_first=newest_first)

        def draw(machines: Sequence[Any]) -> dict[str, Any]:
            catalogue, (board, now_s) = self.pages.catalogue(request), self._read(request, machines)
            chart = build_board(board, chosen, now_s, catalogue)
            picture = None if chart is None else draw_gantt(chart, catalogue.language.value)
            return {"board": board, "picture": picture}

        values: dict[str, Any] = {"days": chosen, "spans": SPANS, "most": MAX_WORK}
        return Lists(self.pages, self.forms).show(request, "machines.html", find, describe=draw, **values)

    def _read(self, request: Request, machines: Sequence[Any]) -> tuple[list[MachineWork], int]:
        """The machines' work, and the present time: a chain's blocks may be ahead of this clock."""
        viewer = principal_of(request).viewer
        with open_reader(self.store, viewer) as reader:
            times = PlannedTimes(reader.rows, reader.book) if viewer is None else None
            now_s = max(int(time.time()), reader.cursor.block_time)
            return [read_work(reader, machine, times) for machine in machines], now_s
