"""Planning in the portal without scripts, on the real contracts: a company calls itself, offers, plans, proposes and
accepts; a machine fails; and what is refused on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.merkle import Tree
from millmark.ledger.plans.check import Unseen, check_plan
from millmark.ledger.records import AssignmentState
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import AnchorRow, AssignmentRow
from millmark.services.access.rules import PersonRole
from millmark.services.gateway.http.problems import TryLaterError
from millmark.services.planning.consent import find_row
from millmark.services.planning.feedback.repository import FeedbackRepository, show_page
from millmark.services.planning.feedback.taking import NoSetpoints
from millmark.services.planning.making_process import Task
from millmark.services.planning.reading import reading
from millmark.services.planning.schedule import Made, make_plan
from tests.support.company_site import ActingSite, open_acting_site
from tests.support.gateway_client import Browser, fields_of, read
from tests.support.patience import wait_until
from tests.support.plan_world import replanned_file
from tests.support.planning_samples import show_calendar
from tests.support.sign_in import NOW_S

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
        with reading(self.site.store) as tables:
            return tables.rows.find(AssignmentRow)


def make_here(task: Task) -> Made:
    """In this process: that the gateway has another one do it is tested where processes may be started."""
    return make_plan(task.file, tie=task.tie, replan=task.replan, cpu_s=0.2, seed=task.seed)


def serve(planning: Planning, **parts: Any) -> None:
    """The gateway of the company."""
    site = planning.site
    recording = site.world.chain, site.signer
    site.portal = site.portal_with(recording=recording, home=planning.home, clock=planning.now_s, **parts)
    # As with a chain that the gateway follows, whose thread does not run here.
    workshop = site.portal.app.state.portal.workshop
    workshop.ties._chain, workshop.maker._make = site.world.chain, make_here


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


@pytest.fixture
def planning(tmp_path: Path) -> Iterator[Planning]:
    yield from open_planning(tmp_path)


def test_from_orders_that_wait_to_rows_that_both_sides_committed_to(planning: Planning) -> None:
    person = planning.person
    assert "shaft, 2 of 2 operations open" in read(person.get(PLANNER).text)
    summary = planning.summarise()
    said = read(summary.text)
    for part in (
        "Stands on the ledger for good",
        "Is sent to the companies that are called",
        "Stays with your company",
    ):
        assert part in said
    assert not Outbox(planning.site.store).unfinished(10), "looking at it records nothing"
    path = planning.make_call()
    mine = path.replace(PLANNER, OFFERS)
    assert "waits for an offer" in read(person.get(OFFERS).text)
    assert planning.offer(mine).status_code == 303
    assert "There is nothing new to offer" in read(person.get(mine).text)
    early = person.post(f"{path}/make", {**fields_of(person.get(PLANNER).text, PLANNER), "cpu_s": "1", "seed": "1"})
    assert (early.status_code, "still open" in read(early.text)) == (400, True)
    planning.pass_time(HOUR_S + 120)
    said = read(person.get(path).text)
    assert re.search(r"participant \d+ 2 2 4150 ", said), said
    made = planning.make(path)
    assert "124.50 EUR" in made, made
    assert " 0.0 % " in made
    again = planning.make(path)
    assert "cheapest" in again, "what was compared is listed"
    planning.record(path)
    page = person.get(path)
    assert "2 operations are proposed" in read(page.text)
    sent = fields_of(page.text, f"{path}/propose")
    other = person.post(f"{path}/propose", {**sent, "plan": "1a" * 32})
    assert (other.status_code, "Another plan was recorded meanwhile" in read(other.text)) == (409, True)
    assert not Outbox(planning.site.store).unfinished(10)
    proposed = [person.post(f"{path}/propose", sent) for _ in range(2)]
    assert proposed[0].status_code == 303
    planning.send()
    assert [one.state for one in planning.assignments()] == [AssignmentState.PROPOSED] * 2, "sent twice, proposed once"
    _accept(planning)
    plan = person.get(proposed[0].headers["location"])
    assert "Operations agreed 2 /2" in read(plan.text)
    assert "machines, owners and capabilities are as the ledger has them" in read(plan.text)
    board = person.get("/portal/machines").text
    assert re.findall(r'<svg class="([a-z ]+)" x=', board) == ["agreed", "agreed"]
    record = _report_down(planning)
    _fail(planning, path, record)


def test_what_a_certificate_failed_is_done_again_as_a_row_of_the_next_plan(planning: Planning) -> None:
    """From the verdict to the rework: planned, checked, proposed, agreed, done; and each bar of the chart."""
    person, site = planning.person, planning.site
    path = planning.make_call()
    planning.offer(path.replace(PLANNER, OFFERS))
    planning.pass_time(HOUR_S + 120)
    planning.make(path)
    planning.record(path)
    _propose_and_agree(planning, path)
    work = Work(planning, site.final("/v1/streams", identifier="urn:example:LATHE:log", machine=planning.machine))
    [first, _] = planning.assignments()
    lot = work.carry_out(first.sequence)
    passed = work.certify(lot, "pass")
    assert f"Record {passed} is not a failing certificate that stands" in _refused(planning, path, passed)
    failing = work.certify(lot, "fail")
    made = planning.make(path, cause="certificate", certificate=str(failing), machine="", text="out of round")
    assert "none made" not in made, made
    planning.record(path)
    page = person.get(path)
    assert "1 operation" in read(page.text), read(page.text)
    shown = _plan_page(planning, path)
    assert re.findall(r'<svg class="([a-z ]+)" x=', shown) == ["planned", "agreed", "failed"], "beside its rework"
    assert "rework" in read(shown)
    _propose_and_agree(planning, path)
    [_, second, again] = planning.assignments()
    assert (again.operation, again.state, second.state) == (0, AssignmentState.ACCEPTED, AssignmentState.ACCEPTED)
    with reading(site.store) as tables:
        found = find_row(tables.book, again)
    assert found is not None
    assert found.rework == 1
    shown = _plan_page(planning, path)
    assert re.findall(r'<svg class="([a-z ]+)" x=', shown) == ["agreed", "agreed", "failed"]
    assert "Everything in the latest plan is proposed." in read(person.get(path).text)
    assert work.carry_out(again.sequence, lot) == lot
    shown = _plan_page(planning, path)
    assert re.findall(r'<svg class="([a-z ]+)" x=', shown) == ["reworked", "agreed", "failed"]
    assert "was followed by a rework" in _refused(planning, path, failing)


def _propose_and_agree(planning: Planning, path: str) -> None:
    person = planning.person
    sent = fields_of(person.get(path).text, f"{path}/propose")
    assert person.post(f"{path}/propose", sent).status_code == 303
    planning.send()
    while (form := f"{OFFERS}/rows/accept") in (page := person.get(OFFERS).text):
        assert person.post(form, fields_of(page, form)).status_code == 303
        planning.send()


@dataclass
class Work:
    """What is done at the machine, and found of it."""

    planning: Planning
    opened: dict[str, Any]
    """The stream of its measurements."""
    leaves: list[bytes] = field(default_factory=list)

    @property
    def stream(self) -> str:
        return str(self.opened["subjects"][0])

    def measure(self) -> dict[str, Any]:
        self.leaves.append((len(self.leaves) + 1).to_bytes(32, "big"))
        root = Tree(self.leaves).root()
        self.planning.site.final(f"/v1/streams/{self.stream}/anchors", size=len(self.leaves), root=f"0x{root.hex()}")
        place = {"leaf_index": len(self.leaves) - 1, "leaf_hash": f"0x{self.leaves[-1].hex()}"}
        return {"stream": self.stream, **place}

    def carry_out(self, assignment: int, lot: str = "") -> str:
        """Makes a lot, or reworks the one that is given. Returns its subject."""
        site, path = self.planning.site, f"/v1/assignments/{assignment}"
        site.final(f"{path}/start", stream=self.stream)
        if lot:
            site.final(f"/v1/lots/{lot}/rework", operation=0, components=[])
        else:
            given = {"identifier": "urn:example:shaft-1", "order": f"0x{self.planning.order}", "operation": 0}
            lot = site.final("/v1/lots/commission", **given, quantity=1, unit="H87")["subjects"][0]
        site.final(f"{path}/finish", **self.measure())
        return lot

    def certify(self, lot: str, verdict: str) -> int:
        found = {"lots": [lot], "model": 0, "verdict": verdict, "expires_at": "2100-01-01T00:00:00Z"}
        digest = "0x" + "77" * 32
        done = self.planning.site.final("/v1/certificates", **found, inference_digest=digest, **self.measure())
        return int(done["sequence"])


def _refused(planning: Planning, path: str, certificate: int) -> str:
    """Why no plan can be made because of a certificate."""
    form = fields_of(planning.person.get(path).text, f"{path}/make")
    entries = {"cause": "certificate", "certificate": str(certificate), "machine": "", "cpu_s": "1"}
    answer = planning.person.post(f"{path}/make", {**form, **entries})
    assert answer.status_code == 400, read(answer.text)
    return read(answer.text)


def _plan_page(planning: Planning, path: str) -> str:
    """The page of the latest plan."""
    latest = re.findall(r'href="(/portal/plans/[0-9a-f]{64})"', planning.person.get(path).text)[-1]
    return planning.person.get(latest).text


def _accept(planning: Planning) -> None:
    person = planning.person
    _accept_from_the_order(planning)
    page = person.get(OFFERS)
    assert "operation 2, LATHE" in read(page.text)
    accepted = person.post(f"{OFFERS}/rows/accept", fields_of(page.text, f"{OFFERS}/rows/accept"))
    assert accepted.status_code == 303
    planning.send()
    rows = planning.assignments()
    assert [one.state for one in rows] == [AssignmentState.ACCEPTED] * 2
    with reading(planning.site.store) as tables:
        for row in rows:
            proposed = find_row(tables.book, row)
            assert proposed is not None
            assert proposed.root == row.claims_root, "the acceptance commits to the row that was proposed"
    assert "No row waits for your answer." in read(person.get(OFFERS).text)


def _accept_from_the_order(planning: Planning) -> None:
    """The button on the order's page commits to the same row; a note would be another text."""
    person, path = planning.person, "/portal/act/acceptAssignment"
    first = min(one.sequence for one in planning.assignments())
    page = person.get(f"{path}?id={first}")
    assert "claims_root" not in read(page.text)
    noted = person.post(path, {**fields_of(page.text, path), "note": "as agreed"})
    assert (noted.status_code, "without a note of your own" in read(noted.text)) == (400, True)
    assert person.post(f"{path}/confirm", fields_of(page.text, f"{path}/confirm")).status_code == 303
    planning.send()


