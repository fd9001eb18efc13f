"""What the commands of planning read and write in the home's own database."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from ledger.canonical import to_hex
from ledger.errors import InputError, NotFoundError
from ledger.merkle import Tree
from ledger.plans.call import Call
from ledger.plans.plan import Plan
from ledger.store import Book, Connection, Rows
from ledger.store.rows import StreamRow
from services.client.shapes import RecordStatus
from services.commands.acts.act import Done
from services.commands.acts.names import At
from services.commands.acts.words import day_or_time, name_of
from services.commands.context import Context, open_context
from services.planning.consent import consent_to
from services.planning.reading import find_whole, need_call
from services.planning.repository import CallRow, PlanningRepository, PlanRow
from services.planning.sealing import OwnStream, Sealed

__all__ = ["Desk", "Shelf", "choose", "find_offered_row", "moment_text", "open_desk", "parse_moment", "short_hash"]

T = TypeVar("T")
_AWAY = re.compile("[+]?([0-9]{1,6})([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400}
_LEAST_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Shelf:
    """The database within one transaction."""

    connection: Connection
    rows: Rows
    book: Book
    planning: PlanningRepository


class Desk:
    """A home at work: its gateway, and its database."""

    def __init__(self, at: At, opened: Context) -> None:
        self.at, self.opened = at, opened
        caller = at.gateway.get_session()
        if caller["participant"] is None:
            raise InputError("the home does not say whose gateway it is", hint="set gateway_participant")
        self.me = int(caller["participant"])

    def now_s(self) -> int:
        """Seconds since 1970."""
        return int(time.time())

    @contextmanager
    def reading(self) -> Iterator[Shelf]:
        with self.opened.store.reading() as connection:
            yield _shelf(connection)

    @contextmanager
    def writing(self) -> Iterator[Shelf]:
        with self.opened.store.transaction() as connection:
            yield _shelf(connection)

    def call(self, name: str | None) -> Call:
        """A call by its digest or the beginning of it; the latest without a name. Raises NotFoundError, InputError."""
        with self.reading() as shelf:
            return need_call(shelf.rows, self.choose_call(shelf, name).digest)

    def choose_call(self, shelf: Shelf, name: str | None) -> CallRow:
        listed = shelf.planning.calls()
        if name is None and listed:
            return listed[0]
        return choose("call", name or "", listed, lambda row: row.digest)

    def latest_row(self, shelf: Shelf, call: bytes) -> PlanRow:
        """The latest plan for a call. Raises NotFoundError."""
        found = shelf.planning.plans(call)
        if not found:
            raise NotFoundError("no plan for this call is known here", hint="its coordinator makes one")
        return found[-1]

    def latest_plan(self, shelf: Shelf, call: bytes) -> Plan:
        """The latest plan for a call, whole. Raises NotFoundError, also where only a part of it is known."""
        plan, _ = self.whole_plan(shelf, self.latest_row(shelf, call).digest)
        if plan is None:
            raise NotFoundError("only a part of the plan is known here", hint="its coordinator does this")
        return plan

    def whole_plan(self, shelf: Shelf, digest: bytes) -> tuple[Plan | None, Plan | None]:
        """A plan and the one that it replaces; None where it is not known, or only in part."""
        plan = find_whole(shelf.book, shelf.planning, digest)
        before = None if plan is None or plan.before is None else find_whole(shelf.book, shelf.planning, plan.before)
        return plan, before

    def stream(self, name: str | None, machine: int | None) -> OwnStream:
        """The company's stream of a machine, or its stream for plans. Raises InputError if several qualify."""
        found = [one for one in self.at.gateway.iterate_streams(owner=self.me) if _machine(one) == machine]
        if name is not None:
            named = self.at.stream(name)
            found = [one for one in found if one["subject"] == named]
        what = "for plans, without a machine" if machine is None else f"of machine {machine}"
        if len(found) > 1:
            found = [one for one in found if name_of(one) == "offers" or name_of(one).endswith("-offers")] or found
        if len(found) != 1:
            hint = "name one with --stream" if found else "open one: `millmark streams open`"
            raise InputError(f"this company has {len(found) or 'no'} streams {what}", hint=hint)
        return self.stream_of(bytes.fromhex(found[0]["subject"][2:]))

    def stream_of(self, subject: bytes) -> OwnStream:
        """An own stream by its subject."""
        with self.reading() as shelf:
            row = shelf.rows.get(StreamRow, subject)
        return OwnStream(subject, self.me, 0 if row is None else row.size)

    def anchor(self, stream: OwnStream, sealed: Sealed) -> RecordStatus:
        return self.at.gateway.anchor(to_hex(stream.subject), size=sealed.size, root=to_hex(sealed.root))

    def anchor_rest(self, stream: OwnStream) -> Done | None:
        """Anchors entries whose anchor was lost on the way; None if there are none."""
        with self.reading() as shelf:
            size = shelf.book.evidence_size(stream.subject)
            root = Tree(shelf.book.leaves(stream.subject, size)).root()
        if size <= stream.anchored:
            return None
        done = self.at.gateway.anchor(to_hex(stream.subject), size=size, root=to_hex(root))
        return Done(done, f"{size - stream.anchored} entries that were written before are anchored now")


@contextmanager
def open_desk(at: At) -> Iterator[Desk]:
    with open_context(at.home) as opened:
        yield Desk(at, opened)


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


def _machine(stream: Any) -> int | None:
    found = stream["machine"]
    return None if found is None else int(found["machine"])


def _shelf(connection: Connection) -> Shelf:
    return Shelf(connection, Rows(connection), Book(connection), PlanningRepository(connection))
