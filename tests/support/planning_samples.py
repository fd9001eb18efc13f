"""A call with two orders, offers for it, and a plan that lists offers, without a ledger; and what a company keeps of
the process of a machine."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path
from random import Random

import numpy as np

from millmark.ledger.plans.call import Call, Job, Need, Operation
from millmark.ledger.plans.offer import Offer, OpenedOffer
from millmark.ledger.plans.plan import Bound, Cost, Leg, Plan, Row
from millmark.quality.process.telemetry import COLUMNS, Machine
from millmark.services.planning.calendar import Calendar, parse_calendar
from millmark.services.planning.feedback.inbox_proposer import FOLDER

__all__ = [
    "BASE",
    "CLOSES",
    "LEDGER",
    "TERMS",
    "build_calendar",
    "build_call",
    "build_opened",
    "build_plan",
    "build_row",
    "keep_process",
    "show_calendar",
]

LEDGER = b"\x1a" * 20
ORDERS = (b"\x11" * 32, b"\x22" * 32)
BASE = 1_774_483_200
"""2026-03-26T00:00:00Z: the clock is put forward in Europe three days later."""
CLOSES = BASE - 600
TURNING = Need("turning", (("diameter_mm", 80), ("material", "steel")))


def build_call(origin: int = BASE, slot: int = 3600, slots: int = 14 * 24, readers: tuple[int, ...] = (7,)) -> Call:
    operations = (Operation(0, TURNING), Operation(1, Need("milling")))
    jobs = tuple(Job(order, b"\5" * 32, 0, 7 * 24, operations) for order in ORDERS)
    return Call(77, LEDGER, 2, b"\7" * 32, origin, slot, slots, origin - 600, "EUR/100", readers, b"\6" * 32, jobs)


def show_calendar(machine: str, rate: int, zone: str, starts: str, ends: str) -> str:
    """The file of one machine's owner, who turns and mills on every day between two hours."""
    return f'''
time_zone = "{zone}"
unit = "EUR/100"
[energy]
price_per_kwh = 30
co2e_mg_per_wh = 400
[[machine]]
machine = "{machine}"
rate_per_hour = {rate}
power_w = 5000
minutes = {{ turning = 60, milling = 90 }}
shifts = [ {{ days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], starts = "{starts}", ends = "{ends}" }} ]
'''


def build_calendar(text: str = "", **machine: object) -> Calendar:
    """One machine at work from 06:00 to 22:00 in Berlin; `machine` replaces its lines."""
    lines = {
        "machine": '"LATHE-2"',
        "rate_per_hour": 3600,
        "minutes": "{ turning = 90 }",
        "shifts": '[ { days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], starts = "06:00", ends = "22:00" } ]',
        **machine,
    }
    shown = "\n".join(f"{name} = {value}" for name, value in lines.items())
    return parse_calendar(f'time_zone = "Europe/Berlin"\nunit = "EUR/100"\n{text}\n[[machine]]\n{shown}\n'.encode())


def build_opened(call: Call, random: Random, machine: int = 17) -> OpenedOffer:
    offer = Offer(
        call=call.digest,
        owner=3,
        machine=machine,
        order=random.choice(ORDERS),
        operation=random.randrange(2),
        duration=2,
        setup=1,
        family="steel",
        windows=((random.randrange(50), 60, random.randrange(1, 1000)),),
        wh=9000,
        co2e_mg=3_000_000,
        until=call.closes + 86_400,
    )
    return OpenedOffer(offer, random.randbytes(32))


def build_row(owner: int = 3, operation: int = 0, offer: bytes = b"\4" * 32) -> Row:
    return Row(ORDERS[0], operation, offer, 17, owner, 4, 6, 900, 9000, 3_000_000)


def build_plan(call: Call, offers: Iterable[bytes], rows: tuple[Row, ...] = (), legs: tuple[Leg, ...] = ()) -> Plan:
    """A plan that lists these offers. Nothing else of it holds."""
    bound = Bound(900, ((17, ((4, 10), (5, 12))),))
    return Plan(call.digest, tuple(sorted(offers)), b"\1" * 32, rows, legs, Cost(1000, 0, 0, 0), bound)


TERMS = """[prices]
rate_per_hour = 5400
price_per_kwh = 31
price_per_unit = 60
[horizon]
moves = 3
hold = 6
arrivals = 7.8
[setpoint.temperature_set]
low = 195
high = 225
rate = 8
"""


def keep_process(home: Path, machine: int, end_s: int) -> Path:
    """An hour, until `end_s`, of a machine from which something takes heat away. Returns the machine's folder."""
    folder = home / FOLDER / str(machine)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_bytes((files("millmark.quality") / "models" / "moulder.bin").read_bytes())
    (folder / "terms.toml").write_text(TERMS)
    (folder / "telemetry.csv").write_text(_show(end_s))
    (home / "calendar.toml").write_text(show_calendar("LATHE-2", 4000, "UTC", "06:00", "22:00"))
    return folder


def _show(end_s: int) -> str:
    lines = [f"{end_s + 60 * (number - 59)},{row}" for number, row in enumerate(_measured())]
    return "\n".join([f"time,{','.join(COLUMNS)}", *lines, ""])


@cache
def _measured() -> list[str]:
    machine, draw = Machine(backlog=190.0), np.random.default_rng(1)
    settings = np.array([208.0, 80.0, 33.0])
    rows = [machine.step(settings, 7.8, draw, 8.0).values for _ in range(60)]
    return [",".join(f"{value:.4f}" for value in row) for row in rows]
