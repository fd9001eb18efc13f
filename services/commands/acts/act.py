"""What all business commands share: they open the home's gateway, wait until a record is final, and say what was done.

    ORDERS = Group("orders", "Place orders, and follow them.")
    ORDERS.add_acts(place=_place)

The commands of acts are made of their declarations (services/acts). A step, such as `_place`, completes what is sent.
"""

from __future__ import annotations

import enum
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar, cast, get_type_hints

import typer

from millmark.ledger.canonical import to_hex
from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.provenance.answers import Lot, OpenedStream, Order, Printable, RegisteredMachine
from millmark.ledger.records import snake_case
from millmark.services import client
from millmark.services.acts import ACTS, COMMANDS, Body, Command, Field, Kind, set_member
from millmark.services.commands.acts.words import day_or_time, read_claims, short
from millmark.services.output import AsJson, print_json, print_lines, print_table
from millmark.services.views import RecordStatus

_VALUE = re.compile(r"\{(\w+)\}")
_SUBJECT = re.compile(r"0x[0-9a-fA-F]{64}")
_MAX_TRACED_LOTS = 10_000
_TRACE = "/v1/trace/{}"
_MAX_SHOWN = 5
T = TypeVar("T", bound=Lot | Order | OpenedStream | RegisteredMachine)


class Home:
    """The surroundings of a running command: its home, its gateway, and the things that its user names.

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
        """The participant with this number or name; the beginning of the name is enough."""
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
    """The command that comes next, or the commands in their order. One with a value that there is not is left out."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Values of the texts, by name."""


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
class Answered:
    """What a command says that records nothing: the gateway's answer for programs, and lines for people."""

    answer: Printable
    lines: Sequence[str]


_Act: TypeAlias = "Callable[..., Done | Iterator[Done]]"
_Tell: TypeAlias = "Callable[..., Answered]"
_List: TypeAlias = "Callable[..., Listing]"


class Group:
    """The commands about one kind of thing."""

    def __init__(self, name: str, about: str) -> None:
        self.name = name
        self.app = typer.Typer(no_args_is_help=True, help=about)

    def add_acts(self, **steps: Step) -> None:
        """Adds the commands of the group's acts in the order of their declaration. `steps`: by the verb."""
        for command in COMMANDS.values():
            group, _, verb = command.words.rpartition(" ")
            if group == self.name:
                add_command(self.app, command, steps.pop(verb, None))
        if steps:
            raise TypeError(f"no act is declared for {self.name} {', '.join(steps)}")

    def act(self, verb: str, example: str) -> Callable[[_Act], _Act]:
        """Declares a command that records something and is no act's own, such as one of planning."""

        def declare(function: _Act) -> _Act:
            def run(context: typer.Context, no_wait: NoWait = False, as_json: AsJson = False, **given: Any) -> None:
                run_act(context, partial(function, **given), no_wait=no_wait, as_json=as_json)

            _add(self.app, verb, example, function, run)
            return function

        return declare

    def list(self, verb: str, example: str, *, of: str, whole: bool = False) -> Callable[[_List], _List]:
        """Declares a command that shows items: all with `whole`, else the open ones unless --all is given.

        `of` says what they are, and is the member of the JSON that holds them.
        """

        def declare(function: _List) -> _List:
            def show(context: typer.Context, every: Every = False, as_json: AsJson = False, **given: Any) -> None:
                with _open(context) as at:
                    _list(context, of, function(at, **given), every, as_json)

            def show_whole(context: typer.Context, as_json: AsJson = False, **given: Any) -> None:
                with _open(context) as at:
                    _list(context, of, function(at, **given), True, as_json)

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


# The command of an act, made of its declaration.


@dataclass(slots=True)
class Given:
    """What a command was given."""

    names: Sequence[str]
    """All things that were named, where the command takes several."""
    thing: str | int | None
    """Subject or number of the thing that the act is about."""
    body: Body
    """Members of the request; a step puts in what is missing."""
    values: dict[str, str]
    """Values of the command's texts."""


