"""The page of the consortium: the operator's people act with its key, nobody else has a form."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import AcceptKey, PublicationKind, Publish, TransferOwnership
from millmark.ledger.signatures import to_checksum
from millmark.ledger.store import Book, Rows
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState, QueuedRecord, set_records
from millmark.ledger.store.rows import ParticipantRow
from millmark.services.access import OPERATOR
from millmark.services.access.rules import PersonRole
from millmark.services.directory import Directory, DirectoryEntry, sign_directory
from millmark.services.directory.document import parse_contact
from millmark.services.directory.following import keep_admission, published_digest
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.home import candidate_of, parse_request
from millmark.services.home.admissions import keep_candidate
from tests.support.company_site import FOUNDED, PAGE, Operator
from tests.support.english_words import find_english
from tests.support.gateway_client import Browser, build_caller, enter, fields_of, post, read
from tests.support.sign_in import NOW_S
from tests.support.stores import new_store


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    with new_store(tmp_path) as store:
        world, (signer, _, number) = FOUNDED.copy(store)
        with store.transaction() as connection:
            Book(connection).set_names({number: "Alder Forge"})
        parts = {"operator": (world.chain, world.owner), "governing": lambda: world.chain}
        yield Operator(store, world, signer, number, build_caller(store, OPERATOR, **parts))


def is_suspended(operator: Operator) -> bool:
    with operator.store.reading() as connection:
        row = Rows(connection).get(ParticipantRow, operator.number)
    assert row is not None
    return row.suspended


# Looking


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_says_who_decides_and_who_belongs_to_it(operator: Operator, language: str) -> None:
    page = operator.person().get(f"{PAGE}?lang={language}").text
    words = read(page)
    assert "Alder Forge" in words
    told = {"en": "This gateway has its key.", "zh": "此网关持有其密钥。"}[language]
    assert told in words
    assert f'href="{PAGE}/{operator.number}/suspend"' in page


def test_the_operators_menu_leads_to_pages_that_are_there(operator: Operator) -> None:
    browser = operator.person()
    menu = re.search(r'<nav class="menu".*?</nav>', browser.get("/portal").text, re.DOTALL)
    assert menu
    links = re.findall(r'href="(/portal[^"]*)"', menu[0])
    assert "/portal/consortium" in links
    assert not {"/portal/planner", "/portal/offers", "/portal/plans", "/portal/demand"} & set(links)
    assert [one for one in links if browser.get(one).status_code != 200] == []


def test_a_reader_and_a_company_have_no_forms(operator: Operator) -> None:
    company = build_caller(
        operator.store,
        operator.number,
        recording=(operator.world.chain, operator.signer),
        governing=lambda: operator.world.chain,
    )
    for browser in (
        operator.person(PersonRole.READER),
        enter(operator.store, company, operator.number, PersonRole.ADMINISTRATOR),
    ):
        page = browser.get(PAGE)
        assert page.status_code == 200
        assert f'action="{PAGE}' not in page.text
        assert "/suspend" not in page.text
        assert browser.get(f"{PAGE}/{operator.number}/suspend").status_code == 404


def test_a_person_of_the_operator_is_nobody_at_a_companys_gateway(operator: Operator) -> None:
    company = build_caller(operator.store, operator.number)
    person = operator.person()
    assert Browser(company, dict(person.cookies)).get(PAGE).status_code == 303


def test_a_company_cannot_act_as_the_operator_whatever_it_sends(operator: Operator) -> None:
    chain = operator.world.chain
    company = build_caller(operator.store, operator.number, recording=(chain, operator.signer), governing=lambda: chain)
    person, other = enter(operator.store, company, operator.number, PersonRole.ADMINISTRATOR), operator.person()
    form = fields_of(other.get(f"{PAGE}/{operator.number}/suspend").text, f"{PAGE}/")
    own = fields_of(person.get("/portal/people").text, "/portal/people")
    answer = person.post(f"{PAGE}/{operator.number}/suspend", {**form, "token": own["token"], "reason": "x"})
    assert answer.status_code == 400
    assert "does not have the key that owns the registry" in read(answer.text)
    assert Outbox(operator.store).unfinished(5) == []


def test_the_page_says_what_it_knows_when_the_node_is_silent(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        world, _ = FOUNDED.copy(store)

        def connect() -> Any:
            raise ChainUnreachableError("no answer")

        caller = build_caller(store, OPERATOR, operator=(world.chain, world.owner), governing=connect)
        page = enter(store, caller, OPERATOR, PersonRole.RECORDER).get(PAGE)
    assert page.status_code == 200
    assert "The chain does not say now who decides: The node of the chain does not answer." in read(page.text)


# Admitting


def test_a_request_is_looked_at_then_admitted_and_published(operator: Operator) -> None:
    person, key = operator.person(), LocalSigner.generate()
    asked = operator.request(signer=key, gln="4012345000009", gateway="https://elm.example")
    shown = post(person, f"{PAGE}/admission", person.get(PAGE).text, asked=asked)
    assert all(word in read(shown.text) for word in ("Elm Cutting", "4012345000009", "carrier", "https://elm.example"))
    assert Outbox(operator.store).unfinished(5) == [], "looking at it records nothing"
    form = fields_of(shown.text, f"{PAGE}/admission/confirm")
    answers = [person.post(f"{PAGE}/admission/confirm", form) for _ in range(3)]
    assert {one.headers["location"] for one in answers} == {answers[0].headers["location"]}
    assert person.get(answers[0].headers["location"]).status_code == 200
    assert "its admission is on its way" in read(person.get(PAGE).text)
    operator.send()
    page = person.get(PAGE).text
    assert read(page).count("Elm Cutting") >= 3, "company, waiting, and not published"
    assert "Has not accepted its key yet" in read(page)
    done = post(person, f"{PAGE}/directory", page)
    assert done.status_code == 303
    operator.send()
    with operator.store.reading() as connection:
        signed = DirectoryRepository(connection).signed()
        assert signed is not None
        assert published_digest(connection) == signed.digest
    assert [one.name for one in signed.directory.entries] == ["Alder Forge", "Elm Cutting"]
    assert "What is published is up to date." in read(person.get(PAGE).text)
    operator.world.fund(key)
    elm = operator.world.submitter(Outbox(operator.store), key)
    elm.submit([("accept", AcceptKey(signed.directory.entries[1].participant))])
    elm.drain()
    Follower(operator.world.chain, operator.store).follow()
    assert "Nobody is waiting." in read(person.get(PAGE).text)


def test_a_request_that_cannot_be_used_is_refused_in_words(operator: Operator) -> None:
    person = operator.person()
    page = person.get(PAGE).text
    other = json.loads(operator.request())
    wrong = {
        "": "cannot be used",
        "{}": "cannot be used",
        '<script>alert("1")</script>': "cannot be used",
        json.dumps(other | {"chain_id": 1}): "recipient key is not signed",
        json.dumps(other | {"roles": ["KING"]}): "a role is not one of",
        "[" * 4000: "cannot be used",
    }
    for asked, cause in wrong.items():
        answer = post(person, f"{PAGE}/admission", page, asked=asked)
        assert answer.status_code == 400, asked
        assert cause in read(answer.text), read(answer.text)[:300]
        assert "<script>alert" not in answer.text
    person.get(f"{PAGE}?lang=zh")
    for asked in wrong:
        refused = re.findall(
            r'<p class="error" role="alert">(.*?)</p>', post(person, f"{PAGE}/admission", page, asked=asked).text
        )
        assert refused
        assert find_english(refused[0]) == []
    assert person.post(f"{PAGE}/admission", {"asked": operator.request(), "token": "x"}).status_code == 400
    assert Outbox(operator.store).unfinished(5) == []


def test_a_name_that_is_taken_is_refused_before_anything_is_recorded(operator: Operator) -> None:
    person = operator.person()
    shown = post(person, f"{PAGE}/admission", person.get(PAGE).text, asked=operator.request("alder forge"))
    answer = post(person, f"{PAGE}/admission/confirm", shown.text)
    assert answer.status_code == 400
    assert "the same name" in read(answer.text)
    assert Outbox(operator.store).unfinished(5) == []


def queued(operator: Operator, kind: str = "Admit") -> list[QueuedRecord]:
    return [one for one in Outbox(operator.store).of_kind(kind) if one.idempotency_key.startswith("operator:")]


def test_two_people_who_admit_the_same_company_make_one_record(operator: Operator) -> None:
    asked, people = operator.request(), (operator.person(), operator.person())
    shown = [post(one, f"{PAGE}/admission", one.get(PAGE).text, asked=asked).text for one in people]
    done = [post(one, f"{PAGE}/admission/confirm", page) for one, page in zip(people, shown, strict=True)]
    assert done[0].status_code == done[1].status_code == 303
    assert done[0].headers["location"] == done[1].headers["location"]
    operator.world.submitter(Outbox(operator.store), operator.world.owner).drain()
    # Final, and not indexed yet.
    assert post(people[1], f"{PAGE}/admission/confirm", shown[1]).headers["location"] == done[0].headers["location"]
    operator.send()
    assert post(people[1], f"{PAGE}/admission/confirm", shown[1]).headers["location"] == PAGE
    assert len(queued(operator)) == 1


def test_another_request_with_a_key_that_is_being_admitted_is_refused(operator: Operator) -> None:
    person, key = operator.person(), LocalSigner.generate()
    for name, status in (("Elm Cutting", 303), ("Elm Milling", 400)):
        shown = post(person, f"{PAGE}/admission", person.get(PAGE).text, asked=operator.request(name, key))
        answer = post(person, f"{PAGE}/admission/confirm", shown.text)
        assert answer.status_code == status
    assert "Another request with this key is being admitted" in read(answer.text)
    assert len(queued(operator)) == 1


def test_an_admission_that_a_command_queued_is_not_made_again(operator: Operator) -> None:
    person, key = operator.person(), LocalSigner.generate()
    asked = operator.request(signer=key)
    candidate = candidate_of(parse_request(asked.encode()))
    with operator.store.transaction() as connection:
        keep_admission(connection, candidate.key, candidate.entry)
        admit = keep_candidate(connection, candidate)
    operator.world.submitter(Outbox(operator.store), operator.world.owner).submit([("by-command", admit)])
    shown = post(person, f"{PAGE}/admission", person.get(PAGE).text, asked=asked)
    assert post(person, f"{PAGE}/admission/confirm", shown.text).status_code == 303
    assert queued(operator) == []


def test_an_admission_that_failed_is_shown_and_can_be_dropped_or_repeated(operator: Operator) -> None:
    person = operator.person()
    shown = post(person, f"{PAGE}/admission", person.get(PAGE).text, asked=operator.request()).text
    post(person, f"{PAGE}/admission/confirm", shown)
    page = person.get(PAGE).text
    assert "its admission is on its way: queued" in read(page)
    assert "/admission/drop" not in page
    drop = {"token": fields_of(page, f"{PAGE}/admission")["token"], "address": queued(operator)[0].payload[48:68].hex()}
    assert person.post(f"{PAGE}/admission/drop", drop).status_code == 400, "it is on its way"
    fail(operator)
    page = person.get(PAGE).text
    assert "it was not admitted: failed OwnableUnauthorizedAccount" in read(page)
    assert "/admission/drop" not in operator.person(PersonRole.READER).get(PAGE).text
    assert post(person, f"{PAGE}/admission/confirm", shown).status_code == 303
    first, second = queued(operator)
    assert first.state is OutboxState.CANCELLED, "resumed beside the other, it would admit the company twice"
    assert second.state is OutboxState.QUEUED
    fail(operator)
    assert post(person, f"{PAGE}/admission/drop", person.get(PAGE).text).status_code == 303
    assert "Nobody is waiting." in read(person.get(PAGE).text)
    assert {one.state for one in queued(operator)} == {OutboxState.CANCELLED}


def fail(operator: Operator) -> None:
    """What the submitter notes of a record that the contract refuses."""
    number = queued(operator)[-1].id
    with operator.store.transaction() as connection:
        error = {"error_name": "x", "error": "OwnableUnauthorizedAccount"}
        set_records(connection, [number], OutboxState.QUEUED, OutboxState.FAILED, error)


# The directory


def test_two_people_who_publish_the_directory_make_one_record(operator: Operator) -> None:
    people = operator.person(), operator.person()
    pages = [one.get(PAGE).text for one in people]
    done = [post(one, f"{PAGE}/directory", page) for one, page in zip(people, pages, strict=True)]
    assert done[0].status_code == 303
    assert done[0].headers["location"] == done[1].headers["location"]
    assert len(queued(operator, "Publish")) == 1


def test_a_directory_that_cannot_be_taken_is_told_once_and_signed_again(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    person, chain = operator.person(), operator.world.chain
    entries = (DirectoryEntry(operator.number, "Alder Forge"),)
    foreign = sign_directory(Directory(chain.chain_id, chain.ledger, NOW_S, entries), LocalSigner.generate())
    with operator.store.transaction() as connection:
        DirectoryRepository(connection).put_issued(foreign)
    owner = operator.world.submitter(Outbox(operator.store), operator.world.owner)
    owner.submit([("publish", Publish(PublicationKind.DIRECTORY, foreign.digest))])
    operator.send()
    operator.send()
    assert capsys.readouterr().err.count("the published directory cannot be put in force") == 1
    assert post(person, f"{PAGE}/directory", person.get(PAGE).text).status_code == 303
    operator.send()
    with operator.store.reading() as connection:
        in_force = DirectoryRepository(connection).signed()
        assert in_force is not None
        assert published_digest(connection) == in_force.digest


@pytest.mark.parametrize("contact", [None, "", "mailto:line@alder.example"])
def test_the_setting_replaces_the_contact_that_everybody_sees(operator: Operator, contact: str | None) -> None:
    listed = DirectoryEntry(operator.number, "Alder Forge", contact=parse_contact("Quality, quality@alder.example, DE"))
    chain = operator.world.chain
    with operator.store.transaction() as connection:
        signed = sign_directory(Directory(chain.chain_id, chain.ledger, NOW_S, (listed,)), operator.world.owner)
        DirectoryRepository(connection).put_in_force(signed)
    page = Browser(build_caller(operator.store, operator.number, contact=contact), {}).get("/portal/sign-in").text
    assert "Alder Forge" in page
    assert ("quality@alder.example" in page) is (contact is None)
    assert ("line@alder.example" in page) is bool(contact)


# Suspending


def test_a_company_is_suspended_and_reinstated(operator: Operator) -> None:
    person = operator.person()
    path = f"{PAGE}/{operator.number}"
    form = person.get(f"{path}/suspend").text
    assert "stays on the ledger for good" in read(form)
    again = post(person, f"{path}/suspend", form)
    assert again.status_code == 200, "without a reason, the form again"
    done = post(person, f"{path}/suspend", again.text, reason="key lost")
    assert done.status_code == 303
    operator.send()
    assert is_suspended(operator)
    assert "Done: final" in read(person.get(done.headers["location"]).text)
    late = post(person, f"{path}/suspend", form, reason="again")
    assert (late.status_code, "is suspended already" in read(late.text)) == (400, True)
    assert person.get(f"{path}/suspend").status_code == 404
    post(person, f"{path}/reinstate", person.get(f"{path}/reinstate").text)
    operator.send()
    assert not is_suspended(operator)


def test_an_owner_that_is_another_contract_does_not_take_the_page_away(operator: Operator) -> None:
    world = operator.world
    world.submitter(Outbox(operator.store), world.owner).submit([("offer", TransferOwnership(world.chain.ledger))])
    operator.send()
    words = read(operator.person().get(PAGE).text)
    assert to_checksum(world.owner.address) in words
    assert "that is not a council of this version" in words
    assert "does not say" not in words
    assert "This gateway has its key." in words