def _report_down(planning: Planning) -> int:
    """The operator says so at the machine: an entry of its stream. The number of the record that anchors it."""
    person, path = planning.person, f"/portal/machines/{planning.machine}"
    said = read(person.get(f"{path}/work").text)
    assert re.search(r"Next shaft, turn diameter_mm 80 Begins: 2\d{3}.* shaft, mill Begins: ", said), said
    form = fields_of(person.get(f"{path}/work").text, f"{path}/down")
    assert person.post(f"{path}/down", {**form, "text": ""}).status_code == 400
    summary = person.post(f"{path}/down", {**form, "text": TEXT, "step": "summary"})
    assert "This work is agreed or under way." in read(summary.text)
    assert "<b>spindle" not in summary.text
    assert not Outbox(planning.site.store).unfinished(10), "looking at it records nothing"
    sent = {**fields_of(summary.text, f"{path}/down"), "step": "record"}
    done = [person.post(f"{path}/down", sent) for _ in range(2)]
    assert done[0].headers["location"] == done[1].headers["location"], "sent twice"
    planning.send()
    with reading(planning.site.store) as tables:
        stream = tables.stream(planning.site.number, planning.machine)
        entry = tables.book.latest_evidence(stream.subject)
        anchor = tables.rows.latest(AnchorRow, "sequence", 1, stream=stream.subject)[0]
    assert entry == {"cause": "machine-down", "machine": planning.machine, "text": TEXT, "at": planning.now_s()}
    assert (anchor.size, anchor.root) == (stream.anchored, stream_root(planning, stream.subject, stream.anchored))
    assert [one.state for one in planning.assignments()] == [AssignmentState.ACCEPTED] * 2
    return anchor.sequence