Step: TypeAlias = "Callable[[Home, Given], Done | Iterable[Done] | None]"
"""Completes what is sent, or does the whole and returns what is done."""
_TYPES: Mapping[Kind, Any] = {
    Kind.NUMBER: int,
    Kind.OPERATION: int,
    Kind.TICK: bool,
    Kind.CLAIMS: Path,
    Kind.LOTS: list[str],
    Kind.MANY: list[str],
}
_READ: Mapping[Kind, Callable[[Home, Any], Any]] = {
    Kind.CLAIMS: lambda _, path: read_claims(path),
    Kind.MOMENT: lambda _, text: day_or_time(text),
    Kind.OPERATION: lambda _, number: number - 1,
    Kind.CHOICE: lambda _, chosen: chosen.value,
    Kind.ORDER: Home.order,
    Kind.LOT: Home.lot,
    Kind.LOTS: lambda at, names: sorted(at.lots(names)),
    Kind.STREAM: Home.stream,
    Kind.MACHINE: Home.machine,
    Kind.COMPANY: Home.participant,
}
"""How a value becomes a member of the body; others are as they are."""
_SHORT = (Kind.NAME, Kind.MACHINE, Kind.STREAM)


def add_command(app: typer.Typer, command: Command, step: Step | None = None) -> None:
    """Adds the command of an act."""

    def run(context: typer.Context, no_wait: NoWait = False, as_json: AsJson = False, **given: Any) -> None:
        run_act(context, partial(_do, command, step, given), no_wait=no_wait, as_json=as_json)

    thing = command.thing
    asked = [] if thing is None else [_parameter(thing, several=command.each)]
    asked += [_parameter(one) for one in command.fields if not one.kind.follows]
    run.__doc__ = command.help
    verb = command.words.rpartition(" ")[2]
    _register(app, verb, f"millmark {command.words} {command.example}", run, asked)


def _parameter(one: Field, *, several: bool = False) -> inspect.Parameter:
    """The parameter for a field, as typer reads it."""
    named = {value: value for value in one.choices}
    choice = cast(Any, enum.Enum)(one.name, named) if one.kind is Kind.CHOICE else str
    kind: Any = list[str] if several else _TYPES.get(one.kind, choice)
    default: Any = inspect.Parameter.empty
    if one.default is not None or one.kind is Kind.TICK:
        default = kind(one.default or 0)
    elif not one.required:
        kind, default = kind | None, None
    least = {Kind.NUMBER: one.least, Kind.OPERATION: 1}.get(one.kind)
    if one.is_argument:
        metavar = None if one.kind is Kind.CHOICE else one.option + "..." * several
        shown: Any = typer.Argument(metavar=metavar, min=least, help=one.help)
    else:
        option = one.option or f"--{one.name.replace('_', '-')}"
        shown = typer.Option(option, metavar=one.metavar or None, min=least, help=one.help)
    made = inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=default)
    return made.replace(annotation=Annotated[kind, shown])


def _do(command: Command, step: Step | None, given: Mapping[str, Any], at: Home) -> Done | Iterator[Done]:
    name: Any = None if command.thing is None else given[command.thing.name]
    if not command.each:
        return _do_one(at, command, step, _fill(at, command, given, name, ()))
    # All are found before anything is recorded: a name that is wrong, or not here yet, leaves nothing half done.
    filled = [_fill(at, command, given, one, name) for one in name]
    done = (_do_one(at, command, step, one) for one in filled)
    return (one for some in done for one in ((some,) if isinstance(some, Done) else some))


def _do_one(at: Home, command: Command, step: Step | None, given: Given) -> Done | Iterator[Done]:
    done = None if step is None else step(at, given)
    if done is None:
        return record(at, command.words, given)
    return done if isinstance(done, Done) else iter(done)


def record(at: Home, words: str, given: Given) -> Done:
    """Records the act of the command that has these words."""
    command = COMMANDS[words]
    act = ACTS[command.operation]
    send: Callable[..., RecordStatus] = getattr(at.gateway, snake_case(act.name))
    body = {**command.states, **given.body}
    done = send(*([given.thing] if "{" in act.path else []), **body)
    values = {name: str(value) for name, value in command.states.items()}
    return Done(done, command.said, command.then, {**values, **given.values})


