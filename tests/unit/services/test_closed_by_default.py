"""Closed by default: each member that decides over access says what it opens. One that is added opens nothing, or
cannot be built, until it is decided about. The tables are written out, here and in test_gateway_access, not derived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.errors import SettingsError
from millmark.ledger.records import ALL_ROLES, Role
from millmark.services import settings
from millmark.services.access import ANY_ROLE, Principal, Scope
from millmark.services.access.rules import PersonRole, Rule, Without
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.settings import Auth, Settings, read_settings
from tests.support.gateway_client import Caller
from tests.support.portal_pages import ANYBODY, EVENTS, PAGES
from tests.support.stores import new_store
from tests.unit.services.test_gateway_access import EVERYBODY, MATRIX, fill
from tests.unit.services.test_portal_access import fill as fill_page

OPEN = {Auth.LOOPBACK_OPEN: False, Auth.LOOPBACK_OPEN_SIGNING: True}
"""The modes in which a caller without a credential is the operator, and whether the gateway may sign then."""
PUBLIC = {route for route, may in MATRIX.items() if may == EVERYBODY} | {
    route for route, may in PAGES.items() if may is ANYBODY
}
"""What both tables of routes open to anybody."""
UNSCOPED = {
    ("GET", "/v1/session"),
    ("DELETE", "/v1/session"),
    ("POST", "/portal/sign-out"),
    ("GET", "/portal/account"),
    ("POST", "/portal/account/passkey"),
    ("POST", "/portal/account/passkey/remove"),
    ("GET", "/portal/pairing"),
    ("POST", "/portal/pairing"),
}
"""The routes for which every credential is sufficient: they are about the credential itself."""
READER, RECORDER, ADMINISTRATOR = PersonRole.READER, PersonRole.RECORDER, PersonRole.ADMINISTRATOR
HELD = {
    Scope.PROVENANCE: {READER, RECORDER, ADMINISTRATOR},
    Scope.DOCUMENTS: {READER, RECORDER, ADMINISTRATOR},
    Scope.STATUS: {READER, RECORDER, ADMINISTRATOR},
    Scope.RECORDING: {RECORDER, ADMINISTRATOR},
    Scope.CAPTURE: {RECORDER, ADMINISTRATOR},
    Scope.DOCUMENT_CHANGES: {RECORDER, ADMINISTRATOR},
    Scope.EVENTS: {RECORDER, ADMINISTRATOR},
    Scope.RELAY: {ADMINISTRATOR},
    Scope.PEOPLE: {ADMINISTRATOR},
}
"""The people who have each scope, by their roles."""


def gateway(path: Path, mode: Auth) -> Iterator[Caller]:
    with new_store(path) as store:
        parts = GatewayParts(store, build_policy(mode), limiter=Limiter(Rates(1e9, 1e9)), absent_every_s=0)
        yield Caller(create_gateway(parts))


@pytest.fixture(params=Auth, ids=str)
def mode(request: pytest.FixtureRequest) -> Auth:
    found: Auth = request.param
    return found


@pytest.fixture
def caller(mode: Auth, tmp_path: Path) -> Iterator[Caller]:
    yield from gateway(tmp_path, mode)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Rule]:
    """The rule of every route."""
    [caller] = gateway(tmp_path_factory.mktemp("rules"), Auth.REQUIRED)
    return {(route.method, route.path): route.rule for route in caller.app.state.routes}


def ask(caller: Caller, method: str, path: str) -> httpx.Response:
    """The response to a caller without a credential."""
    if path == EVENTS:
        return caller.ask(path, "HEAD", Host="localhost:8600")
    filled = (fill_page if (method, path) in PAGES else fill)(path)
    return caller.ask(filled, method, Host="localhost:8600")


def is_refused(answer: httpx.Response) -> bool:
    return answer.status_code == 401 or answer.headers.get("location", "").startswith("/portal/sign-in?next=")


def company(roles: int = ANY_ROLE, scopes: frozenset[Scope] = frozenset(Scope)) -> Principal:
    """The company that runs the gateway, with these roles and a credential with these scopes."""
    return Principal(1, roles, scopes, "a", owner=True, expires_at=0)


def test_a_caller_without_a_credential_is_refused_unless_the_tables_say_otherwise(mode: Auth, caller: Caller) -> None:
    routes = {(route.method, route.path) for route in caller.app.state.routes}
    answered = {route for route in routes if not is_refused(ask(caller, *route))}
    public = routes if mode in OPEN else PUBLIC
    assert answered == public, f"gateway_auth {mode}: answers {len(answered - public)} routes to anybody"


def test_an_open_gateway_has_a_key_only_where_the_table_says_so(mode: Auth) -> None:
    if OPEN.get(mode, True):
        assert build_policy(mode, signs=True).needs_credential is (mode not in OPEN)
    else:
        with pytest.raises(SettingsError, match=f"gateway_auth is {mode}, but the gateway has a key"):
            build_policy(mode, signs=True)


def test_no_open_gateway_is_reachable_from_other_machines(mode: Auth) -> None:
    if mode in OPEN:
        with pytest.raises(SettingsError, match=f"gateway_auth is {mode}, but the gateway is reachable"):
            build_policy(mode, url="https://gateway.example")
    else:
        assert build_policy(mode, url="https://gateway.example").needs_credential


def test_the_setting_takes_every_mode_and_the_pages_name_it(mode: Auth, tmp_path: Path) -> None:
    (tmp_path / "millmark.toml").write_text(f'gateway_auth = "{mode}"\n')
    assert read_settings(tmp_path).gateway_auth is mode
    folder = Path(settings.__file__).parent
    for page in (folder / "SETTINGS.md", folder / "gateway" / "ACCESS.md"):
        assert f"`{mode}`" in page.read_text("utf-8"), f"{page.name} does not say what gateway_auth {mode} is"


def test_a_gateway_is_closed_without_the_setting_and_none_takes_another_word(tmp_path: Path) -> None:
    assert Settings().gateway_auth not in OPEN
    assert build_policy().needs_credential
    (tmp_path / "millmark.toml").write_text('gateway_auth = "open"\n')
    with pytest.raises(SettingsError, match=r"setting gateway_auth: Input should be .*'required', 'loopback-open' or"):
        read_settings(tmp_path)


@pytest.mark.parametrize("kind", [Auth, PersonRole])
def test_a_member_that_does_not_state_what_it_opens_cannot_be_built(kind: type[Any]) -> None:
    with pytest.raises(TypeError, match="client-certificate does not state"):
        kind._new_member_(kind, "client-certificate")  # what the enum calls for each member


def test_a_rule_that_does_not_state_its_scope_cannot_be_built() -> None:
    rule: Any = Rule
    with pytest.raises(TypeError, match="'scope'"):
        rule(owner=True)


@pytest.mark.parametrize("scope", Scope)
def test_a_scope_is_held_by_the_people_in_the_table(scope: Scope) -> None:
    assert scope in HELD, f"nobody decided who has the scope {scope}"
    assert {role for role in PersonRole if scope in role.scopes} == HELD[scope], scope


@pytest.mark.parametrize("role", PersonRole)
def test_a_person_is_refused_without_the_scope_that_a_rule_asks_for(role: PersonRole) -> None:
    for scope in Scope:
        may = role in HELD.get(scope, ())
        assert Rule(scope).is_met_by(company(scopes=role.scopes)) is may, f"a {role} and the scope {scope}"


@pytest.mark.parametrize("scope", Scope)
def test_a_credential_is_refused_without_the_scope_that_a_rule_asks_for(scope: Scope) -> None:
    assert Rule(scope).is_met_by(company(scopes=frozenset({scope})))
    assert not Rule(scope).is_met_by(company(scopes=frozenset(Scope) - {scope}))


@pytest.mark.parametrize("role", Role, ids=lambda role: role.name)
def test_a_company_is_refused_without_the_role_that_a_rule_asks_for(role: Role) -> None:
    assert role in ANY_ROLE, f"millmark.services.access.rules does not say what the role {role.name} may do"
    assert Rule(Without.SCOPE, role).is_met_by(company(role))
    assert not Rule(Without.SCOPE, role).is_met_by(company(ALL_ROLES & ~role))


def test_roles_that_nobody_decided_about_open_no_route(rules: dict[tuple[str, str], Rule]) -> None:
    undecided = (ALL_ROLES & ~ANY_ROLE) | (ALL_ROLES + 1)  # with the next that the contracts may add
    assert {route for route, rule in rules.items() if rule.is_met_by(company(undecided))} == PUBLIC


@pytest.mark.parametrize("without", Without)
def test_routes_do_without_a_scope_or_a_credential_where_the_tables_say_so(
    without: Without, rules: dict[tuple[str, str], Rule]
) -> None:
    tables = {Without.SCOPE: UNSCOPED, Without.CREDENTIAL: PUBLIC}
    assert without in tables, f"nobody decided what a rule {without} opens"
    assert {route for route, rule in rules.items() if rule.scope is without} == tables[without]
    assert Rule(without).public is (without is Without.CREDENTIAL)


def test_a_credential_without_scopes_opens_what_the_tables_say(rules: dict[tuple[str, str], Rule]) -> None:
    met = {route for route, rule in rules.items() if rule.is_met_by(company(scopes=frozenset()))}
    assert met == UNSCOPED | PUBLIC
