"""Acting in the portal without scripts, on the real contracts: form, summary, record; and what is refused, and how."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from millmark.ledger.records import ALL_ROLES, OrderState, Role
from millmark.ledger.store import Rows
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.rows import OrderRow, ParticipantRow
from millmark.services.access import Principal, Scope
from millmark.services.access.rules import PersonRole
from millmark.services.acts import FORMS, Kind
from millmark.services.audit import AuditLog
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.recording.writes import WRITES
from millmark.services.handover.table import TABLE, Gets
from millmark.services.portal.acting.pages import RecordPages
from millmark.services.portal.acting.things import FormRecorder, Wish
from millmark.services.portal.pages import read_catalogues
from tests.support.company_site import ActingSite, open_acting_site
from tests.support.gateway_client import HOST, Browser, Caller, act, fields_of, read
from tests.support.sign_in import NOW_S
from tests.support.stores import new_store
from tests.unit.services.test_portal_pages import bare_words, bracketed

MARKUP = """"><script>alert(1)</script><b x='"""
LONG = "9" * 30


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ActingSite]:
    yield from open_acting_site(tmp_path)


def place(site: ActingSite, name: str = "order") -> str:
    """An order that the company places and is asked to coordinate: 64 hex digits."""
    terms = {"operations": 1, "coordinator": site.number, "due_at": "2100-01-01T00:00:00Z"}
    subject: str = site.final("/v1/orders", identifier=f"urn:example:{name}", terms=terms)["subjects"][0]
    return subject[2:]


def state_of(site: ActingSite, order: str) -> OrderState:
    with site.store.reading() as connection:
        row = Rows(connection).get(OrderRow, bytes.fromhex(order))
    assert row is not None
    return OrderState(row.state)


def form(browser: Browser, path: str, action: str = "/portal/act/") -> dict[str, str]:
    page = browser.get(path)
    assert page.status_code == 200, read(page.text)
    return fields_of(page.text, action)


# From the button to the ledger


def test_an_order_is_accepted_from_button_to_final_record(site: ActingSite) -> None:
    order, person = place(site), site.person()
    page = person.get(f"/portal/orders/{order}").text
    assert f'href="/portal/act/acceptOrder?subject={order}"' in page
    summary = person.get(f"/portal/act/acceptOrder?subject={order}")
    assert "On the ledger, for good" in read(summary.text)
    assert not Outbox(site.store).find(["x"])
    assert Outbox(site.store).unfinished(10) == [], "looking at it records nothing"
    confirmed = person.post("/portal/act/acceptOrder/confirm", fields_of(summary.text, "/confirm"))
    assert confirmed.status_code == 303
    queued = person.get(confirmed.headers["location"])
    assert queued.headers["refresh"] == "2"
    assert "Now: queued" in read(queued.text)
    site.send()
    final = person.get(confirmed.headers["location"])
    assert "refresh" not in final.headers
    assert "Done: final" in read(final.text)
    assert f'href="/portal/orders/{order}"' in final.text
    assert state_of(site, order) is OrderState.ACCEPTED
    assert "acceptOrder" not in person.get(f"/portal/orders/{order}").text


def test_what_is_filled_in_is_in_the_summary_and_in_the_book(site: ActingSite) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/declineOrder?subject={order}")
    summary = person.post("/portal/act/declineOrder", {**fields, "reason": "no capacity\r\nbefore May"})
    private = read(summary.text).partition("Only in your company’s own book")[2]
    assert "no capacity before May" in private
    assert "Fingerprint of the reason" in read(summary.text)
    done = person.post("/portal/act/declineOrder/confirm", fields_of(summary.text, "/confirm"))
    site.send()
    assert "Done: final" in read(person.get(done.headers["location"]).text)
    assert state_of(site, order) is OrderState.CANCELLED
    trace = site.caller.ask(f"/v1/orders/0x{order}").json()
    assert trace["state"] == "cancelled"


