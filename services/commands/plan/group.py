"""The group of commands, and the arguments that several of them share."""

from __future__ import annotations

from typing import Annotated

import typer

from millmark.services.commands.acts.act import Group

PLAN = Group("plan", "Call for offers, offer machines, make plans, and agree on them.")
CallName = Annotated[
    str | None,
    typer.Argument(metavar="[CALL]", help="The call: its digest, or the beginning of it; by default the latest."),
]
Stream = Annotated[
    str | None, typer.Option(help="The stream to record it in; by default the only suitable one.", show_default=False)
]
Repeatable = Annotated[
    bool,
    typer.Option(
        help="Count work in place of CPU time: the same offers, seed and seconds then lead to the same bytes."
    ),
]
