"""`millmark machines`, `streams`, `models` and `setpoints`: what makes, measures and judges, and how to set it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from millmark.ledger.canonical import Json, parse_json, to_hex
from millmark.ledger.errors import InputError
from millmark.ledger.evidence import SALT_BYTES, EvidenceEntry, LeafKind, build_leaf_data
from millmark.ledger.merkle import Tree, leaf_hash
from millmark.ledger.plans.call import parse_capability
from millmark.ledger.store import Book, Connection
from millmark.services.commands.acts import words
from millmark.services.commands.acts.act import Answered, Given, Group, Home, Listing
from millmark.services.files import read_bounded
from millmark.services.home import Layout
from millmark.services.node.events import check_event, parse_event
from millmark.services.setpoints import SetpointShown
from millmark.services.settings import read_settings
from millmark.services.store import open_store

MACHINES = Group("machines", "Register machines, retire them, and see how much work they have.")
STREAMS = Group("streams", "Open evidence streams, of machines or for plans and logs, and list them.")
MODELS = Group("models", "See which quality models there are; `millmark quality` makes and publishes them.")
_MAX_CAPABILITY_BYTES = 64 * 1024


def register(app: typer.Typer) -> None:
    for group in (MACHINES, STREAMS, MODELS, SETPOINTS):
        app.add_typer(group.app, name=group.name)


def _register_machine(_: Home, given: Given) -> None:
    if "capability" in given.body:
        made = _capability(Path(given.body.pop("capability")))
        given.body["claims"] = {**given.body.get("claims", {}), **made}


def _capability(path: Path) -> dict[str, Any]:
    """The member of a machine's claims. Raises PlanError for a file that is not a list of kinds with limits."""
    found = parse_capability(
        parse_json(read_bounded(path, _MAX_CAPABILITY_BYTES), max_bytes=_MAX_CAPABILITY_BYTES, max_depth=8)
    )
    return {"capability": [one.to_json() for one in found]}


MACHINES.add_acts(register=_register_machine)


@MACHINES.list("list", "millmark machines list --owner Forge", of="machines")
def list_machines(at: Home, owner: words.OfCompany = None) -> Listing:
    """List machines that are not retired: your own, and those that work for your orders."""
    columns = {
        "machine": lambda one: one["machine"],
        "name": words.name_of,
        "of": lambda one: words.party(one["owner"]),
        "waiting": lambda one: one["waiting"],
        "working": lambda one: one["working"],
        "retired": lambda one: words.when(one["retired_at"]),
    }
    found = at.gateway.iterate_machines(owner=at.maybe_participant(owner))
    return Listing("machines", found, columns, lambda one: one["retired_at"] is None)


def _open_stream(_: Home, given: Given) -> None:
    given.body.setdefault("machine", 0)


def _add(at: Home, given: Given) -> None:
    """The event is kept in the private book before its anchor is sent."""
    stream, event, values, data = (given.body.pop(name, None) for name in ("stream", "event", "value", "data"))
    found = at.gateway.get_stream(stream)
    measured = build_event(event, values or (), words.read_claims(data and Path(data)))
    size, root = keep_event(at.home, found.subject, found.size, measured)
    given.thing = to_hex(found.subject)
    given.body |= {"size": size, "root": root}
    given.values["size"] = str(size)


STREAMS.add_acts(open=_open_stream, add=_add)


@STREAMS.list("list", "millmark streams list --machine LATHE-2", of="streams", whole=True)
def list_streams(
    at: Home,
    machine: Annotated[str | None, typer.Option(help="Only those of this machine.")] = None,
    owner: words.OfCompany = None,
) -> Listing:
    """List evidence streams."""
    columns = {
        "stream": words.name_of,
        "machine": lambda one: words.name_of(one["machine"]) if one["machine"] else "-",
        "of": lambda one: words.party(one["owner"]),
        "entries": lambda one: one["size"],
        "opened": lambda one: words.when(one["opened_at"]),
        "subject": lambda one: one["subject"],
    }
    found = at.gateway.iterate_streams(
        machine=at.machine(machine) if machine else None, owner=at.maybe_participant(owner)
    )
    return Listing("streams", found, columns)


@MODELS.list("list", "millmark models list --inspector Lab", of="models")
def list_models(at: Home, inspector: words.OfCompany = None, state_: words.InState = None) -> Listing:
    """List quality models that are neither retired nor withdrawn."""
    columns = {
        "model": lambda one: one["model"],
        "state": words.state,
        "inspector": lambda one: words.party(one["inspector"]),
        "approved by": lambda one: words.party(one["approver"]),
        "digest": lambda one: one["digest"][:18] + "...",
    }
    found = at.gateway.iterate_models(inspector=at.maybe_participant(inspector), state=words.state_word(state_))
    return Listing(
        "models", found, columns, lambda one: state_ is not None or one["state"] in ("registered", "approved")
    )


# Events that people or programs add to a stream of their company, where no node captures it.

_WHOLE = re.compile("-?[0-9]{1,15}")


def build_event(identity: str, values: Sequence[str], data: Mapping[str, Json] | None) -> Mapping[str, Json]:
    """An event as a node would take it. Raises InputError for values that are not NAME=VALUE, EventRefusedError."""
    measured = dict(data or {})
    for one in values:
        name, sign, value = one.partition("=")
        if not (name and sign):
            raise InputError(f"--value {one[:80]} names no value", hint="write NAME=VALUE, such as diameter_um=40012")
        measured[name] = int(value) if _WHOLE.fullmatch(value) else value
    if not measured:
        raise InputError("nothing was measured", hint="give --value NAME=VALUE, or --data FILE")
    text = json.dumps({"id": identity, "data": measured}).encode()
    return cast("Mapping[str, Json]", json.loads(check_event(parse_event(text)).content))


