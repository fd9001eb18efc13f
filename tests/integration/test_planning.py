"""Three companies plan orders: a coordinator calls, two owners offer, each row is agreed on; one machine fails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from millmark.ledger.canonical import to_hex
from millmark.ledger.chain import HttpTransport, Node
from millmark.ledger.errors import InputError, MillmarkError
from millmark.services.client import Client, open_gateway
from millmark.services.commands.plan.planner import Planner
from millmark.services.planning.errors import RowRefusedError
from millmark.services.planning.repository import PlanningRepository
from millmark.services.planning.showing import CallShown, OfferShown
from millmark.services.settings import read_settings
from millmark.services.store import open_store
from tests.support.patience import wait_until
from tests.support.planning_homes import Homes, found_homes
from tests.support.planning_samples import show_calendar

pytestmark = pytest.mark.integration

ROUTE = {
    "operations": {
        "0": {"name": "turn", "need": {"kind": "turning", "values": {"diameter_mm": 80}}},
        "1": {"name": "mill", "need": {"kind": "milling", "values": {}}},
    }
}
CAPABLE = {
    "capability": [
        {"kind": "turning", "limits": {"diameter_mm": [10, 400]}},
        {"kind": "milling", "limits": {}},
    ]
}
OBJECTIVE = 'unit = "EUR/100"\ntardiness_per_day = 2400\n[transport_otherwise]\nminutes = 120\ncost = 500\n'
HOURS_S = 8 * 3600


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Homes]:
    with found_homes(tmp_path_factory.mktemp("planning"), ["Hub", "Forge", "Mill"]) as homes:
        for owner, machine, rate in (("Forge", "LATHE", 4000), ("Mill", "BORER", 5000)):
            homes.write(owner, "machine.json", json.dumps(CAPABLE))
            homes.write(owner, "calendar.toml", show_calendar(machine, rate, "Europe/Berlin", "00:00", "00:00"))
            path = str(homes.folder / owner / "machine.json")
            homes.call(owner, "machines", "register", f"urn:example:{machine}", "--claims", path)
            homes.call(owner, "streams", "open", f"urn:example:{machine}:offers", "--machine", machine)
        homes.call("Hub", "streams", "open", "urn:example:plans")
        homes.write("Hub", "objective.toml", OBJECTIVE)
        homes.write("Hub", "order.json", json.dumps(ROUTE))
        path = str(homes.folder / "Hub" / "order.json")
        for order in ("shaft", "bolt"):
            homes.call(
                "Hub",
                *("orders", "place", f"urn:example:{order}", "--coordinator", "1", "--operations", "2"),
                *("--due", "2100-01-01", "--claims", path),
            )
            homes.call("Hub", "orders", "accept", order)
        yield homes


def pass_hours(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call closes, for chain and commands alike."""
    Node(HttpTransport(homes.chain_url)).wait(HOURS_S + 60)
    now_s = Planner.now_s
    monkeypatch.setattr(Planner, "now_s", lambda planner: now_s(planner) + HOURS_S + 60)


