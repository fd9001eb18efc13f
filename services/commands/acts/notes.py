"""`millmark note`: what is said about orders and lots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from millmark.ledger.errors import InputError
from millmark.services.commands.acts.act import Done, declare_act
from millmark.services.commands.acts.words import reason_of

if TYPE_CHECKING:
    from millmark.services.commands.acts.names import At

# The numbers of millmark.ledger.records.NoteKind, which help does not import; a test compares them.
KINDS = {
    "observation": 1,
    "recall-notice": 2,
    "calibration": 3,
    "maintenance": 4,
    "later-fact": 5,
    "acknowledgement": 8,
    "resolution": 9,
    "drift": 10,
}


def register(app: typer.Typer) -> None:
    declare_act(app, "note", "millmark note A0006R --kind recall-notice --text 'stop using it'", note)


def note(
    at: At,
    things: Annotated[list[str], typer.Argument(metavar="THING...", help="Lots and orders: identifiers or subjects.")],
    text: Annotated[str, typer.Option(help="What is said; only its salted hash goes on the chain.")],
    kind: Annotated[str, typer.Option(help=", ".join(KINDS) + ", or a number agreed on.")] = "observation",
) -> Done:
    """Say something about lots or orders that your company has a part in. It changes no state."""
    done = at.gateway.note(subjects=[at.thing(one) for one in things], kind=_kind(kind), claims=reason_of(text))
    return Done(done, f"a note on {len(set(things))} histories")


def _kind(text: str) -> int:
    number = KINDS.get(text) or (int(text) if text.isascii() and text.isdecimal() else 0)
    if not 0 < number < 1 << 16:
        raise InputError(f"unknown kind of note {text[:80]!r}", hint=f"use {', '.join(KINDS)}, or a number")
    return number
