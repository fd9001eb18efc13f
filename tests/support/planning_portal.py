"""A company whose people call, plan and offer on the portal, with the whole gateway behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from millmark.ledger.store.rows import AssignmentRow
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.planning.making_process import Task
from millmark.services.planning.reading import reading
from millmark.services.planning.schedule import Made, make_plan
from millmark.services.settings import Auth
from tests.support.acting_site import ActingSite, fields_of, open_acting_site, read
from tests.support.gateway_client import Caller
from tests.support.patience import wait_until
from tests.support.planning_samples import show_calendar
from tests.support.portal_site import Browser
from tests.support.sign_in import NOW_S, ORIGIN

__all__ = ["HOUR_S", "OFFERS", "PLANNER", "TEXT", "Planning", "open_planning", "serve"]

HOUR_S = 3600
PAST_HOUR_S = 600
"""Where in its hour a test begins: shortly after a full one, the first slot of a plan would begin while it is made, and
what was accepted for that slot could not stay."""
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
OBJECTIVE = 'unit = "EUR/100"\ntardiness_per_day = 2400\n'
TEXT = "the <b>spindle</b>"
PLANNER, OFFERS = "/portal/planner", "/portal/offers"


@dataclass
class Planning:
    """A company with every role, whose clock is the chain's."""

    site: ActingSite
    home: Path
    person: Browser
    machine: int
    order: str
    """Subject in hex."""
    ahead_s: int = 0

    def now_s(self) -> int:
        return NOW_S + self.ahead_s

    def pass_time(self, seconds: int) -> None:
        self.ahead_s += seconds
        self.site.world.chain.node.wait(seconds)

    def send(self) -> None:
        self.site.send()

    def call_fields(self, **entries: str) -> dict[str, str]:
        page = self.person.get(PLANNER)
        closes = datetime.fromtimestamp(self.now_s() + HOUR_S, UTC)
        given = {"closes": f"{closes:%Y-%m-%dT%H:%M}", "order": self.order, "to": str(self.site.number)}
        return {**fields_of(page.text, PLANNER), **given, **entries}

    def summarise(self, **entries: str) -> httpx.Response:
        return self.person.post(PLANNER, {**self.call_fields(**entries), "step": "summary"})

    def make_call(self) -> str:
        """The call's path on the coordinator's side."""
        summary = self.summarise()
        assert summary.status_code == 200, read(summary.text)
        sent = {**fields_of(summary.text, PLANNER), "step": "record"}
        done = [self.person.post(PLANNER, sent) for _ in range(2)]
        assert [one.status_code for one in done] == [303, 303], "sent twice"
        assert done[0].headers["location"] == done[1].headers["location"]
        self.send()
        [call] = set(re.findall(r'href="(/portal/planner/[0-9a-f]{64})"', self.person.get(PLANNER).text))
        return str(call)

    def offer(self, path: str) -> httpx.Response:
        page = self.person.get(path)
        assert page.status_code == 200
        marks = re.findall(r'name="offer" value="([0-9a-f]{64}-\d+-\d+)" checked', page.text)
        assert len(marks) == 2, read(page.text)
        form = fields_of(page.text, path)
        answers = [self.person.post(path, {**form, "offer": mark}) for mark in marks[:1]]
        self.send()
        page = self.person.get(path)
        [rest] = re.findall(r'name="offer" value="([0-9a-f]{64}-\d+-\d+)" checked', page.text)
        answers.append(self.person.post(path, {**fields_of(page.text, path), "offer": rest}))
        self.send()
        return answers[-1]

    def make(self, path: str, **entries: str) -> str:
        """Has a plan made; the words of the page once it is over."""
        page = self.person.get(path)
        begun = self.person.post(f"{path}/make", {**fields_of(page.text, f"{path}/make"), "cpu_s": "1", **entries})
        assert begun.status_code == 303, read(begun.text)
        assert "#" not in begun.headers["location"], "a browser does not refresh an address with a fragment"
        wait_until(lambda: "refresh" not in self.person.get(path).headers)
        return read(self.person.get(path).text)

    def record(self, path: str) -> None:
        page = self.person.get(path)
        sent = fields_of(page.text, f"{path}/record")
        done = [self.person.post(f"{path}/record", sent) for _ in range(2)]
        assert [one.status_code for one in done] == [303, 303], read(done[0].text)
        assert done[0].headers["location"] == done[1].headers["location"], "sent twice"
        self.send()

    def assignments(self) -> list[AssignmentRow]:
        with reading(self.site.store) as shelf:
            return shelf.rows.find(AssignmentRow)


def make_here(task: Task) -> Made:
    """In this process: that the gateway has another one do it is tested where processes may be started."""
    return make_plan(task.file, tie=task.tie, replan=task.replan, cpu_s=0.2, seed=task.seed)


def serve(planning: Planning, **parts: Any) -> None:
    """The gateway of the company."""
    site = planning.site
    common: dict[str, Any] = {"limiter": Limiter(Rates(1e9, 1e9)), "absent_every_s": 0, "name_keys": site.name_keys}
    recording = site.world.chain, site.signer
    policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=site.number)
    app = create_gateway(
        GatewayParts(
            site.store, policy, clock=planning.now_s, recording=recording, home=planning.home, **common, **parts
        )
    )
    # As with a chain that the gateway follows, whose thread does not run here.
    app.state.portal.workshop.ties._chain = site.world.chain
    app.state.portal.workshop.maker._make = make_here
    site.portal = Caller(app)


def open_planning(tmp_path: Path) -> Iterator[Planning]:
    """A company with a machine, its calendar, and an accepted order of two operations."""
    home = tmp_path / "home"
    home.mkdir()
    for site in open_acting_site(tmp_path):
        machine = site.final("/v1/machines", identifier="urn:example:LATHE", claims=CAPABLE)["sequence"]
        site.final("/v1/streams", identifier="urn:example:LATHE:offers", machine=machine)
        site.final("/v1/streams", identifier="urn:example:plans", machine=0)
        terms = {"operations": 2, "coordinator": site.number, "due_at": "2100-01-01T00:00:00Z", "claims": ROUTE}
        order = site.final("/v1/orders", identifier="urn:example:shaft", terms=terms)["subjects"][0]
        site.final(f"/v1/orders/{order}/accept")
        (home / "objective.toml").write_text(OBJECTIVE)
        (home / "calendar.toml").write_text(show_calendar("LATHE", 4000, "UTC", "00:00", "00:00"))
        planning = Planning(site, home, Browser(site.portal, {}), machine, order[2:])
        planning.ahead_s = site.world.chain.header(site.world.chain.final_number()).timestamp - NOW_S
        planning.pass_time((PAST_HOUR_S - planning.now_s()) % HOUR_S)
        serve(planning)
        planning.person = site.person()
        yield planning