def stream_root(planning: Planning, stream: bytes, size: int) -> bytes:
    with reading(planning.site.store) as tables:
        return Tree(tables.book.leaves(stream, size)).root()


def _fail(planning: Planning, path: str, record: int) -> None:
    """The only machine fails: a plan without it is impossible, and the page says so."""
    person = planning.person
    form = fields_of(person.get(path).text, f"{path}/make")
    for entries in ({"cause": "machine-down"}, {"cause": "weather"}, {"cause": "declined", "assignment": "1"}):
        answer = person.post(f"{path}/make", {**form, "machine": "", **entries})
        assert answer.status_code == 400, entries
    said = planning.make(path, cause="machine-down", machine=str(planning.machine), record=str(record), text="<b>x")
    assert "no plan Operation 1 of order" in said
    assert "<b>x" not in person.get(path).text
    drifting = planning.make(path, cause="late", assignment=str(planning.assignments()[0].sequence), machine="")
    assert "124.50 EUR" in drifting
    planning.record(path)
    assert "An operation ended late" in read(person.get(path).text)
    assert "Everything in the latest plan is proposed." in read(person.get(path).text)


def test_what_a_call_cannot_be_made_of_is_said_and_nothing_is_written(planning: Planning) -> None:
    past = datetime.fromtimestamp(planning.now_s() - HOUR_S, UTC)
    for entries in (
        {"closes": f"{past:%Y-%m-%dT%H:%M}"},
        {"closes": "tomorrow"},
        {"order": "1a" * 32},
        {"order": "x"},
        {"to": "99"},
        {"days": "0"},
        {"slot": "9" * 30},
    ):
        assert planning.summarise(**entries).status_code == 400, entries
    (planning.home / "objective.toml").unlink()
    assert "objective.toml is missing" in read(planning.summarise().text)
    assert not Outbox(planning.site.store).unfinished(10)