def keep_event(home: Path, stream: bytes, anchored: int, event: Mapping[str, Json]) -> tuple[int, bytes]:
    """Keeps an event in the private book of the home, unless it is there. Returns size and root to be anchored.

    It is durable before the anchor is sent; the same command again sends an anchor that was lost. Raises InputError for
    an event that a node would refuse, an id that has other content, and a stream that is captured elsewhere.
    """
    if Layout(home).captured.is_dir():
        raise InputError("a node captures the streams of this home", hint="send the event to the node")
    settings = read_settings(home)
    with open_store(settings.database_url, settings.evidence_path) as store, store.transaction() as connection:
        size = _keep(connection, stream, anchored, event)
        return size, Tree(Book(connection).leaves(stream, size)).root()


def _keep(connection: Connection, stream: bytes, anchored: int, event: Mapping[str, Json]) -> int:
    book, name = Book(connection), str(event["id"])
    size, found = book.evidence_size(stream), book.find_event(stream, name)
    if size < anchored:
        raise InputError("the evidence of this stream is not kept here", hint="send the event to the node that does")
    if found is None:
        salt = secrets.token_bytes(SALT_BYTES)
        leaf = leaf_hash(build_leaf_data(LeafKind.EVENT, salt, event))
        book.add_evidence(stream, [EvidenceEntry(size, salt, event, leaf)])
        return size + 1
    kept = book.evidence_entry(stream, found)
    if kept is None or kept.entry != event:
        raise InputError(f"event {name} is in the stream with other content", hint="give it another id")
    if size == anchored:
        raise InputError(f"event {name} is in the stream already, and anchored", hint="name it as it is")
    return size


SETPOINTS = Group("setpoints", "Settings proposed for machines: accept or refuse them.")
_MAX_PROPOSAL_BYTES = 1 << 20


@SETPOINTS.list("list", "millmark setpoints list", of="setpoints")
def list_setpoints(at: Home) -> Listing:
    """List proposed setpoints: the open ones, or all with --all."""
    columns = {
        "setpoint": lambda one: one["setpoint"],
        "machine": lambda one: one["machine"],
        "state": lambda one: one["state"],
        "settings": lambda one: ", ".join(map(_value, one["values"])),
        "cost": lambda one: f"{one['kept']['cost']} -> {one['expected']['cost']} {one['unit']}",
        "OEE": lambda one: f"{_percent(one['kept']['oee_ppm'])} -> {_percent(one['expected']['oee_ppm'])}",
        "until": lambda one: words.when(one["until_at"]),
    }
    return Listing(
        "setpoints", at.gateway.pages(SetpointShown, "/v1/setpoints"), columns, lambda one: one["state"] == "open"
    )


@SETPOINTS.tell("propose", "millmark setpoints propose proposal.json --machine LATHE-2 --unit EUR/100")
def propose(
    at: Home,
    file: Annotated[
        Path, typer.Argument(help="What `python -m millmark.quality process propose` printed.", dir_okay=False)
    ],
    machine: Annotated[str, typer.Option(help="The machine: number, identifier or its last part.")],
    unit: Annotated[str, typer.Option(help="What one unit of its prices is.")],
    cause: Annotated[str, typer.Option(help="Why it was looked for, such as a drift alarm.")] = "",
    minutes: Annotated[int, typer.Option(min=1, max=10_080, help="For how long it can be accepted.")] = 60,
    stream: Annotated[
        str | None, typer.Option(help="Stream for the answer; by default the machine's only one.")
    ] = None,
) -> Answered:
    """Put proposed setpoints into the inbox of a machine's operator. Nothing takes effect until they are accepted."""
    wanted = read_proposal(file)
    made = at.gateway.post(
        SetpointShown,
        "/v1/setpoints",
        machine=at.machine(machine),
        unit=unit,
        cause=cause,
        open_s=60 * minutes,
        stream=at.stream(stream) if stream else None,
        **wanted,
    )
    number = made.setpoint
    lines = [
        f"setpoint {number} is proposed: {', '.join(_value(one.to_json()) for one in made.values)}",
        f"next: millmark setpoints accept {number}, or millmark setpoints refuse {number} --reason WHY",
    ]
    return Answered(made, lines)


SETPOINTS.add_acts()


def read_proposal(path: Path) -> dict[str, Any]:
    """Members of the request from what `python -m millmark.quality process propose` printed. Raises InputError."""
    try:
        found = json.loads(read_bounded(path, _MAX_PROPOSAL_BYTES))
        if found.get("proposed") is False:
            raise InputError(f"{path.name} proposes nothing: {found['cause']}", hint=found["hint"])
        names = [name for name, value in found["setpoints"].items() if value != found["present"][name]]
        return {
            "model": f"0x{found['model']}",
            "horizon_s": found["horizon_s"],
            "values": [
                {
                    "name": name,
                    "decimals": found["decimals"][name],
                    "before": found["present"][name],
                    "value": found["setpoints"][name],
                }
                for name in names
            ],
            "expected": _forecast(found["expected"]),
            "kept": _forecast(found["kept"]),
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path.name} is not a proposal", hint="write it with python -m millmark.quality process propose ... > FILE"
        ) from None


def _forecast(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in ("cost", "energy_wh", "eta_ppm", "e_ppm")}


def _value(one: Mapping[str, Any]) -> str:
    before, value = (Decimal(one[name]).scaleb(-one["decimals"]) for name in ("before", "value"))
    return f"{one['name']} {before:f} -> {value:f}"


def _percent(ppm: int) -> str:
    return f"{ppm / 10_000:.1f} %"