def _fill(at: Home, command: Command, given: Mapping[str, Any], name: Any, names: Sequence[str]) -> Given:
    """What the user wrote, as members of a body."""
    found = Given(names, None, {}, {})
    thing = command.thing
    if thing is not None:
        found.values[thing.name] = str(name)
        if command.finds_thing:
            found.thing = _READ.get(thing.kind, _as_it_is)(at, name)
    for one in command.fields:
        if one.kind is Kind.THING:
            found.body[one.target] = found.thing
        elif one.kind is Kind.OFFER:
            found.body[one.target] = at.offered(name)[0]
        elif one.kind is Kind.CONSIGNMENT:
            lots = found.body[one.target] = at.consignment(name)
            found.values["packed"] = f" with {len(lots) - 1} packed in it" if len(lots) > 1 else ""
        elif (value := given[one.name]) is not None and value is not False:  # 0 is given
            set_member(found.body, one.document or one.target, _READ.get(one.kind, _as_it_is)(at, value))
            found.values |= _show(one, value)
    return found


def _as_it_is(_: Home, value: Any) -> Any:
    return value


def _show(one: Field, value: Any) -> dict[str, str]:
    """The values of texts that a field gives."""
    if isinstance(value, list):
        return {one.name: " ".join(value), "count": str(len(value))}
    shown = str(value.value if isinstance(value, enum.Enum) else value)
    return {
        one.name: short(shown) if one.kind in _SHORT else shown,
        **({"whole": shown} if one.kind is Kind.NAME else {}),
    }


def run_act(
    context: typer.Context, act: Callable[[Home], Done | Iterator[Done]], *, no_wait: bool, as_json: bool
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
    run.__doc__ = function.__doc__
    hints = _hints(function)
    given = list(inspect.signature(function).parameters.values())[1:]
    _register(app, verb, example, run, [one.replace(annotation=hints[one.name]) for one in given])


def _register(
    app: typer.Typer, verb: str, example: str, run: Callable[..., None], given: Sequence[inspect.Parameter]
) -> None:
    """Registers `run` with its own parameters and those that are given."""
    hints = _hints(run)
    named = [one for one in inspect.signature(run).parameters.values() if one.kind is not one.VAR_KEYWORD]
    own = [one.replace(annotation=hints[one.name]) for one in named]
    # What must be given comes first, as in the usage line.
    ordered = sorted([own[0], *given, *own[1:]], key=lambda one: one.default is not one.empty)
    ordered = [one.replace(kind=one.KEYWORD_ONLY) for one in ordered]
    run.__name__ = verb.replace("-", "_")
    run.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {one.name: one.annotation for one in ordered}
    app.command(verb, epilog=f"Example: {example}")(run)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The types of the parameters that typer reads: the first of an act and `given` are not options."""
    kept = {name: value for name, value in function.__annotations__.items() if name not in ("at", "given", "return")}
    bare = type("Bare", (), {"__annotations__": kept, "__module__": function.__module__})
    return get_type_hints(bare, function.__globals__, include_extras=True)


@contextmanager
def _open(context: typer.Context) -> Iterator[Home]:
    with client.open_gateway(context.obj) as gateway:
        yield Home(gateway, context.obj)


def _finish(at: Home, done: Done, no_wait: bool, as_json: bool) -> RecordStatus:
    record = done.record if no_wait else at.gateway.wait(done.record)
    if as_json:
        return record
    if no_wait and not record.done:
        print_lines(f"stored as {record.id}, {record.state}: `millmark outbox list` follows it")
        return record
    values = {**done.values, "sequence": str(record.sequence), "subject": ", ".join(map(to_hex, record.subjects))}
    print_lines(f"{_filled(done.said, values)} (record {record.sequence})")
    steps = [done.then] if isinstance(done.then, str) else done.then
    for place, step in enumerate(one for one in steps if values.keys() >= set(_VALUE.findall(one))):
        print_lines(f"{'then' if place else 'next'}: {_filled(step, values)}")
    return record


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _VALUE.sub(lambda found: values.get(found[1], found[0]), text)


def _list(context: typer.Context, of: str, listing: Listing, every: bool, as_json: bool) -> None:
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