def test_nothing_is_written_while_nothing_can_be_recorded(planning: Planning, monkeypatch: pytest.MonkeyPatch) -> None:
    person = planning.person
    sent = {**fields_of(planning.summarise().text, PLANNER), "step": "record"}
    recorder = planning.site.portal.app.state.portal.workshop.recorder._service.recorder

    def refuse() -> None:
        raise TryLaterError("the outbox is being compared with the ledger", retry_after_s=1)

    with monkeypatch.context() as patched:
        patched.setattr(recorder, "verify_current", refuse)
        refused = person.post(PLANNER, sent)
    assert (refused.status_code, fields_of(refused.text, PLANNER)["key"]) == (400, sent["key"])
    with reading(planning.site.store) as tables:
        stream = tables.stream(planning.site.number, None)
        assert tables.book.evidence_size(stream.subject) == 0
    done = [person.post(PLANNER, sent) for _ in range(2)]
    assert done[0].headers["location"] == done[1].headers["location"]
    planning.send()
    with reading(planning.site.store) as tables:
        stream = tables.stream(planning.site.number, None)
        assert (stream.anchored, tables.book.evidence_size(stream.subject)) == (1, 1)


def test_offers_follow_the_calendar_and_can_be_withdrawn(planning: Planning) -> None:
    person = planning.person
    mine = planning.make_call().replace(PLANNER, OFFERS)
    kept = (planning.home / "calendar.toml").read_text()
    page = person.get(mine)
    form = fields_of(page.text, mine)
    (planning.home / "calendar.toml").write_text(kept.replace("turning = 60, ", ""))
    marks = re.findall(r'name="offer" value="([0-9a-f]{64}-0-\d+)" checked', page.text)
    changed = person.post(mine, {**form, "offer": marks[0]})
    assert (changed.status_code, "can no longer be offered" in read(changed.text)) == (400, True)
    (planning.home / "calendar.toml").write_text("time_zone =")
    assert "cannot be read" in read(person.get(mine).text)
    (planning.home / "calendar.toml").unlink()
    assert "no calendar.toml yet" in read(person.get(mine).text)
    (planning.home / "calendar.toml").write_text(kept)
    for odd in ("x", "1-2", f"{'1a' * 32}-0-{'9' * 30}"):
        assert person.post(mine, {**form, "offer": odd}).status_code == 400, odd
    assert person.post(mine, {**form, "offer": marks[0]}).status_code == 303
    planning.send()
    page = person.get(mine)
    [offer] = re.findall(r'type="checkbox" name="offer" value="([0-9a-f]{64})"', page.text)
    withdrawn = person.post(f"{mine}/withdraw", {**fields_of(page.text, f"{mine}/withdraw"), "offer": offer})
    assert withdrawn.status_code == 303
    planning.send()
    assert "withdrawn" in read(person.get(mine).text)


