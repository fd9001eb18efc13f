"""The council on the page of the consortium: administrators of its members vote with their company's key."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.chain import EmbeddedChain
from millmark.ledger.chain.council import MotionState, build_call, deploy_council, find_council
from millmark.ledger.errors import ChainUnreachableError
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import TransferOwnership
from millmark.ledger.store import Registry, Store
from millmark.ledger.store.outbox import Outbox
from millmark.services.access.rules import PersonRole
from millmark.services.gateway.consortium import Governing
from millmark.services.portal.consortium import Governance, _wait_of
from tests.support.company_site import DAY_S, PAGE
from tests.support.gateway_client import Browser, build_caller, enter, fields_of, post, read
from tests.support.ledger_world import LedgerWorld, build_world
from tests.support.stores import new_store


@dataclass
class Table:
    engine: EmbeddedChain
    world: LedgerWorld
    store: Store
    members: list[tuple[int, LocalSigner]]

    def browser(self, place: int, role: PersonRole = PersonRole.ADMINISTRATOR) -> Browser:
        number, signer = self.members[place]
        chain = self.world.chain
        caller = build_caller(self.store, number, recording=(chain, signer), governing=lambda: chain)
        return enter(self.store, caller, number, role)

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


def test_a_motion_waits_on_the_work_list_of_those_who_can_vote(table: Table) -> None:
    first = table.browser(0)
    assert "motion of the council" not in read(table.browser(1).get("/portal").text)
    shown = post(first, f"{PAGE}/motions", first.get(PAGE).text, call="accept-ownership")
    post(first, f"{PAGE}/motions/confirm", shown.text)
    for browser, waits in ((table.browser(0), False), (table.browser(1), True)):
        words = read(browser.get("/portal").text)
        assert ("Vote on a motion of the council" in words) is waits, "who proposed it agreed"
        assert ("Needs you (1)" in words) is waits
    page = table.browser(1).get("/portal").text
    assert f'href="{PAGE}#motion-1"' in page
    assert "accept-ownership" in read(page)
    assert "Needs you" in read(table.browser(1).get("/portal?page=2").text)
    recorder = table.browser(1, PersonRole.RECORDER)
    assert "Needs you" not in read(recorder.get("/portal").text)
    for browser in (table.browser(1), table.browser(3)):  # other gateways: one shows a view for some seconds
        post(browser, f"{PAGE}/motions/1/approve", browser.get(PAGE).text)
    assert "Needs you" not in read(table.browser(3).get("/portal").text), "it waits for its delay"
    table.wait(2 * DAY_S)
    assert "Carry out what the council agreed to" in read(table.browser(3).get("/portal").text)


def test_a_node_that_does_not_answer_holds_the_work_list_up_once(table: Table) -> None:
    asleep, now_s = threading.Event(), [0.0]
    asked = []

    def connect() -> Any:
        asked.append(1)
        asleep.wait()
        return table.world.chain

    governing = Governing(connect, lambda: now_s[0])
    assert governing.glance() is None
    assert governing.glance() is None
    now_s[0] = 100.0
    assert governing.glance() is None, "it is still being asked"
    assert len(asked) == 1
    asleep.set()
    for thread in threading.enumerate():
        if thread.name == "millmark-council":
            thread.join()
    assert governing.glance() is not None
    assert governing.glance() is governing.glance()


def test_what_the_council_decided_on_is_not_shown_for_long_once_the_node_is_silent(table: Table) -> None:
    now_s, asleep, looks = [0.0], threading.Event(), []

    class Silent(Governing):
        def view(self) -> Governance | None:
            looks.append(now_s[0])
            if len(looks) > 1:
                asleep.wait(5)
                raise ChainUnreachableError("no answer", hint="")
            return super().view()

    governing = Silent(lambda: table.world.chain, lambda: now_s[0])
    shown = governing.glance()
    now_s[0] = 299.0
    assert governing.glance() is shown
    now_s[0] = 301.0
    assert governing.glance() is None
    assert looks == [0.0, 299.0], "it is not asked again for some time"
    asleep.set()


def test_an_act_of_the_council_is_seen_at_the_next_glance(table: Table) -> None:
    governing = Governing(lambda: table.world.chain, lambda: 0.0)
    before = governing.glance()
    with governing.council():
        pass
    after = governing.glance()
    assert after is not None
    assert after is not before


def test_a_recorder_of_a_member_company_does_not_vote(table: Table) -> None:
    recorder, administrator = table.browser(0, PersonRole.RECORDER), table.browser(0)
    page = recorder.get(PAGE).text
    assert f'action="{PAGE}/motions' not in page
    assert "Its administrators propose and vote." in read(page)
    form = fields_of(administrator.get(PAGE).text, f"{PAGE}/motions")
    for path in ("motions", "motions/confirm", "motions/1/approve"):
        assert recorder.post(f"{PAGE}/{path}", form | {"call": "accept-ownership", "mark": "00"}).status_code == 404
    assert list(find_council(table.world.chain)[0].motions()) == []


def test_who_proposes_what_is_open_agrees_to_it(table: Table) -> None:
    for place in (0, 1):
        browser = table.browser(place)
        shown = post(browser, f"{PAGE}/motions", browser.get(PAGE).text, call="accept-ownership")
        assert post(browser, f"{PAGE}/motions/confirm", shown.text).status_code == 303
    (motion,) = find_council(table.world.chain)[0].motions()
    assert motion.approvals == (1, 2)


def test_the_rule_is_said_exactly(table: Table) -> None:
    words = read(table.browser(0).get(PAGE).text)
    assert "3 of 4 must agree; what they agree to can be carried out 24 hours later." in words
    assert "for several calls at once, 3 must agree." in words


@pytest.mark.parametrize(
    ("delay_s", "said"),
    [
        (3 * DAY_S, ("days", 3)),
        (DAY_S, ("hours", 24)),
        (129_600, ("hours", 36)),
        (5400, ("minutes", 90)),
        (7, ("seconds", 7)),
    ],
)
def test_a_delay_is_never_rounded(delay_s: int, said: tuple[str, int]) -> None:
    assert _wait_of(delay_s) == said


def test_a_view_takes_few_calls_and_is_shown_again(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    council, _ = find_council(table.world.chain)
    target, data = build_call(table.world.chain, council.address, "accept-ownership", [])
    for _ in range(3):
        council.propose(table.members[0][1], target, data)
    calls, now_s, call = [0], [0.0], table.world.chain.node.call

    def count(*values: Any, **named: Any) -> bytes:
        calls[0] += 1
        return call(*values, **named)

    monkeypatch.setattr(table.world.chain.node, "call", count)
    governing = Governing(lambda: table.world.chain, lambda: now_s[0])
    first = governing.view()
    # Owner and pending owner, the council's registry and terms, the number of motions; two of each motion, one of all.
    assert calls[0] <= 4 + 5 + 1 + 3 * 2 + 1
    calls[0] = 0
    assert governing.view() is first
    assert calls[0] == 0
    assert governing.owner() == table.world.owner.address
    assert calls[0] == 1
    now_s[0] = 6.0
    assert governing.view() is not first
    with governing.council() as found:
        council.approve(table.members[1][1], 3)
        assert found.motion(3).approvals == (1, 2)
    again = governing.view()
    assert again is not None
    assert again.council is not None
    assert again.council.motions[0].motion.approvals == (1, 2)


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
