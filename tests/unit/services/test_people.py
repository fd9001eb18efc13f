"""People at a gateway: invitations, passkeys, roles, removal, and how long sessions last."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from millmark.ledger.errors import InputError, MillmarkError, NotFoundError, StoreError
from millmark.services.access import Principal, Scope, SignInError, UnauthenticatedError, authenticate
from millmark.services.access.credentials import PERSON_IDLE_S, PERSON_LIFE_S, slide
from millmark.services.access.people.passkeys import Passkeys
from millmark.services.access.people.people import INVITATION_LIFE_S, People
from millmark.services.access.repository import AccessRepository
from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import NONCE_LIFE_S
from millmark.services.serving.logs import build_logger
from millmark.services.webhooks.dispatcher import DeliveryPolicy, Dispatcher
from millmark.services.webhooks.repository import WebhookRepository
from millmark.services.webhooks.subscriptions import Subscriber, Subscriptions
from tests.support.authenticator import Authenticator
from tests.support.company_site import Site, open_site

NOW = 1_800_000_000
ORIGIN, HOST = "https://gateway.example:8600", "gateway.example"


@dataclass
class Company:
    """The people of the company of a site, and what they carry."""

    site: Site
    people: People = field(init=False)
    passkeys: Passkeys = field(init=False)

    def __post_init__(self) -> None:
        self.people = People(self.site.store, self.site.number)
        self.passkeys = Passkeys(self.site.store, self.people, ORIGIN)

    def hire(self, name: str, role: PersonRole, key: Authenticator) -> str:
        """Somebody new with a passkey: the token of the first session."""
        code = self.people.invite(name, role, now_s=NOW).code
        return self.passkeys.register(code, key.create(self.passkeys.ask_invited(code, NOW)), NOW).token

    def who(self, token: str, now_s: int = NOW) -> Principal:
        return authenticate(self.site.store, token, now_s=now_s, owner=self.site.number)


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    for site in open_site(tmp_path):
        yield Company(site)


def key(number: int = 1, **changes: object) -> Authenticator:
    made = Authenticator(ORIGIN, HOST, id=b"passkey-%04d" % number)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_a_person_signs_in_with_the_passkey_that_an_invitation_registered(company: Company) -> None:
    ada = key()
    first = company.who(company.hire("Ada Lovelace", PersonRole.RECORDER, ada))
    again = company.who(company.passkeys.sign_in(ada.get(company.passkeys.ask_sign_in(NOW)), NOW).token)
    for principal in (first, again):
        assert (principal.participant, principal.owner, principal.person) == (company.site.number, True, 1)
        assert (principal.name, principal.scopes) == ("Ada Lovelace", PersonRole.RECORDER.scopes)
        assert principal.acting == f"{principal.credential}/person-1"


def test_each_role_may_do_what_those_before_it_may() -> None:
    reader, recorder, administrator = (role.scopes for role in PersonRole)
    assert reader < recorder < administrator
    assert Scope.RECORDING not in reader
    assert Scope.PEOPLE not in recorder


def test_an_invitation_works_once_and_for_a_week(company: Company) -> None:
    code = company.people.invite("Ada", PersonRole.READER, now_s=NOW).code
    options = company.passkeys.ask_invited(code, NOW)
    company.passkeys.register(code, key().create(options), NOW)
    with pytest.raises(SignInError, match="used, has expired, or does not exist"):
        company.passkeys.ask_invited(code, NOW)
    late = company.people.invite("Bob", PersonRole.READER, now_s=NOW).code
    with pytest.raises(SignInError, match="used, has expired, or does not exist"):
        company.passkeys.ask_invited(late, NOW + INVITATION_LIFE_S)
    for wrong in ("", "x" * 43, code[:-1], "é" * 43):
        with pytest.raises(SignInError, match="used, has expired, or does not exist"):
            company.people.invitation(wrong, NOW)
    assert len(company.people.listed()) == 1


def test_a_refused_passkey_does_not_spend_the_invitation(company: Company) -> None:
    code = company.people.invite("Ada", PersonRole.READER, now_s=NOW).code
    with pytest.raises(SignInError):
        company.passkeys.register(code, key(verified=False).create(company.passkeys.ask_invited(code, NOW)), NOW)
    company.passkeys.register(code, key().create(company.passkeys.ask_invited(code, NOW)), NOW)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"origin": "https://other.example"}, "origin"),
        ({"host": "other.example"}, "RP ID"),
        ({"verified": False}, "verified|verification"),
    ],
)
def test_a_passkey_of_another_site_or_without_the_person_is_refused(
    company: Company, changes: dict[str, object], said: str
) -> None:
    ada = key()
    company.hire("Ada", PersonRole.READER, ada)
    for name, value in changes.items():
        setattr(ada, name, value)
    with pytest.raises(SignInError, match=said):
        company.passkeys.sign_in(ada.get(company.passkeys.ask_sign_in(NOW)), NOW)


def test_an_answer_counts_once_and_in_time(company: Company) -> None:
    ada = key()
    company.hire("Ada", PersonRole.READER, ada)
    answer = ada.get(company.passkeys.ask_sign_in(NOW))
    company.passkeys.sign_in(answer, NOW)
    with pytest.raises(SignInError):  # the counter says so as well
        company.passkeys.sign_in(answer, NOW)
    ada.uses = -1  # an authenticator without a counter, whose answers differ in nothing but the challenge
    with pytest.raises(SignInError):
        company.passkeys.sign_in(ada.get(company.passkeys.ask_sign_in(NOW)), NOW + NONCE_LIFE_S)
    made_up = json.dumps({**json.loads(company.passkeys.ask_sign_in(NOW)), "challenge": "A" * 86})
    with pytest.raises(SignInError, match="was not made here, or is too old"):
        company.passkeys.sign_in(ada.get(made_up), NOW)
    elsewhere = Passkeys(company.site.store, company.people, ORIGIN).ask_sign_in(NOW)
    with pytest.raises(SignInError, match="was not made here, or is too old"):
        company.passkeys.sign_in(ada.get(elsewhere), NOW)


def test_a_passkey_without_a_counter_cannot_be_replayed(company: Company) -> None:
    ada = key(uses=-1)
    company.hire("Ada", PersonRole.READER, ada)
    ada.uses = -1
    answer = ada.get(company.passkeys.ask_sign_in(NOW))
    company.passkeys.sign_in(answer, NOW)
    with pytest.raises(SignInError, match="was used before"):
        company.passkeys.sign_in(answer, NOW)


def test_a_copied_passkey_is_noticed_by_its_counter(company: Company) -> None:
    ada = key()
    company.hire("Ada", PersonRole.READER, ada)
    ada.uses = 0
    with pytest.raises(SignInError, match=r"[Cc]ount"):
        company.passkeys.sign_in(ada.get(company.passkeys.ask_sign_in(NOW)), NOW)


def test_whoever_was_removed_is_out_at_once(company: Company) -> None:
    boss, ada = key(1), key(2)
    company.hire("Boss", PersonRole.ADMINISTRATOR, boss)
    token = company.hire("Ada", PersonRole.RECORDER, ada)
    company.people.remove(2, NOW)
    with pytest.raises(UnauthenticatedError):
        company.who(token)
    with pytest.raises(SignInError, match="not one of this gateway's people"):
        company.passkeys.sign_in(ada.get(company.passkeys.ask_sign_in(NOW)), NOW)
    assert company.people.names() == {1: "Boss", 2: "Ada"}  # the audit log names her still
    # Her passkey is free for whoever is invited with it next; that is another person.
    company.hire("Ada again", PersonRole.READER, ada)
    assert [one.number for one in company.people.listed()] == [1, 3]


def test_what_a_removed_administrator_gave_away_is_worthless(company: Company) -> None:
    company.hire("Boss", PersonRole.ADMINISTRATOR, key(1))
    company.hire("Mallory", PersonRole.ADMINISTRATOR, key(2))
    ends: list[Callable[[], None]] = [
        lambda: company.people.change_role(2, PersonRole.READER),
        lambda: company.people.remove(2, NOW),
    ]
    for end in ends:
        code = company.people.invite("x", PersonRole.ADMINISTRATOR, now_s=NOW, invited_by=2).code
        end()
        with pytest.raises(SignInError, match="used, has expired, or does not exist"):
            company.people.invitation(code, NOW)


def test_an_invitation_can_be_withdrawn(company: Company) -> None:
    code = company.people.invite("x", PersonRole.READER, now_s=NOW).code
    [row] = company.people.open_invitations(NOW)
    company.people.withdraw(row.digest)
    with pytest.raises(SignInError, match="used, has expired, or does not exist"):
        company.people.invitation(code, NOW)
    with pytest.raises(NotFoundError):
        company.people.withdraw(row.digest)


def test_a_role_changes_open_sessions(company: Company) -> None:
    company.hire("Boss", PersonRole.ADMINISTRATOR, key(1))
    token = company.hire("Ada", PersonRole.RECORDER, key(2))
    company.people.change_role(2, PersonRole.READER)
    assert company.who(token).scopes == PersonRole.READER.scopes


def test_the_last_administrator_stays(company: Company) -> None:
    company.hire("Boss", PersonRole.ADMINISTRATOR, key(1))
    with pytest.raises(InputError, match="nobody could invite"):
        company.people.remove(1, NOW)
    with pytest.raises(InputError, match="nobody could invite"):
        company.people.change_role(1, PersonRole.READER)
    company.hire("Other", PersonRole.ADMINISTRATOR, key(2))
    company.people.remove(1, NOW)


def test_whoever_lost_every_passkey_comes_back_as_the_same_person(company: Company) -> None:
    stolen = key(1)
    token = company.hire("Ada", PersonRole.ADMINISTRATOR, stolen)
    again = company.people.invite("Someone else", PersonRole.READER, now_s=NOW, person=1)
    assert (again.name, again.role) == ("Ada", PersonRole.ADMINISTRATOR)  # who comes back is who they were
    entered = company.passkeys.register(again.code, key(2).create(company.passkeys.ask_invited(again.code, NOW)), NOW)
    assert entered.person.number == 1
    with pytest.raises(UnauthenticatedError):
        company.who(token)
    with pytest.raises(SignInError):
        company.passkeys.sign_in(stolen.get(company.passkeys.ask_sign_in(NOW)), NOW)
    with pytest.raises(NotFoundError):
        company.people.invite("Nobody", PersonRole.READER, now_s=NOW, person=9)


def test_the_last_way_in_is_not_removed(company: Company) -> None:
    first, second = key(1), key(2)
    company.hire("Ada", PersonRole.READER, first)
    with pytest.raises(SignInError, match="the last way in"):
        company.passkeys.remove(1, first.id, NOW)
    elsewhere = company.passkeys.sign_in(first.get(company.passkeys.ask_sign_in(NOW)), NOW).token
    here = company.passkeys.sign_in(first.get(company.passkeys.ask_sign_in(NOW)), NOW).token
    company.passkeys.add(1, second.create(company.passkeys.ask_further(1, NOW)), NOW)
    company.passkeys.remove(1, first.id, NOW, company.who(here).credential)
    with pytest.raises(UnauthenticatedError):
        company.who(elsewhere)
    assert company.who(here).person == 1
    assert [one.id for one in company.passkeys.listed(1)] == [second.id]
    with pytest.raises(SignInError):
        company.passkeys.sign_in(first.get(company.passkeys.ask_sign_in(NOW)), NOW)


def test_a_session_lasts_a_working_day_while_it_is_used(company: Company) -> None:
    token = company.hire("Ada", PersonRole.READER, key())
    for now_s in range(NOW, NOW + PERSON_LIFE_S, PERSON_IDLE_S // 2):
        assert company.who(token, now_s).person == 1
    with pytest.raises(UnauthenticatedError):
        company.who(token, NOW + PERSON_LIFE_S)


def test_a_page_that_follows_records_does_not_make_a_session_last(company: Company) -> None:
    token = company.hire("Ada", PersonRole.READER, key())
    for now_s in range(NOW, NOW + PERSON_IDLE_S, 900):
        authenticate(company.site.store, token, now_s=now_s, owner=company.site.number, passive=True)
    with pytest.raises(UnauthenticatedError):
        company.who(token, NOW + PERSON_IDLE_S)


def test_a_database_that_cannot_be_written_lets_people_read_on(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = company.hire("Ada", PersonRole.READER, key())

    def refuse(*_: object, **__: object) -> None:
        raise StoreError("the disk is full", hint="free space")

    with monkeypatch.context() as patch:
        patch.setattr(AccessRepository, "prolong", refuse)
        assert company.who(token, NOW + PERSON_IDLE_S - 1).person == 1
    with pytest.raises(UnauthenticatedError):
        company.who(token, NOW + PERSON_IDLE_S)


def test_who_enters_is_named_in_the_audit_log(company: Company) -> None:
    found = key()
    code = company.people.invite("Ada", PersonRole.READER, now_s=NOW).code
    entered = company.passkeys.register(code, found.create(company.passkeys.ask_invited(code, NOW)), NOW)
    who = company.who(entered.token)
    assert entered.principal.acting == who.acting == f"{who.credential}/person-1"
    assert (entered.principal.participant, entered.principal.scopes) == (who.participant, frozenset())


def test_a_webhook_ends_with_the_person_who_had_it(company: Company) -> None:
    company.hire("Boss", PersonRole.ADMINISTRATOR, key(1))
    token, store = company.hire("Ada", PersonRole.RECORDER, key(2)), company.site.store
    who = company.who(token)
    subscriptions = Subscriptions(store)
    made = subscriptions.add(
        Subscriber(who.participant or 0, True, who.credential), "https://erp.example/in", now_ms=NOW * 1000
    )
    assert made.webhook.person == who.person
    dispatcher = Dispatcher(store, DeliveryPolicy(), build_logger())

    def ended() -> str:
        with store.reading() as connection:
            row = WebhookRepository(connection).get(made.webhook.id)
            assert row is not None
            return dispatcher._access_ended(connection, row)

    assert ended() == ""
    company.people.change_role(who.person, PersonRole.READER)
    assert "may no longer receive records" in ended()
    company.people.change_role(who.person, PersonRole.RECORDER)
    assert ended() == ""
    company.people.remove(who.person, NOW)
    assert "was removed" in ended()


def test_a_session_that_nobody_uses_ends(company: Company) -> None:
    token = company.hire("Ada", PersonRole.READER, key())
    with pytest.raises(UnauthenticatedError):
        company.who(token, NOW + PERSON_IDLE_S)


def test_a_session_never_gets_shorter_by_its_use() -> None:
    rng = Random(1)  # noqa: S311  # to be had again, not secret
    for _ in range(1000):
        issued, now_s = NOW, NOW + rng.randrange(PERSON_LIFE_S)
        expires = min(issued + rng.randrange(PERSON_IDLE_S, PERSON_LIFE_S), issued + PERSON_LIFE_S)
        assert expires <= slide(issued, expires, now_s) <= issued + PERSON_LIFE_S


def test_hostile_answers_are_refused_and_never_fail_otherwise(company: Company) -> None:
    ada, rng = key(), Random(2)  # noqa: S311  # as above
    company.hire("Ada", PersonRole.READER, ada)
    good = ada.get(company.passkeys.ask_sign_in(NOW))
    for _ in range(300):
        changed = bytearray(good.encode())
        for _ in range(rng.choice((1, 2, 20))):
            changed[rng.randrange(len(changed))] = rng.randrange(32, 127)
        if _meaning(changed.decode()) == _meaning(good):
            continue
        with pytest.raises(MillmarkError):
            company.passkeys.sign_in(changed.decode(), NOW)
    for text in ("", "{}", "[]", "null", "x" * 20_000, '{"id": 1}', good.replace("clientDataJSON", "clientData")):
        with pytest.raises(SignInError):
            company.passkeys.sign_in(text, NOW)


def _meaning(text: str) -> object:
    """What an answer says: its members as bytes, since base64 has spare bits. None if it says nothing."""
    try:
        answer = json.loads(text)
        parts = {"id": answer["id"], "rawId": answer["rawId"], **answer["response"]}
        return {name: urlsafe_b64decode(part + "==") for name, part in parts.items()}, answer["type"]
    except (ValueError, KeyError, TypeError):
        return None


@pytest.mark.parametrize(
    ("origin", "possible"),
    [
        ("https://gateway.example", True),
        ("http://localhost:8600", True),
        ("http://127.0.0.1:8600", False),
        ("https://10.0.0.4:8600", False),
        ("http://gateway.example", False),
        ("https://[2001:db8::1]:8600", False),
    ],
)
def test_passkeys_are_offered_where_browsers_have_them(company: Company, origin: str, possible: bool) -> None:
    assert Passkeys(company.site.store, company.people, origin).possible is possible
