"""The page of the consortium: the operator's people act with its key, council members vote with their company's, and
nobody else has a form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.chain import EmbeddedChain
from ledger.chain.council import MotionState, deploy_council, find_council
from ledger.errors import ChainUnreachableError
from ledger.index import Follower
from ledger.keys import LocalSigner
from ledger.records import AcceptKey, Role, TransferOwnership
from ledger.store import Book, Registry, Rows, Store
from ledger.store.outbox import Outbox
from ledger.store.rows import ParticipantRow
from services.access import OPERATOR
from services.access.people.people import People
from services.access.people.roles import PersonRole
from services.directory import DirectoryEntry, sign_statement
from services.directory.following import published_digest
from services.directory.repository import DirectoryRepository
from services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from services.gateway.consortium import Upkeep
from services.gateway.http.policy import Auth
from services.home import AdmissionRequest
from services.serving.logs import build_logger
from tests.support.acting_site import fields_of, read
from tests.support.gateway_client import Caller
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.portal_site import SESSION, Browser
from tests.support.recording_site import FOUNDED
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.stores import new_store

PAGE = "/portal/consortium"
DAY_S = 86_400


@dataclass
class Operator:
    """The operator's gateway, without its threads: `send` does what they would."""

    store: Store
    world: LedgerWorld
    signer: LocalSigner
    number: int
    caller: Caller

    def person(self, role: PersonRole = PersonRole.RECORDER) -> Browser:
        return enter(self.store, self.caller, OPERATOR, role)

    def send(self) -> None:
        self.world.submitter(Outbox(self.store), self.world.owner).drain()
        Follower(self.world.chain, self.store).follow()
        Upkeep(self.store, lambda: self.world.chain, build_logger()).step()

    def request(self, name: str = "Elm Cutting", signer: LocalSigner | None = None, **listed: Any) -> str:
        key, chain = signer or LocalSigner.generate(), self.world.chain
        stated = sign_statement(chain.chain_id, chain.ledger, bytes(31) + b"\1", NOW_S, key)
        entry = DirectoryEntry(0, name, recipient_key=stated, **listed)
        roles = Role.MANUFACTURER | Role.CARRIER
        return AdmissionRequest(chain.chain_id, chain.ledger, key.address, roles, entry).to_bytes().decode()


def enter(store: Store, caller: Caller, owner: int, role: PersonRole) -> Browser:
    people = People(store, owner)
    invited = people.invite(f"Mei {role}", role, now_s=NOW_S)
    with store.transaction() as connection:
        entered = people.enter(connection, people.welcome(connection, invited.code, NOW_S), NOW_S)
    return Browser(caller, {SESSION: entered.token})


def build_caller(store: Store, owner: int | None, **parts: Any) -> Caller:
    policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=owner)
    limiter = Limiter(Rates(1e9, 1e9))
    return Caller(create_gateway(GatewayParts(store, policy, clock=lambda: NOW_S, limiter=limiter, **parts)))


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    with new_store(tmp_path) as store:
        world, (signer, _, number) = FOUNDED.copy(store)
        with store.transaction() as connection:
            Book(connection).set_names({number: "Alder Forge"})
        parts = {"operator": (world.chain, world.owner), "governing": lambda: world.chain}
        yield Operator(store, world, signer, number, build_caller(store, OPERATOR, **parts))


def post(browser: Browser, path: str, page: str, **more: str) -> Any:
    return browser.post(path, {**fields_of(page, path), **more})


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
    assert "does not answer" in read(page.text)


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
    assert person.post(f"{PAGE}/admission", {"asked": operator.request(), "token": "x"}).status_code == 400
    assert Outbox(operator.store).unfinished(5) == []


def test_a_name_that_is_taken_is_refused_before_anything_is_recorded(operator: Operator) -> None:
    person = operator.person()
    shown = post(person, f"{PAGE}/admission", person.get(PAGE).text, asked=operator.request("alder forge"))
    answer = post(person, f"{PAGE}/admission/confirm", shown.text)
    assert answer.status_code == 400
    assert "the same name" in read(answer.text)
    assert Outbox(operator.store).unfinished(5) == []


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


