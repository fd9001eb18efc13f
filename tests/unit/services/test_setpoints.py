"""The inbox of proposed setpoints, and answers that become evidence: on the real contracts, by API and by page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.errors import InputError, NotFoundError
from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.merkle import Tree
from millmark.ledger.plans.plan import CauseKind
from millmark.ledger.provenance.reader import Reader
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.rows import AnchorRow, MachineRow, StreamRow
from millmark.services.access.rules import PersonRole
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.planning.feedback.causes import Condition, MachineCause, Outcome, Sentence
from millmark.services.planning.feedback.repository import FeedbackRepository
from millmark.services.planning.feedback.taking import NoSetpoints
from millmark.services.portal import process
from millmark.services.setpoints import Inbox, SetpointDocument, SetpointValue, parse_setpoint
from millmark.services.setpoints.document import (
    Forecast,
    MachineReading,
    build_state_data,
    find_readings,
    parse_reading,
)
from millmark.services.setpoints.repository import SetpointRow
from tests.support.company_site import ActingSite, open_acting_site
from tests.support.gateway_client import Caller, act, read

NOW = 1_700_000_000
DOCUMENT = SetpointDocument(
    machine=1,
    model="9d" * 32,
    values=(SetpointValue("speed_set", 1, 420, 365),),
    horizon_s=720,
    expected=Forecast(6878, 2381, 877_105, 714_340),
    kept=Forecast(7958, 2423, 603_866, 764_984),
    unit="EUR/100",
    cause="drift of model 9",
)
BODY: dict[str, Any] = {
    **{name: value for name, value in json.loads(DOCUMENT.build()).items() if name not in ("format", "version")},
    "model": "0x" + "9d" * 32,
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ActingSite]:
    yield from open_acting_site(tmp_path)


@pytest.fixture
def machine(site: ActingSite) -> int:
    """A machine with one stream."""
    number = site.final("/v1/machines", identifier="urn:example:press", claims={})["sequence"]
    site.final("/v1/streams", identifier="urn:example:press:log", machine=number)
    return int(number)


def propose(site: ActingSite, machine: int, **changes: Any) -> dict[str, Any]:
    answer = site.post("/v1/setpoints", {**BODY, "machine": machine, **changes})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def shown(site: ActingSite, number: int) -> dict[str, Any]:
    found: dict[str, Any] = site.caller.ask(f"/v1/setpoints/{number}").json()
    return found


def test_an_accepted_proposal_is_an_entry_that_the_ledger_anchors(site: ActingSite, machine: int) -> None:
    number = propose(site, machine)["setpoint"]
    assert shown(site, number)["state"] == "open"
    site.final(f"/v1/setpoints/{number}/answer", answer="accepted")
    found = shown(site, number)
    assert (found["state"], found["entry"], found["reason"]) == ("accepted", 0, None)
    stream = bytes.fromhex(found["stream"][2:])
    with site.store.reading() as connection:
        book, row = Book(connection), Rows(connection).get(StreamRow, stream)
        kept = book.evidence_entry(stream, 0)
        assert row is not None
        assert kept is not None
        assert (row.size, row.root) == (1, Tree(book.leaves(stream, 1)).root())
    at_s = kept.entry["data"]["setpoint"]["at"]  # type: ignore[index, call-overload]  # an object
    assert isinstance(at_s, int)
    assert kept.entry == {
        "id": f"setpoint/{number}-{replace(DOCUMENT, machine=machine).digest.hex()[:8]}",
        "data": {
            "setpoint": {
                "answer": "accepted",
                "at": at_s,
                "document": "0x" + replace(DOCUMENT, machine=machine).digest.hex(),
                "machine": machine,
                "model": "0x" + "9d" * 32,
                "values": [["speed_set", 365, 1]],
            }
        },
    }


def test_a_proposal_is_answered_once(site: ActingSite, machine: int) -> None:
    number = propose(site, machine)["setpoint"]
    site.final(f"/v1/setpoints/{number}/answer", answer="refused", reason_text="the tool is changed")
    assert shown(site, number)["reason"] == "the tool is changed"
    for body in ({"answer": "accepted"}, {"answer": "refused", "reason_text": "the tool is changed"}):
        again = site.post(f"/v1/setpoints/{number}/answer", body)
        assert again.status_code == 400
        assert "already" in again.json()["detail"]
    assert shown(site, number)["state"] == "refused"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"answer": "refused"}, 400),
        ({"answer": "refused", "reason_text": "   "}, 400),
        ({"answer": "perhaps"}, 422),
        ({}, 422),
    ],
)
def test_answers_that_are_none_are_refused(site: ActingSite, machine: int, body: dict[str, str], status: int) -> None:
    number = propose(site, machine)["setpoint"]
    assert site.post(f"/v1/setpoints/{number}/answer", body).status_code == status
    assert shown(site, number)["state"] == "open"
    assert site.post("/v1/setpoints/99/answer", {"answer": "accepted"}).status_code == 404


def test_a_later_proposal_takes_the_place_of_one_without_an_answer(site: ActingSite, machine: int) -> None:
    first = propose(site, machine)["setpoint"]
    assert propose(site, machine)["setpoint"] == first, "the same document is one proposal"
    second = propose(site, machine, horizon_s=600)["setpoint"]
    assert (shown(site, first)["state"], shown(site, second)["state"]) == ("superseded", "open")
    late = site.post(f"/v1/setpoints/{first}/answer", {"answer": "accepted"})
    assert late.status_code == 400
    assert "later proposal" in late.json()["detail"]
    listed = site.caller.ask("/v1/setpoints?limit=1").json()
    assert [one["setpoint"] for one in listed["items"]] == [second]
    rest = site.caller.ask(f"/v1/setpoints?limit=1&cursor={listed['next']}").json()
    assert [one["setpoint"] for one in rest["items"]] == [first]


def test_time_runs_out(site: ActingSite, machine: int) -> None:
    inbox = Inbox(site.store, lambda: NOW)
    made = inbox.propose(site.number, replace(DOCUMENT, machine=machine), 60)
    assert made.state == "open"
    assert Inbox(site.store, lambda: NOW + 59).get(made.setpoint).state == "open"
    assert Inbox(site.store, lambda: NOW + 60).get(made.setpoint).state == "expired"
    late = site.post(f"/v1/setpoints/{made.setpoint}/answer", {"answer": "accepted"})
    assert "is over" in late.json()["detail"]


def test_an_answer_that_was_written_too_late_is_none(site: ActingSite, machine: int) -> None:
    """As a node may write it, which knows no proposals."""
    number = propose(site, machine)["setpoint"]
    site.final(f"/v1/setpoints/{number}/answer", answer="accepted")
    assert shown(site, number)["state"] == "accepted"
    with site.store.transaction() as connection:
        rows = Rows(connection)
        row = rows.get(SetpointRow, number)
        assert row is not None
        rows.put(replace(row, until=row.proposed_at))
    assert shown(site, number)["state"] == "expired"


def test_machines_of_others_and_those_without_a_stream_are_refused(site: ActingSite, machine: int) -> None:
    inbox = Inbox(site.store, lambda: NOW)
    with pytest.raises(NotFoundError):
        inbox.propose(site.number, replace(DOCUMENT, machine=machine + 7), 60)
    with pytest.raises(InputError, match="another company"):
        inbox.propose(site.number + 1, replace(DOCUMENT, machine=machine), 60)
    with pytest.raises(InputError, match="0 streams"):
        inbox.propose(site.number, replace(DOCUMENT, machine=machine), 60, bytes(32))
    with pytest.raises(InputError, match="cannot be open"):
        inbox.propose(site.number, replace(DOCUMENT, machine=machine), 0)


def test_an_event_of_that_id_about_another_proposal_is_no_answer(site: ActingSite, machine: int) -> None:
    """As after a database that was lost: numbers begin anew, and the stream has answers to the earlier ones."""
    number = propose(site, machine)["setpoint"]
    site.final(f"/v1/setpoints/{number}/answer", answer="accepted")
    other = replace(DOCUMENT, machine=machine, horizon_s=999)
    with site.store.transaction() as connection:
        rows = Rows(connection)
        row = rows.get(SetpointRow, number)
        assert row is not None
        rows.put(replace(row, digest=other.digest, document=other.build().decode(), until=2**33))
    assert shown(site, number)["state"] == "open"
    site.final(f"/v1/setpoints/{number}/answer", answer="refused", reason_text="no")
    assert shown(site, number)["state"] == "refused"


def test_a_person_accepts_and_another_refuses_on_the_pages(site: ActingSite, machine: int) -> None:
    number = propose(site, machine)["setpoint"]
    person = site.person()
    page = person.get("/portal/process")
    assert page.status_code == 200
    assert f'href="/portal/act/acceptSetpoint?id={number}"' in page.text
    assert "speed_set 42.0 → 36.5" in read(page.text)
    assert "waits for you" in read(page.text)
    at_machine = person.get(f"/portal/machines/{machine}/work")
    assert f'href="/portal/act/refuseSetpoint?id={number}"' in at_machine.text
    done = act(person, f"/portal/act/acceptSetpoint?id={number}")
    assert done.status_code == 303
    site.send()
    page = person.get(f"/portal/process?machine={machine}")
    assert "accepted" in read(page.text)
    assert "acceptSetpoint" not in page.text
    assert "speed_set" not in person.get(f"/portal/machines/{machine}/work").text
    second = propose(site, machine, horizon_s=600)["setpoint"]
    refused = act(person, f"/portal/act/refuseSetpoint?id={second}", {"reason": "new tool"})
    assert refused.status_code == 303
    site.send()
    assert (shown(site, second)["state"], shown(site, second)["reason"]) == ("refused", "new tool")


@pytest.mark.parametrize(
    ("language", "down", "withdrawn", "mended", "whole"),
    [
        (
            "en",
            "it is not offered until it is mended",
            "Offers withdrawn done: 0 offers withdrawn",
            "Mended done: a new <b>spindle</b>",
            "at its whole speed",
        ),
        (
            "zh",
            "修复之前不报价",
            "撤回报价 已完成：已撤回 0 个报价",
            "已修复 已完成： a new <b>spindle</b>",
            "按其全速报价",
        ),
    ],
)
def test_the_page_says_that_a_machine_was_mended_with_its_record(
    tmp_path: Path, language: str, down: str, withdrawn: str, mended: str, whole: str
) -> None:
    for site in open_acting_site(tmp_path):
        policy, recording = build_policy("loopback-open", owner=site.number), (site.world.chain, site.signer)
        names, none = site.name_keys, NoSetpoints()
        site.caller = Caller(
            create_gateway(GatewayParts(site.store, policy, recording=recording, name_keys=names, setpoints=none))
        )
        number = int(site.final("/v1/machines", identifier="urn:example:press", claims={})["sequence"])
        stream = site.final("/v1/streams", identifier="urn:example:press:log", machine=number)["subjects"][0]
        person, path = site.person(), f"/portal/process?lang={language}"
        assert f'id="causes-{number}"' not in person.get(path).text
        reported = {"machine": number, "kind": "machine-down", "text": "the spindle broke"}
        assert site.post("/v1/causes", reported).status_code == 201
        before = read(person.get(path).text)
        assert "the spindle broke" in before
        assert down in before
        assert withdrawn in before
        assert mended not in before
        said = {"reason": "a new <b>spindle</b>"}
        assert site.post(f"/v1/machines/{number}/mended", said).status_code == 204
        site.send()
        page = person.get(path).text
        assert mended in read(page)
        assert whole in read(page)
        with site.store.reading() as connection:
            anchors = Rows(connection).find(AnchorRow, stream=bytes.fromhex(stream[2:]))
        last = max(one.sequence for one in anchors)
        assert re.search(rf"(record|记录) {last}\b", read(page))
        assert f'href="/portal/streams/{stream[2:]}"' in page


def test_the_page_shows_machines_at_which_something_happened_and_not_those_that_only_did_well(
    site: ActingSite, machine: int
) -> None:
    """A verdict that a machine did well changes where it stands; a word that does not count, nothing."""
    person = site.person()
    assert f'id="machine-{machine}"' not in person.get("/portal/process").text
    with site.store.transaction() as connection:
        FeedbackRepository(connection).put_condition(machine, Condition(good=1))
    assert f'id="machine-{machine}"' not in person.get("/portal/process").text
    cause = MachineCause(CauseKind.DRIFT, machine, Sentence.DRIFTS.write(participant=6), NOW, NOW, 12)
    with site.store.transaction() as connection:
        FeedbackRepository(connection).add_cause(cause, Outcome.REFUSED, NOW, Sentence.NO_GATE.write(participant=6))
    page = read(person.get("/portal/process?lang=zh").text)
    assert "参与方 6 指出其制品出现漂移" in page
    assert "参与方 6 不在该批次订单的任何检验关卡上检验" in page


def test_readers_see_no_button_and_others_no_page(site: ActingSite, machine: int) -> None:
    number = propose(site, machine)["setpoint"]
    reader = site.person(PersonRole.READER)
    assert "acceptSetpoint" not in reader.get("/portal/process").text
    assert reader.get(f"/portal/act/acceptSetpoint?id={number}").status_code == 404
    assert reader.get("/portal/process?machine=999").status_code == 404
    assert reader.get("/portal/process?machine=x").status_code == 404


def test_the_page_shows_reported_states_with_their_trend(site: ActingSite, machine: int) -> None:
    with site.store.transaction() as connection:
        [stream] = Rows(connection).find(StreamRow, machine=machine)
        log = EvidenceLog()
        for place in range(5):
            reading = MachineReading(
                NOW + 60 * place, {"temperature": (2099 + place, 1)}, 900_000, 700_000 + place, 198
            )
            log.append({"id": f"state/{place}", "data": build_state_data(reading)})
        log.append({"id": "other", "data": {"state": "running"}})
        Book(connection).add_evidence(stream.subject, log.entries)
        assert len(find_readings(Book(connection), [stream.subject], 100)) == 5
    text = site.person().get("/portal/process").text
    assert text.count('<svg class="plot"') == 4
    assert "210.3" in read(text)
    assert "OEE, % 63.0" in read(text)


DAMAGED: list[Any] = [
    None,
    [],
    {},
    {"format": "millmark.setpoint"},
    {**json.loads(DOCUMENT.build()), "version": 2},
    {**json.loads(DOCUMENT.build()), "more": 1},
    {**json.loads(DOCUMENT.build()), "values": []},
    {**json.loads(DOCUMENT.build()), "values": "speed"},
    {**json.loads(DOCUMENT.build()), "values": [{"name": "speed_set", "decimals": 1, "before": 1, "value": 1}]},
    {**json.loads(DOCUMENT.build()), "values": [{"name": "speed_set", "decimals": 1, "before": 1, "value": 1.5}]},
    {**json.loads(DOCUMENT.build()), "values": [{"name": "Speed", "decimals": 1, "before": 1, "value": 2}]},
    {**json.loads(DOCUMENT.build()), "machine": True},
    {**json.loads(DOCUMENT.build()), "model": "9D" * 32},
    {**json.loads(DOCUMENT.build()), "unit": "x" * 201},
    {**json.loads(DOCUMENT.build()), "cause": "\x1b[2J"},
    {**json.loads(DOCUMENT.build()), "kept": {"cost": 1, "energy_wh": -1, "eta_ppm": 0, "e_ppm": 0}},
    {**json.loads(DOCUMENT.build()), "expected": {"cost": 1, "energy_wh": 1, "eta_ppm": 1_000_001, "e_ppm": 0}},
]


def test_a_document_is_read_as_it_was_written() -> None:
    assert parse_setpoint(json.loads(DOCUMENT.build())) == DOCUMENT


@pytest.mark.parametrize("value", DAMAGED)
def test_damaged_documents_are_refused(value: Any) -> None:
    with pytest.raises(InputError):
        parse_setpoint(value)


@pytest.mark.parametrize(
    "state",
    [
        {"time": 1},
        {"time": 1, "values": {}},
        {"time": 1, "values": {"a": 1}},
        {"time": 1, "values": {"a": [1]}},
        {"time": 1, "values": {"a": [1.5, 0]}},
        {"time": 1, "values": {"a": [1, 10]}},
        {"time": 1, "values": {"A": [1, 0]}},
        {"time": -1, "values": {"a": [1, 0]}},
        {"time": 1, "values": {"a": [1, 0]}, "eta_ppm": 1_000_001},
        {"time": 1, "values": {"a": [1, 0]}, "e_ppm": -1},
        {"time": 1, "values": {"a": [1, 0]}, "wh": True},
        {"time": 1, "values": {"a": [1, 0]}, "more": 1},
    ],
)
def test_states_out_of_range_are_refused(state: Any) -> None:
    with pytest.raises(InputError):
        parse_reading({"state": state})


def test_an_event_without_a_state_has_none() -> None:
    assert parse_reading({"register": 1}) is None
    assert parse_reading(None) is None


def test_machines_are_shown_page_by_page_and_only_those_are_drawn(
    site: ActingSite, machine: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = propose(site, machine)["setpoint"]
    with site.store.transaction() as connection:
        rows = Rows(connection)
        one, proposal = rows.get(MachineRow, machine), rows.get(SetpointRow, number)
        assert one is not None
        assert proposal is not None
        for place in range(1, 5):
            rows.put(replace(one, number=machine + place, subject=bytes([place]) * 32))
            if place != 2:
                rows.put(replace(proposal, number=number + place, machine=machine + place))
    monkeypatch.setattr(process, "_MACHINES", 2)
    read_machines: list[int] = []
    read_one = process._read

    def count(reader: Reader, row: MachineRow) -> Sequence[MachineReading]:
        read_machines.append(row.number)
        return read_one(reader, row)

    monkeypatch.setattr(process, "_read", count)
    person = site.person()
    page = person.get("/portal/process").text
    assert re.findall(r'<h2 id="machine-(\d+)"', page) == [f"{machine}", f"{machine + 1}"]
    assert read_machines == [machine + place for place in range(4)], "no further than to know that there are more"
    assert f'href="/portal/process?after={machine + 1}"' in page
    page = person.get(f"/portal/process?after={machine + 1}").text
    assert re.findall(r'<h2 id="machine-(\d+)"', page) == [f"{machine + 3}", f"{machine + 4}"]
    assert "More machines" not in page
    for odd in ("x", "-1", "9" * 30, "１"):
        assert f'id="machine-{machine}"' in person.get(f"/portal/process?after={odd}").text