def test_the_api_and_the_form_make_the_same_record(site: ActingSite) -> None:
    orders, person = [place(site, one) for one in ("a", "b")], site.person()
    site.record(f"/v1/orders/0x{orders[0]}/accept")
    act(person, f"/portal/act/acceptOrder?subject={orders[1]}")
    site.send()
    made = site.caller.ask("/v1/records").json()["items"][:2]
    assert [(one["kind"], one["state"]) for one in made] == [("AcceptOrder", "final")] * 2


def test_the_audit_log_names_the_person(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit", lambda: NOW_S)
    for site in open_acting_site(tmp_path, log):
        order, person = place(site), site.person()
        act(person, f"/portal/act/acceptOrder?subject={order}")
        log.close()
        entries = [json.loads(line) for line in map(str, read_audit_lines(tmp_path / "audit"))]
    [entry] = [one for one in entries if one.get("action") == "POST /portal/act/{name}/confirm"]
    assert "/person-1" in entry["credential"]
    assert (entry["status"], entry["target"]) == (303, "/portal/act/acceptOrder/confirm")


def read_audit_lines(folder: Path) -> list[str]:
    return [line for file in sorted(folder.rglob("*.jsonl")) for line in file.read_text().splitlines()]


# The work list


def test_the_first_page_says_what_waits_and_offers_it_to_whoever_may(site: ActingSite) -> None:
    order = place(site)
    for role, may in ((PersonRole.RECORDER, True), (PersonRole.READER, False)):
        for language, words in (("en", ("Needs you (1)", "Accept or decline the order")), ("zh", ("待您处理（1）",))):
            page = site.person(role).get(f"/portal?lang={language}")
            assert all(word in read(page.text) for word in words)
            assert (f'href="/portal/act/declineOrder?subject={order}"' in page.text) is may
            assert f'href="/portal/orders/{order}"' in page.text
    done = act(site.person(), f"/portal/act/acceptOrder?subject={order}")
    site.send()
    assert done.status_code == 303
    assert "Plan the work" in read(site.person().get("/portal").text)
    assert "Nothing waits" not in read(site.person().get("/portal?page=2").text)


def test_a_gateway_whose_index_is_empty_has_a_first_page(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        app = create_gateway(GatewayParts(store, build_policy("loopback-open")))
        page = Caller(app).ask("/portal")
    assert page.status_code == 200
    assert "Nothing waits for you" in read(page.text)


# Twice, stale, changed


def test_a_form_sent_twice_makes_one_record(site: ActingSite) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/acceptOrder?subject={order}", "/confirm")
    answers = [person.post("/portal/act/acceptOrder/confirm", fields) for _ in range(2)]
    site.send()
    answers.append(person.post("/portal/act/acceptOrder/confirm", fields))  # the order is accepted by now
    assert {(one.status_code, one.headers["location"]) for one in answers} == {(303, answers[0].headers["location"])}
    made = site.caller.ask("/v1/records").json()["items"]
    assert [one["kind"] for one in made].count("AcceptOrder") == 1


def test_a_form_sent_several_times_at_once_makes_one_record(site: ActingSite) -> None:
    """As a person who presses the button twice: each answer leads to the same record."""
    order = place(site)
    recorder: FormRecorder = site.portal.app.state.portal.acting.recorder
    body = recorder.body("acceptOrder").model_validate({"claims": {"note": "x"}})
    wish = Wish("acceptOrder", "k" * 32, {"subject": f"0x{order}"}, body)
    caller = Principal(site.number, int(ALL_ROLES), frozenset(Scope), "", owner=True, expires_at=0)
    with ThreadPoolExecutor(4) as pool:
        numbers = set(pool.map(lambda _: recorder.record(wish, caller), range(8)))
    assert len(numbers) == 1
    assert recorder.find(wish, caller) in numbers
    site.send()
    assert state_of(site, order) is OrderState.ACCEPTED


def test_a_form_sent_again_with_other_entries_is_told_so(site: ActingSite) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/acceptOrder?subject={order}", "/confirm")
    assert person.post("/portal/act/acceptOrder/confirm", fields).status_code == 303
    again = person.post("/portal/act/acceptOrder/confirm", {**fields, "note": "another"})
    assert again.status_code == 400
    assert "This form was sent before, with other entries" in read(again.text)
    assert 'action="/portal/act/' not in again.text, "it could only be refused again"
    assert f'href="/portal/act/acceptOrder?subject={order}"' in again.text


def test_a_stale_form_says_what_changed_and_records_nothing(site: ActingSite) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/acceptOrder?subject={order}", "/confirm")
    site.final(f"/v1/orders/0x{order}/cancel", reason={"text": "no"})
    for path in ("/portal/act/acceptOrder", "/portal/act/acceptOrder/confirm"):
        answer = person.post(path, fields)
        assert answer.status_code == 409
        assert "State: was placed, now cancelled" in read(answer.text)
        assert "This cannot be done now" in read(answer.text)
        assert "this form can no longer be sent" in read(answer.text)
        assert not re.search("go on", read(answer.text), re.IGNORECASE), "there is nothing to go on with"
    assert not Outbox(site.store).unfinished(1)


def test_pages_follow_records_costly_ones_less_often_and_forms_not_at_all(site: ActingSite) -> None:
    order, person = place(site), site.person()
    pauses = {
        path: re.findall(r'data-place="[^"]+" data-pause="(\d+)"', person.get(path).text)
        for path in (f"/portal/orders/{order}", "/portal/cases", f"/portal/act/acceptOrder?subject={order}")
    }
    assert list(pauses.values()) == [["2"], ["30"], []]


def test_a_page_has_what_was_recorded_before_the_place_from_which_it_follows(
    site: ActingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, person = site.portal.app.state.portal.pages, site.person()
    find_place = pages._find_place

    def find_then_record() -> str:
        found = find_place()
        place(site, "meanwhile")
        return str(found)

    monkeypatch.setattr(pages, "_find_place", find_then_record)
    assert "meanwhile" in read(person.get("/portal/orders").text)


def test_a_form_of_a_changed_thing_is_offered_again_as_it_was_filled_in(site: ActingSite) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/acceptOrder?subject={order}", "/confirm")
    before = json.dumps({**json.loads(fields["seen"]), "due_at": "4000000000"})
    answer = person.post("/portal/act/acceptOrder/confirm", {**fields, "seen": before, "note": "kept"})
    assert answer.status_code == 409
    assert "Due: was 2096-10-02 07:06 UTC, now 2100-01-01 00:00 UTC" in read(answer.text)
    offered = fields_of(answer.text)
    assert (offered["note"], offered["key"]) == ("kept", fields["key"])
    summary = person.post("/portal/act/acceptOrder", offered)
    assert person.post("/portal/act/acceptOrder/confirm", fields_of(summary.text, "/confirm")).status_code == 303


@pytest.mark.parametrize(
    "seen", ["", "{", "[]", '{"state":7}', "{}", '{"state":"PLACED"}', "x" * 5000, "[" * 1024, MARKUP]
)
def test_a_form_that_does_not_say_what_it_was_made_from_is_stale(site: ActingSite, seen: str) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/acceptOrder?subject={order}", "/confirm")
    answer = person.post("/portal/act/acceptOrder/confirm", {**fields, "seen": seen})
    assert answer.status_code == 409
    assert "Something else about it was recorded." in read(answer.text)


# Who may


def test_a_reader_a_gateway_without_key_and_another_site_see_no_act(site: ActingSite) -> None:
    order, recorder = place(site), site.person()
    path = f"/portal/act/acceptOrder?subject={order}"
    fields = form(recorder, path, "/confirm")
    for browser in (site.person(PersonRole.READER), site.person(caller=site.silent)):
        page = browser.get(f"/portal/orders/{order}")
        assert page.status_code == 200
        assert "/portal/act/" not in page.text
        token = fields_of(page.text, "/portal/sign-out")["token"]
        answers = [browser.get(path)]
        answers += [
            browser.post(f"/portal/act/acceptOrder{end}", {**fields, "token": token}) for end in ("", "/confirm")
        ]
        assert {one.status_code for one in answers} == {404}
    for wrong in ({"token": ""}, {"token": "0" * 64}, {"key": ""}, {"key": "short"}, {"key": MARKUP}):
        assert recorder.post("/portal/act/acceptOrder/confirm", {**fields, **wrong}).status_code == 400
    assert recorder.post("/portal/act/acceptOrder/confirm", fields, Origin="https://evil.example").status_code == 400
    assert not Outbox(site.store).unfinished(1)


def test_a_company_without_the_role_sees_no_act_and_is_refused(site: ActingSite) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/acceptOrder?subject={order}", "/confirm")
    with site.store.transaction() as connection:
        row = Rows(connection).get(ParticipantRow, site.number)
        assert row is not None
        Rows(connection).put(replace(row, roles=int(Role.BUYER)))
    page = person.get(f"/portal/orders/{order}").text
    assert "/portal/act/acceptOrder" not in page
    assert "/portal/act/cancelOrder" in page, "what buyers may"
    assert person.get(f"/portal/act/acceptOrder?subject={order}").status_code == 404
    assert person.post("/portal/act/acceptOrder/confirm", fields).status_code == 404
    assert not Outbox(site.store).unfinished(1)


def test_what_is_not_in_the_index_has_no_form(site: ActingSite) -> None:
    person = site.person()
    for query in ("", f"subject={'77' * 32}", "subject=zz", "subject=%00", f"id={LONG}", "id=1", "subject=1a&id=-1"):
        assert person.get(f"/portal/act/acceptOrder?{query}").status_code == 404
        assert person.get(f"/portal/act/acceptAssignment?{query}").status_code == 404
    for name in ("none", "AcceptOrder", "%2e%2e", MARKUP.replace("/", "").replace('"', "%22")):
        assert person.get(f"/portal/act/{name}").status_code in (400, 404)


# What is refused, in words


def test_a_page_says_that_it_follows_until_the_index_has_the_record(
    site: ActingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, person = place(site), site.person()
    done = act(person, f"/portal/act/acceptOrder?subject={order}")
    site.send()
    with monkeypatch.context() as patched:
        patched.setattr(RecordPages, "_find_row", lambda *_: None)  # as while the index is behind the chain
        behind = person.get(done.headers["location"])
    final = person.get(done.headers["location"])
    assert [one.headers.get("refresh") for one in (behind, final)] == ["2", None]
    assert ["This page follows by itself" in read(one.text) for one in (behind, final)] == [True, False]


def test_what_is_missing_is_said_beside_its_field_in_the_pages_language(site: ActingSite) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/declineOrder?subject={order}")
    for language, words in (("en", "Please fill this in."), ("zh", "请填写此项。")):
        answer = person.post(f"/portal/act/declineOrder?lang={language}", {**fields, "reason": " "})
        assert answer.status_code == 400
        assert f'<span class="wrong" id="reason-wrong">{words}</span>' in answer.text
        assert 'aria-describedby="reason-wrong reason-hint" aria-invalid="true" required' in answer.text


def test_the_contracts_refusal_is_told_in_words(site: ActingSite) -> None:
    order, person = place(site), site.person()
    site.post(f"/v1/orders/0x{order}/cancel", {"reason": {"text": "no"}})  # it is queued before
    done = act(person, f"/portal/act/acceptOrder?subject={order}")
    site.send()
    page = person.get(done.headers["location"])
    assert "refresh" not in page.headers
    assert "Not recorded: the contract refused it" in read(page.text)
    assert "OrderStateWrong" in page.text


def test_no_entry_is_ever_markup(site: ActingSite) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/declineOrder?subject={order}")
    marked = dict.fromkeys(("reason", "seen", "note", "x"), MARKUP)
    pages = [
        person.get(f"/portal/act/declineOrder?subject={order}&reason=%22%3E%3Cscript%3E"),
        person.post("/portal/act/declineOrder", {**fields, "reason": MARKUP}),
        person.post("/portal/act/declineOrder", {**fields, **marked}),
        person.get("/portal/records/1?back=%22%3E%3Cscript%3E"),
    ]
    assert [one.status_code for one in pages] == [200, 200, 409, 200]
    for page in pages:
        assert "<script>" not in page.text
        assert "<b x" not in page.text
    assert 'href="/portal">' in pages[-1].text


@pytest.mark.parametrize(
    "path", ["/portal/records/{}", "/portal/machines/{}", "/portal/act/acceptOrder?id={}", "/portal?page={}"]
)
@pytest.mark.parametrize("number", [LONG, "0", "-1", "1e9", "x", "99999999999999999999"])
def test_no_number_breaks_a_page(site: ActingSite, path: str, number: str) -> None:
    answer = site.person().get(path.format(number))
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"].startswith("text/html")


def test_forms_of_another_kind_or_with_too_many_fields_are_refused(site: ActingSite) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/acceptOrder?subject={order}", "/confirm")
    many = {**fields, **{f"x{number}": "1" for number in range(2000)}}
    assert person.post("/portal/act/acceptOrder/confirm", many).status_code == 400
    path, cookies = "/portal/act/acceptOrder/confirm", "; ".join(f"{k}={v}" for k, v in person.cookies.items())
    for kind in ("multipart/form-data; boundary=x", "text/plain", ""):
        answer = site.portal.ask(path, "POST", urlencode(fields).encode(), Host=HOST, Cookie=cookies, Content_Type=kind)
        assert answer.status_code == 400


def test_no_page_of_an_act_has_a_word_that_is_in_no_catalogue(
    site: ActingSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, person = place(site), site.person()
    fields = form(person, f"/portal/act/declineOrder?subject={order}")
    with bracketed(site.portal, monkeypatch):
        pages = [
            person.get("/portal"),
            person.get(f"/portal/orders/{order}"),
            person.get(f"/portal/act/acceptOrder?subject={order}"),
            person.post("/portal/act/declineOrder", {**fields, "reason": ""}),
            person.post("/portal/act/declineOrder", {**fields, "seen": "{}"}),
            person.get("/portal/records/3"),
        ]
        for page in pages:
            assert "⟦" in page.text
            assert not bare_words(page.text), page.url


# Declarations


def test_each_act_is_an_operation_with_words(site: ActingSite) -> None:
    operations = {write.operation: write for write in WRITES}
    for catalogue in read_catalogues().values():
        for one in FORMS.values():
            assert one.operation in operations
            labels = [field.word for field in one.fields if field.kind is not Kind.HIDDEN]
            keys = [f"act.{one.name}", f"act.{one.name}.title", f"act.{one.name}.will", *labels]
            missing = [key for key in keys if not catalogue.knows(key)]
            assert not missing, (catalogue.language, missing)


def test_each_form_says_which_companies_are_sent_what_is_written(site: ActingSite) -> None:
    """By the table of hand-overs: what goes to somebody has a sentence of its own; of all else, nobody gets it."""
    sent = {Gets.RECORD_DOCUMENT, Gets.MADE_DOCUMENTS, Gets.REWORK_DOCUMENT}
    kinds = {kind for entry in TABLE for kind in entry.kinds if sent & entry.gets} | {"LotReceived"}
    operations = {write.operation: write.kind.event for write in WRITES}
    # What is written here goes on with the second step.
    nobody = {"sendBack"}
    for catalogue in read_catalogues().values():
        for one in FORMS.values():
            own = [f"act.reach.{name}" for name in (one.name, one.operation) if catalogue.knows(f"act.reach.{name}")]
            written = any(field.is_written for field in one.fields)
            if written and one.name not in nobody:
                assert bool(own) == (operations[one.operation] in kinds), one.name
