"""What all business commands share: they open the home's gateway, wait until a record is final, and say what was done.

    ORDERS = Group("orders", "Place orders, and follow them.")

    @ORDERS.act("accept", "millmark orders accept A-17")
    def accept(at: At, order: OrderName) -> Done:
        return Done(at.gateway.accept_order(at.order(order)), "the order is accepted")

The wrapper adds the options that every act has.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar, get_type_hints

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance.answers import Lot, OpenedStream, Order, Printable, RegisteredMachine
from millmark.services import client
from millmark.services.output import AsJson, print_json, print_lines, print_table
from millmark.services.views import RecordStatus

_SUBJECT = re.compile(r"0x[0-9a-fA-F]{64}")
_MAX_TRACED_LOTS = 10_000
_TRACE = "/v1/trace/{}"
_MAX_SHOWN = 5
T = TypeVar("T", bound=Lot | Order | OpenedStream | RegisteredMachine)


class At:
    """A command at work: its gateway, and the things that its user names.

    Each name is an identifier in any spelling, its last part ("A0006R", "LATHE-2"), or a subject or number. Methods
    raise NotFoundError if nothing is called so, and InputError naming the candidates if several things are.
    """

    def __init__(self, gateway: client.Client, home: Path) -> None:
        self.gateway, self.home = gateway, home

    def order(self, name: str) -> str:
        return _subject("order", name, self.gateway.iterate_orders)

    def lot(self, name: str) -> str:
        return _subject("lot", name, self.gateway.iterate_lots)

    def stream(self, name: str) -> str:
        return _subject("stream", name, self.gateway.iterate_streams)

    def thing(self, name: str) -> str:
        """A lot or an order."""
        if _SUBJECT.fullmatch(name):
            return name.lower()
        lots, orders = self.gateway.iterate_lots(identifier=name), self.gateway.iterate_orders(identifier=name)
        found: list[Lot | Order] = [*lots, *orders]
        return to_hex(_only("lot or order", name, found, "subject").subject)

    def lots(self, names: Sequence[str]) -> list[str]:
        return [self.lot(name) for name in names]

    def machine(self, name: str) -> int:
        if name.isdecimal():
            return int(name)
        return _only("machine", name, self.gateway.iterate_machines(identifier=name), "machine").machine

    def participant(self, name: str) -> int:
        """By its number or its name; the beginning of a name is enough."""
        if name.isdecimal():
            return int(name)
        folded = name.casefold()
        named = [(one, (one.name or "").casefold()) for one in self.gateway.iterate_participants()]
        found = [one for one, its in named if its == folded] or [one for one, its in named if its.startswith(folded)]
        if len(found) > 1:
            shown = ", ".join(f"{one.participant} ({one.name})" for one in found)
            raise InputError(f"{name} is the name of {len(found)} companies: {shown}", hint="give its number")
        if not found:
            raise NotFoundError(f"no company is called {name} here", hint="see `millmark participants list`")
        return found[0].participant

    def maybe_participant(self, name: str | None) -> int | None:
        return None if name is None else self.participant(name)

    def stream_of(self, assignment: int) -> OpenedStream:
        """The stream of an assignment's machine, where that is the only one."""
        machine = self.gateway.get_assignment(assignment).machine.machine
        found = list(self.gateway.iterate_streams(machine=machine))
        if len(found) != 1:
            hint = "name one with --stream" if found else "open one: `millmark streams open`"
            raise InputError(f"machine {machine} has {len(found)} streams", hint=hint)
        return found[0]

    def consignment(self, name: str) -> list[str]:
        """A lot and all that is packed in it, in the order that the contract wants: each followed by its contents."""
        lot = self.lot(name)
        trace = self.gateway.get(dict, _TRACE, lot, direction="up", lots=_MAX_TRACED_LOTS)
        contents: dict[str, list[str]] = {}
        for one in trace["contents"]:
            contents.setdefault(one["parent"], []).append(one["subject"])
        return list(_unfold(lot, contents))

    def offered(self, name: str) -> tuple[int, Lot]:
        """The standing offer of a lot, and the lot."""
        lot = self.gateway.get_lot(self.lot(name))
        if lot.offer is None:
            raise InputError(f"{name} is offered to nobody", hint="see `millmark custody list`")
        return lot.offer, lot

    def latest_proposal(self, order: str, kind: str, missing: str) -> int:
        """The latest record of a kind in an order's history. Raises NotFoundError with the text `missing`."""
        records = self.gateway.get(dict, _TRACE, order)["records"]
        found: int | None = max((one["sequence"] for one in records if one["kind"] == kind), default=None)
        if found is None:
            raise NotFoundError(missing, hint="have the other side propose it first")
        return found


