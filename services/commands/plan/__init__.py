"""`millmark plan`: calls, offers, and the plans made of them. CALLS.md says who sends what to whom."""

from __future__ import annotations

import typer

from millmark.services.commands.plan import (  # noqa: F401 - they declare commands
    calling,
    causes,
    files,
    forecasting,
    making,
    offering,
    omitting,
    proposing,
)
from millmark.services.commands.plan.group import PLAN

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.add_typer(PLAN.app, name=PLAN.name)
