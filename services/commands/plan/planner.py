"""What the commands of planning share: their arguments, and what they read and write in the home's own database."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.plans.call import Call
from millmark.ledger.store import Book, Rows
from millmark.services.commands.acts.act import Done, Group, Home
from millmark.services.commands.acts.words import day_or_time
from millmark.services.commands.context import Context, open_context
from millmark.services.planning.consent import consent_to
from millmark.services.planning.reading import PlanningTables, need_call, reading, writing
from millmark.services.planning.repository import CallRow
from millmark.services.planning.stream_entries import OwnStream, Sealed
from millmark.services.views import RecordStatus

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
    typer.Option(help="Count work in place of CPU time: the same offers and seconds then lead to the same bytes."),
]


T = TypeVar("T")
_AWAY = re.compile("[+]?([0-9]{1,6})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_LEAST_DIGITS = 4


class Planner:
    """A home at work: its gateway, and its database."""

    def __init__(self, at: Home, opened: Context) -> None:
        self.at, self.opened = at, opened
        caller = at.gateway.get_session()
        if caller.participant is None:
            raise InputError("the home does not say whose gateway it is", hint="set gateway_participant")
        self.me = caller.participant

    def now_s(self) -> int:
        """Seconds since 1970."""
        return int(time.time())

    def reading(self) -> AbstractContextManager[PlanningTables]:
        return reading(self.opened.store)

    def writing(self) -> AbstractContextManager[PlanningTables]:
        return writing(self.opened.store)

    def call(self, name: str | None) -> Call:
        """A call by its digest or the beginning of it; the latest without a name. Raises NotFoundError, InputError."""
        with self.reading() as tables:
            return need_call(tables.rows, self.choose_call(tables, name).digest)

    def choose_call(self, tables: PlanningTables, name: str | None) -> CallRow:
        listed = tables.planning.calls()
        if name is None and listed:
            return listed[0]
        return choose("call", name or "", listed, lambda row: row.digest)

    def stream(self, name: str | None, machine: int | None) -> OwnStream:
        """The company's stream of a machine, or its stream for plans. Raises InputError if several qualify."""
        named = None if name is None else bytes.fromhex(self.at.stream(name)[2:])
        with self.reading() as tables:
            return tables.stream(self.me, machine, named)

    def anchor(self, stream: OwnStream, sealed: Sealed) -> RecordStatus:
        return self.at.gateway.anchor(stream.subject, size=sealed.size, root=sealed.root)

    def anchor_rest(self, stream: OwnStream) -> Done | None:
        """Anchors entries whose anchor was lost on the way; None if there are none."""
        with self.reading() as tables:
            rest = tables.unanchored(stream)
        if rest is None:
            return None
        said = f"{len(rest.leaves)} entries that were written before are anchored now"
        return Done(self.anchor(stream, rest), said)


@contextmanager
def open_planner(at: Home) -> Iterator[Planner]:
    with open_context(at.home) as opened:
        yield Planner(at, opened)


def find_offered_row(home: Path, assignment: int) -> str | None:
    """The claims root of the row of a plan that an assignment proposes; None if it is of no plan. Raises
    RowRefusedError for one that is not what the machine's owner offered."""
    with open_context(home) as opened, opened.store.reading() as connection:
        root = consent_to(Rows(connection), Book(connection), assignment, int(time.time()))
    return None if root is None else to_hex(root)


def choose(kind: str, name: str, listed: Sequence[T], key: Callable[[T], bytes]) -> T:
    """The one whose hash begins so. Raises NotFoundError, and InputError if several do."""
    digits = name.lower().removeprefix("0x").rstrip(".")
    found = [one for one in listed if key(one).hex().startswith(digits)] if len(digits) >= _LEAST_DIGITS else []
    if len(found) > 1:
        raise InputError(f"{name[:80]} is the beginning of {len(found)} {kind}s", hint="give more digits of one")
    if not found:
        raise NotFoundError(f"no {kind} begins with {name[:80]!r} here", hint="see `millmark plan list`")
    return found[0]


def parse_moment(text: str, option: str, now_s: int) -> int:
    """Seconds since 1970: a time in UTC, a day, or a time from now on such as 30m, 8h or 2d. Raises InputError."""
    away = _AWAY.fullmatch(text)
    if away:
        return now_s + int(away[1]) * _SECONDS[away[2]]
    try:
        return int(datetime.strptime(day_or_time(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise InputError(
            f"{option} {text[:40]!r} is not a time", hint="write 2026-12-01T12:00:00Z in UTC, a day, or 30m, 8h or 2d"
        ) from None


def moment_text(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def short_hash(digest: bytes) -> str:
    return f"0x{digest.hex()[:10]}"
