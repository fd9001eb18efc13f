"""`millmark setpoints`: setpoints that are proposed for the company's machines, and the operator's answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millmark.ledger.errors import InputError
from millmark.services.commands.acts.act import Done, Group, Listing, Told
from millmark.services.commands.acts.words import when
from millmark.services.files import read_bounded

if TYPE_CHECKING:
    from millmark.services.commands.acts.names import At

SETPOINTS = Group("setpoints", "Settings proposed for machines: accept or refuse them.")
SetpointNumber = Annotated[
    int, typer.Argument(metavar="SETPOINT", min=1, help="Number of the proposal: `millmark setpoints list`.")
]
_MAX_BYTES = 1 << 20


def register(app: typer.Typer) -> None:
    app.add_typer(SETPOINTS.app, name=SETPOINTS.name)


@SETPOINTS.list("list", "millmark setpoints list", of="setpoints")
def list_setpoints(at: At) -> Listing:
    """List proposed setpoints: the open ones, or all with --all."""
    columns = {
        "setpoint": lambda one: one["setpoint"],
        "machine": lambda one: one["machine"],
        "state": lambda one: one["state"],
        "settings": lambda one: ", ".join(map(_value, one["values"])),
        "cost": lambda one: f"{one['kept']['cost']} -> {one['expected']['cost']} {one['unit']}",
        "OEE": lambda one: f"{_percent(one['kept']['oee_ppm'])} -> {_percent(one['expected']['oee_ppm'])}",
        "until": lambda one: when(one["until_at"]),
    }
    return Listing("setpoints", at.gateway.iterate_setpoints(), columns, lambda one: one["state"] == "open")


@SETPOINTS.tell("propose", "millmark setpoints propose proposal.json --machine LATHE-2 --unit EUR/100")
def propose(
    at: At,
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
) -> Told:
    """Put proposed setpoints into the inbox of a machine's operator. Nothing takes effect until they are accepted."""
    wanted = read_proposal(file)
    made = at.gateway.propose_setpoint(
        machine=at.machine(machine),
        unit=unit,
        cause=cause,
        open_s=60 * minutes,
        stream=at.stream(stream) if stream else None,
        **wanted,
    )
    number = made["setpoint"]
    lines = [
        f"setpoint {number} is proposed: {', '.join(map(_value, made['values']))}",
        f"next: millmark setpoints accept {number}, or millmark setpoints refuse {number} --reason WHY",
    ]
    return Told(made, lines)


@SETPOINTS.act("accept", "millmark setpoints accept 7")
def accept(at: At, setpoint: SetpointNumber) -> Done:
    """Accept proposed setpoints as the machine's operator. The answer becomes an entry of the machine's stream."""
    done = at.gateway.answer_setpoint(setpoint, answer="accepted")
    return Done(done, f"setpoint {setpoint} is accepted: set the machine to it")


@SETPOINTS.act("refuse", "millmark setpoints refuse 7 --reason 'the tool is changed today'")
def refuse(
    at: At,
    setpoint: SetpointNumber,
    reason: Annotated[str, typer.Option(help="Why. It becomes part of the entry, which stays in the private book.")],
) -> Done:
    """Refuse proposed setpoints as the machine's operator, with the reason."""
    done = at.gateway.answer_setpoint(setpoint, answer="refused", reason_text=reason)
    return Done(done, f"setpoint {setpoint} is refused")


def read_proposal(path: Path) -> dict[str, Any]:
    """Members of the request from what `python -m millmark.quality process propose` printed. Raises InputError."""
    try:
        found = json.loads(read_bounded(path, _MAX_BYTES))
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