def refused(homes: Homes, name: str, *words: str) -> str:
    with pytest.raises(MillmarkError) as error:
        homes.call(name, *words)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_from_a_call_to_rows_that_both_sides_committed_to(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    said = homes.call("Hub", "plan", "call", "shaft", "bolt", "--closes", "8h", "--to", "2", "--to", "3")
    assert re.search(r"call 0x[0-9a-f]{10} for 4 operations of 2 orders goes to 2 companies", said)
    for owner in ("Forge", "Mill"):
        homes.wait_for(owner, lambda gateway: any(_calls(gateway)))
    assert "the call is open until" in refused(homes, "Hub", "plan", "make")
    said = homes.call("Forge", "plan", "offer", "--until", "30d")
    assert re.search(r"machine \d+: 4 offers with \d+ windows are made, which show \d+ free slots", said)
    assert "there is nothing new to offer" in refused(homes, "Forge", "plan", "offer")
    homes.call("Mill", "plan", "offer", "--until", "30d")
    homes.wait_for("Hub", lambda gateway: _calls(gateway)[0].offers == 8)
    homes.wait_for("Mill", lambda gateway: all(one.received_at for one in _offers(gateway)))
    _withdraw_one(homes)
    _see_own_offers_only(homes)
    pass_hours(homes, monkeypatch)
    assert "an offer would be late" in refused(homes, "Forge", "plan", "offer")
    with _leaving_out_one(homes) as offer:
        _plan(homes)
        _prove_omission(homes, offer)
    _agree(homes)
    _fail(homes)


def _offers(gateway: Client) -> list[OfferShown]:
    [call] = _calls(gateway)
    return list(gateway.pages(OfferShown, "/v1/offers", call=call.call))


def _calls(gateway: Client) -> list[CallShown]:
    return list(gateway.pages(CallShown, "/v1/calls"))


def _withdraw_one(homes: Homes) -> None:
    with open_gateway(homes.folder / "Mill") as gateway:
        [first, *_] = _offers(gateway)
    assert "that are withdrawn: 1" in homes.call("Mill", "plan", "withdraw", to_hex(first.offer))
    homes.wait_for("Hub", lambda gateway: [one.reason for one in _offers(gateway)].count("withdrawn") == 1)
    # Withdrawn, it may be offered anew.
    assert "1 offers with" in homes.call("Mill", "plan", "offer", "--until", "30d")
    homes.wait_for("Hub", lambda gateway: [one.counts for one in _offers(gateway)].count(True) == 8)


def _see_own_offers_only(homes: Homes) -> None:
    with open_gateway(homes.folder / "Forge") as gateway:
        assert {one.owner.participant for one in _offers(gateway)} == {2}
    with open_gateway(homes.folder / "Hub") as gateway:
        assert {one.owner.participant for one in _offers(gateway)} == {2, 3}


def _plan(homes: Homes) -> None:
    said = homes.call("Hub", "plan", "make", "--cpu-seconds", "1")
    assert re.search(
        r"of 4 operations over \d machines of \d companies costs \d+ EUR/100; none is more than \d+\.\d %", said
    )
    assert "checked here: it holds" in homes.call("Hub", "plan", "show")
    homes.wait_for("Forge", lambda gateway: len(_calls(gateway)[0].plans) == 1)
    assert "own offers are in its list, and own rows are as offered" in homes.call("Forge", "plan", "show")
    path = homes.folder / "Hub" / "plan.json"
    homes.call("Hub", "plan", "show", "-o", str(path))
    assert json.loads(path.read_text())["format"] == "millmark.plan-file"


def _agree(homes: Homes) -> None:
    homes.call("Hub", "plan", "propose")
    with open_gateway(homes.folder / "Hub") as gateway:
        proposed = {one.assignment: one for one in gateway.iterate_assignments(state="proposed")}
    assert len(proposed) == 4
    for owner in {one.owner.participant for one in proposed.values()}:
        name = homes.names[owner - 1]
        mine = [number for number, one in proposed.items() if one.owner.participant == owner]
        # The rows are handed over once their proposals are final.
        wait_until(partial(_accept, homes, name, mine))
    homes.wait_for("Hub", lambda gateway: len(list(gateway.iterate_assignments(state="accepted"))) == 4)
    shown = json.loads(homes.call("Hub", "plan", "show", "--json"))["rows"]
    assert [one["state"] for one in shown] == ["accepted"] * 4
    assert {one["assignment"] for one in shown} == set(proposed)


def _accept(homes: Homes, name: str, assignments: list[int]) -> bool:
    try:
        homes.call(name, "plan", "accept", *map(str, assignments))
    except (InputError, RowRefusedError) as error:
        if "has not arrived here yet" in str(error) or "there is no assignment" in str(error):
            return False
        raise
    return True


@contextmanager
def _leaving_out_one(homes: Homes) -> Iterator[str]:
    """The coordinator forgets an offer of Mill's for which it signed a receipt, until the plan is made."""
    with open_gateway(homes.folder / "Mill") as gateway:
        leaf = next(one for one in _offers(gateway) if one.counts and one.received_at).offer
    with open_store(read_settings(homes.folder / "Hub").database_url) as store:
        with store.transaction() as connection:
            row = PlanningRepository(connection).leaf(leaf)
            assert row is not None
            connection.exec_driver_sql("DELETE FROM planning_leaves WHERE leaf = ?", (leaf,))
        yield to_hex(leaf)
        with store.transaction() as connection:
            PlanningRepository(connection).add_leaf(row)


def _prove_omission(homes: Homes, offer: str) -> None:
    """Mill sees it, and proves it to anybody; Forge, of which nothing was left out, can prove nothing."""
    homes.wait_for("Mill", lambda gateway: len(_calls(gateway)[0].plans) == 1)
    assert "REFUSED by the rule offers" in homes.call("Mill", "plan", "show")
    path, trust = str(homes.folder / "omission.json"), str(homes.folder / "trust.json")
    assert "anybody checks it with" in homes.call("Mill", "plan", "omission", path, "--of", offer)
    homes.call("Hub", "trust", "-o", trust)
    for words in ((), ("--trust", trust)):
        said = homes.call("Forge", "plan", "omission", path, *words)
        assert f"proved: participant 1 had offer {offer} of participant 3 before its call closed" in said
    with open_gateway(homes.folder / "Forge") as gateway:
        [first, *_] = _offers(gateway)
    other = str(homes.folder / "none.json")
    assert "the plan's list has the offer" in refused(
        homes, "Forge", "plan", "omission", other, "--of", to_hex(first.offer)
    )


def _fail(homes: Homes) -> None:
    with open_gateway(homes.folder / "Hub") as gateway:
        used = [one.machine.machine for one in gateway.iterate_assignments(state="accepted")]
    out = max(set(used), key=used.count)
    words = ("plan", "replan", "--cause", "machine-down", "--machine", str(out), "--text", "the spindle is worn")
    said = homes.call("Hub", *words)
    assert f"{used.count(out)} of 4 rows moved" in said
    said = homes.call("Hub", "plan", "propose")
    assert said.count("is cancelled: it is not as in plan") == used.count(out)
    assert said.count("is proposed to machine") == used.count(out)
    shown = homes.call("Hub", "plan", "show")
    assert "machine-down, the spindle is worn" in shown


def test_what_a_call_cannot_be_made_of_is_said_in_one_line(homes: Homes) -> None:
    assert "is not a time" in refused(homes, "Hub", "plan", "call", "shaft", "--closes", "tomorrow")
    assert "would close in the past" in refused(homes, "Hub", "plan", "call", "shaft", "--closes", "2020-01-01")
    assert "no order is called" in refused(homes, "Hub", "plan", "call", "nothing", "--closes", "8h")
    path = Path(homes.folder / "Hub" / "order.json")
    homes.write("Hub", "bare.json", json.dumps({"operations": {"0": {"name": "turn"}}}))
    homes.call(
        "Hub",
        *("orders", "place", "urn:example:bare", "--coordinator", "1", "--operations", "1", "--due", "2100-01-01"),
        *("--claims", str(path.with_name("bare.json"))),
    )
    assert "is placed" in refused(homes, "Hub", "plan", "call", "bare", "--closes", "8h")
    homes.call("Hub", "orders", "accept", "bare")
    assert "operation 1 of order urn:example:bare does not say what it needs" in refused(
        homes, "Hub", "plan", "call", "bare", "--closes", "8h"
    )