def test_the_operators_page_is_of_own_machines_alone(planning: Planning) -> None:
    person, number = planning.person, planning.machine
    page = person.get(f"/portal/machines/{number}/work")
    assert "No work is agreed." in read(page.text)
    form = fields_of(page.text, "/down")
    answer = person.post(f"/portal/machines/{number}/down", {**form, "text": "it is down", "step": "record"})
    assert (answer.status_code, "has no work that is agreed or proposed" in read(answer.text)) == (400, True)
    for other in ("999", "9" * 30, "x", "0"):
        assert person.get(f"/portal/machines/{other}/work").status_code == 404, other
        assert person.post(f"/portal/machines/{other}/down", {**form, "text": "x"}).status_code == 404, other
    reader = planning.site.person(PersonRole.READER)
    assert "Report that it is down" not in reader.get(f"/portal/machines/{number}/work").text


def test_a_report_goes_to_the_feedback_of_the_gateway_once(planning: Planning) -> None:
    site, number = planning.site, planning.machine
    body = {"order": f"0x{planning.order}", "operation": 0, "machine": number}
    proposed = site.final("/v1/assignments", **body)["sequence"]
    serve(planning, setpoints=NoSetpoints())
    person = site.person()
    path = f"/portal/machines/{number}"
    form = fields_of(person.get(f"{path}/work").text, f"{path}/down")
    summary = person.post(f"{path}/down", {**form, "text": TEXT, "step": "summary"})
    assert "These proposals are declined" in read(summary.text)
    sent = {**fields_of(summary.text, f"{path}/down"), "step": "record"}
    done = [person.post(f"{path}/down", sent) for _ in range(2)]
    assert [one.headers["location"] for one in done[:1]] == [f"{path}/work?reported=yes"]
    assert "It is reported" in read(person.get(done[0].headers["location"]).text)
    serve(planning, setpoints=NoSetpoints())
    again = site.person()
    form = fields_of(again.get(f"{path}/work").text, f"{path}/down")
    repeated = again.post(f"{path}/down", {**sent, **form, "key": sent["key"], "text": TEXT, "step": "record"})
    assert repeated.status_code == 303, "also after a restart"
    planning.send()
    with reading(site.store) as tables:
        [cause] = show_page(FeedbackRepository(tables.connection), None, 10)
        row = tables.rows.get(AssignmentRow, proposed)
    assert (cause.kind, cause.machine, cause.text) == ("machine-down", number, TEXT)
    assert row is not None
    assert row.state == AssignmentState.DECLINED