def _unfold(lot: str, contents: Mapping[str, Sequence[str]]) -> Iterator[str]:
    waiting = [lot]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += sorted(contents.get(one, ()), reverse=True)


def _subject(kind: str, name: str, iterate: Callable[..., Iterable[T]]) -> str:
    if _SUBJECT.fullmatch(name):
        return name.lower()
    return to_hex(_only(kind, name, iterate(identifier=name), "subject").subject)


def _only(kind: str, name: str, items: Iterable[T], key: str) -> T:
    found = sorted(items, key=lambda one: str(one.identifier))
    if len(found) > 1:
        named = [one.identifier for one in found]
        shown = [str(one.identifier if named.count(one.identifier) == 1 else one.to_json()[key]) for one in found]
        told = ", ".join([*shown[:_MAX_SHOWN], *(["..."] if len(shown) > _MAX_SHOWN else [])])
        raise InputError(f"{name} is the name of {len(found)} {kind}s: {told}", hint="give the whole of one")
    if not found:
        raise NotFoundError(
            f"no {kind} is called {name} here", hint=f"see `millmark {kind.rpartition(' ')[2]}s list --all`"
        )
    return found[0]


NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Return once the gateway has stored the record, before it is final.")
]
Every = Annotated[bool, typer.Option("--all", help="Everything, not only what is open, and without an end.")]
_SHOWN = 50
"""Rows of a list without `--all`."""


@dataclass(frozen=True, slots=True)
class Done:
    """A record that the gateway has stored. In the texts, {sequence} and {subject} are its number and what it named."""

    record: RecordStatus
    said: str
    then: str | Sequence[str] = ()
    """The command that comes next, or the commands in their order."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list shows: the gateway's items, and how each column is read from one."""

    title: str
    items: Iterable[Printable | Mapping[str, Any]]
    columns: Mapping[str, Callable[[Any], object]]
    """They read an item's JSON."""
    is_open: Callable[[Any], bool] = lambda _: True
    """Whether an item is shown without `--all`."""
    more: Sequence[str] = field(default=())
    """Lines after the table."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a command says that records nothing: the gateway's answer for programs, and lines for people."""

    answer: Printable
    lines: Sequence[str]


_Act: TypeAlias = "Callable[..., Done | Iterator[Done]]"
_Tell: TypeAlias = "Callable[..., Told]"
_List: TypeAlias = "Callable[..., Listing]"


class Group:
    """The commands about one kind of thing."""

    def __init__(self, name: str, about: str) -> None:
        self.name = name
        self.app = typer.Typer(no_args_is_help=True, help=about)

    def act(self, verb: str, example: str) -> Callable[[_Act], _Act]:
        """Declares a command that records something."""

        def declare(function: _Act) -> _Act:
            declare_act(self.app, verb, example, function)
            return function

        return declare

    def list(self, verb: str, example: str, *, of: str, whole: bool = False) -> Callable[[_List], _List]:
        """Declares a command that shows items: all with `whole`, else the open ones unless --all is given.

        `of` says what they are, and is the member of the JSON that holds them.
        """

        def declare(function: _List) -> _List:
            def show(context: typer.Context, every: Every = False, as_json: AsJson = False, **given: Any) -> None:
                with _open(context) as at:
                    _show(context, of, function(at, **given), every, as_json)

            def show_whole(context: typer.Context, as_json: AsJson = False, **given: Any) -> None:
                with _open(context) as at:
                    _show(context, of, function(at, **given), True, as_json)

            _add(self.app, verb, example, function, show_whole if whole else show)
            return function

        return declare

    def tell(self, verb: str, example: str) -> Callable[[_Tell], _Tell]:
        """Declares a command that asks the gateway for something that is not recorded."""

        def declare(function: _Tell) -> _Tell:
            def run(context: typer.Context, as_json: AsJson = False, **given: Any) -> None:
                with _open(context) as at:
                    told = function(at, **given)
                if as_json:
                    print_json(context, told.answer.to_json())
                else:
                    print_lines(*told.lines)

            _add(self.app, verb, example, function, run)
            return function

        return declare


