"""What people call things, as the gateway needs it: subjects and numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from millmark.ledger.errors import InputError, NotFoundError
from millmark.services.client import Client
from millmark.services.client.shapes import Lot, OpenedStream
from millmark.services.commands.acts.words import name_of

_SUBJECT = re.compile(r"0x[0-9a-fA-F]{64}")
_MAX_TRACED_LOTS = 10_000
_MAX_SHOWN = 5


class At:
    """A command at work: its gateway, and the things that its user names.

    Each name is an identifier in any spelling, its last part ("A0006R", "LATHE-2"), or a subject or number. Methods
    raise NotFoundError if nothing is called so, and InputError naming the candidates if several things are.
    """

    def __init__(self, gateway: Client, home: Path) -> None:
        self.gateway, self.home = gateway, home

    def order(self, name: str) -> str:
        return _subject("order", name, self.gateway.iterate_orders)

    def order_name(self, subject: str) -> str:
        """What people call an order."""
        return name_of(self.gateway.get_order(subject))

    def lot(self, name: str) -> str:
        return _subject("lot", name, self.gateway.iterate_lots)

    def stream(self, name: str) -> str:
        return _subject("stream", name, self.gateway.iterate_streams)

    def thing(self, name: str) -> str:
        """A lot or an order."""
        if _SUBJECT.fullmatch(name):
            return name.lower()
        found = [*self.gateway.iterate_lots(identifier=name), *self.gateway.iterate_orders(identifier=name)]
        return str(_only("lot or order", name, found, "subject")["subject"])

    def lots(self, names: Sequence[str]) -> list[str]:
        return [self.lot(name) for name in names]

    def machine(self, name: str) -> int:
        if name.isdecimal():
            return int(name)
        return int(_only("machine", name, self.gateway.iterate_machines(identifier=name), "machine")["machine"])

    def participant(self, name: str) -> int:
        """By its number or its name; the beginning of a name is enough."""
        if name.isdecimal():
            return int(name)
        folded = name.casefold()
        named = [(one, (one["name"] or "").casefold()) for one in self.gateway.iterate_participants()]
        found = [one for one, its in named if its == folded] or [one for one, its in named if its.startswith(folded)]
        if len(found) > 1:
            shown = ", ".join(f"{one['participant']} ({one['name']})" for one in found)
            raise InputError(f"{name} is the name of {len(found)} companies: {shown}", hint="give its number")
        if not found:
            raise NotFoundError(f"no company is called {name} here", hint="see `millmark participants list`")
        return found[0]["participant"]

    def maybe_participant(self, name: str | None) -> int | None:
        return None if name is None else self.participant(name)

    def stream_of(self, assignment: int) -> OpenedStream:
        """The stream of an assignment's machine, where that is the only one."""
        machine = self.gateway.get_assignment(assignment)["machine"]["machine"]
        found = list(self.gateway.iterate_streams(machine=machine))
        if len(found) != 1:
            hint = "name one with --stream" if found else "open one: `millmark streams open`"
            raise InputError(f"machine {machine} has {len(found)} streams", hint=hint)
        return found[0]

    def consignment(self, name: str) -> list[str]:
        """A lot and all that is packed in it, in the order that the contract wants: each followed by its contents."""
        lot = self.lot(name)
        trace: Mapping[str, Any] = self.gateway.trace_lot_or_order(lot, direction="up", lots=_MAX_TRACED_LOTS)
        contents: dict[str, list[str]] = {}
        for one in trace["contents"]:
            contents.setdefault(one["parent"], []).append(one["subject"])
        return list(_unfold(lot, contents))

    def offered(self, name: str) -> tuple[int, Lot]:
        """The standing offer of a lot, and the lot."""
        lot = self.gateway.get_lot(self.lot(name))
        if lot["offer"] is None:
            raise InputError(f"{name} is offered to nobody", hint="see `millmark custody list`")
        return lot["offer"], lot

    def latest_proposal(self, order: str, kind: str, missing: str) -> int:
        """The latest record of a kind in an order's history. Raises NotFoundError with the text `missing`."""
        records = self.gateway.trace_lot_or_order(order)["records"]
        found = max((one["sequence"] for one in records if one["kind"] == kind), default=None)
        if found is None:
            raise NotFoundError(missing, hint="have the other side propose it first")
        return found


def _unfold(lot: str, contents: Mapping[str, Sequence[str]]) -> Iterator[str]:
    waiting = [lot]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += sorted(contents.get(one, ()), reverse=True)


def _subject(kind: str, name: str, iterate: Callable[..., Iterable[Mapping[str, Any]]]) -> str:
    if _SUBJECT.fullmatch(name):
        return name.lower()
    return str(_only(kind, name, iterate(identifier=name), "subject")["subject"])


def _only(kind: str, name: str, items: Iterable[Mapping[str, Any]], key: str) -> Mapping[str, Any]:
    found = sorted(items, key=lambda one: str(one["identifier"]))
    if len(found) > 1:
        named = [one["identifier"] for one in found]
        shown = [str(one["identifier"] if named.count(one["identifier"]) == 1 else one[key]) for one in found]
        told = ", ".join([*shown[:_MAX_SHOWN], *(["..."] if len(shown) > _MAX_SHOWN else [])])
        raise InputError(f"{name} is the name of {len(found)} {kind}s: {told}", hint="give the whole of one")
    if not found:
        raise NotFoundError(
            f"no {kind} is called {name} here", hint=f"see `millmark {kind.rpartition(' ')[2]}s list --all`"
        )
    return found[0]
