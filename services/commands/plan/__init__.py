"""`millmark plan`: calls, offers, and the plans made of them. CALLS.md says who sends what to whom."""

from __future__ import annotations

import typer

# They declare commands. The help lists those in the order of these imports.
from millmark.services.commands.plan import calling, drafting, forecasting, offering  # noqa: F401
from millmark.services.commands.plan.planner import PLAN

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.add_typer(PLAN.app, name=PLAN.name)