def declare_act(app: typer.Typer, verb: str, example: str, function: _Act) -> None:
    """Declares a command that records something."""

    def run(context: typer.Context, no_wait: NoWait = False, as_json: AsJson = False, **given: Any) -> None:
        run_act(context, partial(function, **given), no_wait=no_wait, as_json=as_json)

    _add(app, verb, example, function, run)


def run_act(
    context: typer.Context, act: Callable[[At], Done | Iterator[Done]], *, no_wait: bool, as_json: bool
) -> None:
    """Gives an act the home's gateway, waits until its records are final, and says what was done."""
    with _open(context) as at:
        done = act(at)
        every = [done] if isinstance(done, Done) else done
        records = [_finish(at, one, no_wait, as_json).to_json() for one in every]
    if as_json:
        print_json(context, records[0] if isinstance(done, Done) else {"records": records})


def _add(app: typer.Typer, verb: str, example: str, function: Callable[..., Any], run: Callable[..., None]) -> None:
    """Registers `run` with its own parameters and those of `function`, of which it passes on all but the first."""
    own = [one for one in inspect.signature(run).parameters.values() if one.kind is not one.VAR_KEYWORD]
    given = list(inspect.signature(function).parameters.values())[1:]
    # What must be given comes first, as in the usage line.
    ordered = sorted([own[0], *given, *own[1:]], key=lambda one: one.default is not one.empty)
    hints = {**_hints(run), **_hints(function)}
    ordered = [one.replace(annotation=hints[one.name]) for one in ordered]
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    run.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {one.name: hints[one.name] for one in ordered}
    app.command(verb, epilog=f"Example: {example}")(run)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of the parameters that typer reads: the first of an act and `given` are not options."""
    kept = {name: value for name, value in function.__annotations__.items() if name not in ("at", "given", "return")}
    bare = type("Bare", (), {"__annotations__": kept, "__module__": function.__module__})
    return get_type_hints(bare, function.__globals__, include_extras=True)


@contextmanager
def _open(context: typer.Context) -> Iterator[At]:
    with client.open_gateway(context.obj) as gateway:
        yield At(gateway, context.obj)


def _finish(at: At, done: Done, no_wait: bool, as_json: bool) -> RecordStatus:
    record = done.record if no_wait else at.gateway.wait(done.record)
    if as_json:
        return record
    if no_wait and not record.done:
        print_lines(f"stored as {record.id}, {record.state}: `millmark outbox list` follows it")
        return record
    print_lines(f"{_filled(done.said, record)} (record {record.sequence})")
    for place, step in enumerate([done.then] if isinstance(done.then, str) else done.then):
        print_lines(f"{'then' if place else 'next'}: {_filled(step, record)}")
    return record


def _filled(text: str, record: RecordStatus) -> str:
    for name, value in (("{sequence}", str(record.sequence)), ("{subject}", ", ".join(map(to_hex, record.subjects)))):
        text = text.replace(name, value)
    return text


def _show(context: typer.Context, of: str, listing: Listing, every: bool, as_json: bool) -> None:
    shown: list[Mapping[str, Any]] = []
    more = False
    for found in listing.items:
        item = found.to_json() if isinstance(found, Printable) else found
        if not every and not listing.is_open(item):
            continue
        if not every and len(shown) == _SHOWN:
            more = True
            break
        shown.append(item)
    if as_json:
        print_json(context, {of: shown})
        return
    print_table(
        listing.title, list(listing.columns), [[read(one) for read in listing.columns.values()] for one in shown]
    )
    print_lines(*listing.more, *(["there are more: --all"] if more else []))