# The council


@dataclass
class Table:
    engine: EmbeddedChain
    world: LedgerWorld
    store: Store
    members: list[tuple[int, LocalSigner]]

    def browser(self, place: int) -> Browser:
        number, signer = self.members[place]
        chain = self.world.chain
        caller = build_caller(self.store, number, recording=(chain, signer), governing=lambda: chain)
        return enter(self.store, caller, number, PersonRole.RECORDER)

    def wait(self, seconds: int) -> None:
        now = self.world.chain.node.header().timestamp
        self.engine._tester.time_travel(now + seconds)  # no node lets its clock be set from outside


@pytest.fixture
def table(tmp_path: Path) -> Iterator[Table]:
    with new_store(tmp_path) as store:
        engine = EmbeddedChain()
        world = build_world(engine)
        signers = [world.admit(Outbox(store)) for _ in range(4)]
        owner = world.submitter(Outbox(store), world.owner)
        council = deploy_council(world.chain, world.owner, [1, 2, 3, 4], 3, DAY_S)
        owner.submit([("offer", TransferOwnership(council.address))])
        owner.drain()
        Follower(world.chain, store).follow()
        yield Table(engine, world, store, list(enumerate(signers, 1)))


def test_members_propose_agree_and_carry_out_on_the_page(table: Table) -> None:
    first, second, third = (table.browser(place) for place in range(3))
    page = first.get(PAGE).text
    assert "has not accepted it yet" in read(page)
    shown = post(first, f"{PAGE}/motions", page, call="accept-ownership")
    assert "accept-ownership" in read(shown.text)
    for _ in range(2):  # a form that is sent twice makes one motion
        assert post(first, f"{PAGE}/motions/confirm", shown.text).status_code == 303
    council, _ = find_council(table.world.chain)
    assert len(list(council.motions())) == 1
    assert "/motions/1/approve" not in first.get(PAGE).text, "who proposed it agrees already"
    for browser in (second, third):
        assert post(browser, f"{PAGE}/motions/1/approve", browser.get(PAGE).text).status_code == 303
    assert council.motion(1).state is MotionState.WAITING
    table.wait(2 * DAY_S)
    assert post(third, f"{PAGE}/motions/1/execute", third.get(PAGE).text).status_code == 303
    assert "It owns the registry" in read(third.get(PAGE).text)
    assert council.motion(1).state is MotionState.EXECUTED


def test_a_vote_for_another_motion_than_was_shown_is_refused(table: Table) -> None:
    first, second = table.browser(0), table.browser(1)
    shown = post(first, f"{PAGE}/motions", first.get(PAGE).text, call="accept-ownership")
    post(first, f"{PAGE}/motions/confirm", shown.text)
    form = fields_of(second.get(PAGE).text, f"{PAGE}/motions/1/approve")
    answer = second.post(f"{PAGE}/motions/1/approve", form | {"mark": "00"})
    assert (answer.status_code, "another one than the form showed" in read(answer.text)) == (400, True)
    council, _ = find_council(table.world.chain)
    assert council.motion(1).approvals == (1,)
    unknown = second.post(f"{PAGE}/motions/77/approve", form)
    assert unknown.status_code == 404


def test_a_call_that_there_is_not_is_refused_in_words(table: Table) -> None:
    first = table.browser(0)
    page = first.get(PAGE).text
    for call, arguments in (("depart", ""), ("suspend", ""), ("suspend", "x"), ("suspend", "9" * 30)):
        answer = post(first, f"{PAGE}/motions", page, call=call, arguments=arguments)
        assert answer.status_code == 400, (call, arguments)


def test_a_company_that_is_no_member_has_no_vote(table: Table) -> None:
    outsider = table.world.admit(Outbox(table.store))
    Follower(table.world.chain, table.store).follow()
    with table.store.reading() as connection:
        found = Registry(connection).participant_of(outsider.address)
    assert found is not None
    table.members.append((found.number, outsider))
    page = table.browser(4).get(PAGE).text
    assert 'id="motions"' in page
    assert f'action="{PAGE}/motions' not in page