def test_unknown_calls_and_foreign_forms_are_refused(planning: Planning) -> None:
    person = planning.person
    for path in (f"{PLANNER}/{'1a' * 32}", f"{PLANNER}/x", f"{OFFERS}/{'1a' * 32}", f"{OFFERS}/{'9' * 30}"):
        assert person.get(path).status_code == 404, path
    call = planning.make_call()
    for path in (PLANNER, f"{call}/make", f"{call}/record", f"{call}/propose"):
        assert person.post(path, {"token": "x", "key": "k" * 32}).status_code in (400, 403), path
    form = json.loads(json.dumps(fields_of(person.get(PLANNER).text, PLANNER)))
    assert person.post(f"{call}/record", {**form, "attempt": "7"}).status_code == 400


def test_who_reads_chinese_is_told_in_chinese_why_nothing_was_done(planning: Planning) -> None:
    person = planning.person
    call = planning.make_call()
    mine = call.replace(PLANNER, OFFERS)
    past = datetime.fromtimestamp(planning.now_s() - HOUR_S, UTC)
    form = fields_of(person.get(f"{mine}?lang=zh").text, mine)
    assert "未选择任何项" in _reason(person.post(mine, {name: form[name] for name in ("token", "key", "days")}))
    assert "“时段长度（分钟）”须为 1 至 1440 的整数" in _reason(planning.summarise(slot="0"))
    assert "征集的截止时间已过" in _reason(planning.summarise(closes=f"{past:%Y-%m-%dT%H:%M}"))
    (planning.home / "objective.toml").write_text("unit = 3\n")
    assert "objective.toml 的条目 unit 不能使用：不是文本。" in _reason(planning.summarise())
    (planning.home / "objective.toml").unlink()
    assert "objective.toml" in _reason(planning.summarise())
    sent = {**fields_of(person.get(PLANNER).text, PLANNER), "cpu_s": "1", "seed": "1"}
    assert "征集尚未截止" in _reason(person.post(f"{call}/make", sent))
    kept = (planning.home / "calendar.toml").read_text()
    (planning.home / "calendar.toml").write_text(kept.replace("turning = 60, ", ""))
    page = person.get(mine).text
    assert re.search(r"订单 0x\w+\.\.\. 的工序 1 没有报价：设备 \d+ 在日历中没有 turning 的用时。", read(page)), read(
        page
    )
    assert 'lang="en"' not in _main(page)
    planning.pass_time(HOUR_S + 120)
    assert "没有有效报价。请所有者提交报价" in planning.make(call)
    assert 'lang="en"' not in _main(person.get(call).text)


def _reason(answer: httpx.Response) -> str:
    """What a page that refuses says, which is not in English."""
    assert answer.status_code == 400
    [said] = re.findall(r'<p class="error" role="alert">(.*?)</p>', answer.text)
    assert 'lang="en"' not in said
    return re.sub("<[^>]+>", "", said)


def _main(page: str) -> str:
    return page.partition("<main")[2].partition("</main>")[0]


def test_each_line_on_what_was_not_compared_is_said() -> None:
    """In whatever check of a whole plan, the first or one that replaces another."""
    files = [replanned_file(seed, anchored=True) for seed in range(12)]
    checks = [check_plan(file) for file in (*files, replace(files[0], before=None))]
    found = [Unseen.find(line) for check in checks for line in check.not_checked]
    assert {one[0] for one in found if one} == set(Unseen) - {Unseen.OTHERS, Unseen.OWN_DROPPED}, "those are of parts"
    assert all(found)
