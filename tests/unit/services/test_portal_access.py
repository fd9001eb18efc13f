"""Who sees which page: every page by every kind of caller, every thing by every company; signing in and out; forms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from millmark.services.access import CredentialKind, Scope, new_api_key
from millmark.services.access.credentials import issue
from millmark.services.access.repository import AccessRepository
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.gateway.http.authentication import Policy
from tests.support.fake_world import (
    AUDITOR,
    BUYER,
    CARRIER,
    COORDINATOR,
    INSPECTOR,
    OTHER_BUYER,
    SMITH,
)
from tests.support.figures import Tell
from tests.support.gateway_client import FORM, SESSION, Browser, Caller, hidden
from tests.support.portal_pages import EVENTS, PAGES
from tests.support.portal_site import BY_ROLE, NO_ROLE, OWNER, STRANGER, SUSPENDED, Site
from tests.support.sign_in import NOW_S, ORIGIN, sign, signer_of
from tests.support.stores import new_store
from tests.unit.ledger.test_provenance_permissions import LOTS, MACHINE, ORDERS

TENANTS = (OWNER, BUYER, SMITH, COORDINATOR, INSPECTOR, CARRIER, OTHER_BUYER, AUDITOR, STRANGER)
Shown = Callable[[Site], Browser]


def with_token(site: Site, token: str) -> Browser:
    return Browser(site.caller, {SESSION: token})


def api_key(site: Site) -> str:
    return new_api_key(site.store, OWNER, list(Scope), "test", now_s=NOW_S, life_s=900)[0]


NOBODY: dict[str, Shown] = {
    "anonymous": lambda site: site.browser(),
    "forged": lambda site: with_token(site, "mms_0123456789ab_" + "A" * 43),
    "altered": lambda site: with_token(site, site.session(OWNER)[:-1]),
    "expired": lambda site: site.browser(OWNER, age_s=900),
    "suspended": lambda site: site.browser(SUSPENDED),
    "an API key": lambda site: with_token(site, api_key(site)),
    "under the name without a host": lambda site: Browser(site.caller, {"millmark-session-443": site.session(OWNER)}),
}
SOMEBODY: dict[str, Shown] = {
    **{role: lambda site, number=number: site.browser(number) for role, number in BY_ROLE.items()},  # type: ignore[misc]  # bound early
    "owner": lambda site: site.browser(OWNER),
    "no role": lambda site: site.browser(NO_ROLE),
}
CALLERS = {**NOBODY, **SOMEBODY}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with new_store(tmp_path_factory.mktemp("portal")) as store:
        yield Site(store)


def fill(path: str) -> str:
    values = {"key:gs1key": "01", "rest:path": "09506000134352/21/A-1", "subject": "1a" * 32, "number": "1"}
    return re.sub(r"{(.+?)}", lambda found: values.get(found[1], found[1]), path)


@pytest.mark.parametrize("who", CALLERS)
@pytest.mark.parametrize(("method", "path"), PAGES)
def test_every_page_by_every_caller(site: Site, method: str, path: str, who: str) -> None:
    browser, may = CALLERS[who](site), PAGES[method, path]
    if path == EVENTS:
        answer = browser.head(path)
    else:
        answer = browser.get(fill(path)) if method == "GET" else browser.post(fill(path), {})
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    if may is None or who in may:
        assert answer.headers.get("location", "/").startswith("/")
        assert not answer.headers.get("location", "").startswith("/portal/sign-in")
        return
    if who in NOBODY:
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/portal/sign-in?next=")
    else:
        assert answer.status_code == 404
        assert path == EVENTS or "Nothing found here" in answer.text


def test_how_many_cells_of_pages_there_are(tell: Tell) -> None:
    cells = len(PAGES) * len(CALLERS)
    tell(f"{cells} cells: {len(PAGES)} pages by {len(CALLERS)} callers")


def test_a_header_does_not_open_a_page_nor_a_cookie_the_api(site: Site) -> None:
    token = site.session(OWNER)
    assert site.browser().get("/portal", Authorization=f"Bearer {token}").status_code == 303
    assert with_token(site, token).get("/v1/session").status_code == 401


def things(site: Site) -> Iterator[tuple[str, str, str, set[int]]]:
    """Path, path of what is not there, name, and who may see it."""
    for name, subject in site.world.lots.items():
        yield f"/portal/lots/{subject.hex()}", f"/portal/lots/{'77' * 32}", name, {*LOTS[name], OWNER}
    for name, subject in site.world.orders.items():
        yield f"/portal/orders/{subject.hex()}", f"/portal/orders/{'77' * 32}", name, {*ORDERS[name], OWNER}
    number = site.world.machine
    yield f"/portal/machines/{number}", "/portal/machines/999999", "mill", {*MACHINE, OWNER}


def told(page: str, *paths: str) -> str:
    for path in paths:
        page = page.replace(path, "PATH")
    return page


def test_every_thing_by_every_company(site: Site, tell: Tell) -> None:
    cells = 0
    for path, absent, name, seers in things(site):
        for tenant in TENANTS:
            answer = site.browser(tenant).get(path)
            if tenant in seers:
                assert answer.status_code == 200, (name, tenant)
            else:
                none = site.browser(tenant).get(absent)
                assert answer.status_code == none.status_code == 404, (name, tenant)
                assert told(answer.text, path, absent) == told(none.text, path, absent)
            cells += 1
    tell(f"{cells} cells of pages of things by companies")
    assert cells > 100


def test_lists_hold_what_is_there_for_the_company_and_nothing_else(site: Site) -> None:
    wanted = {"lots": (site.world.lots, LOTS), "orders": (site.world.orders, ORDERS)}
    for tenant in TENANTS:
        for name, (there, seers) in wanted.items():
            page = site.browser(tenant).get(f"/portal/{name}").text
            shown = set(re.findall(rf"/portal/{name}/([0-9a-f]{{64}})", page))
            assert shown == {there[one].hex() for one in there if tenant in {*seers[one], OWNER}}, (name, tenant)
        machines = site.browser(tenant).get("/portal/machines").text
        assert (f"/portal/machines/{site.world.machine}" in machines) is (tenant in {*MACHINE, OWNER})


def test_links_on_pages_lead_to_pages_that_are_there(site: Site) -> None:
    """A link to a foreign thing would say that it exists."""
    for path, _, _, seers in things(site):
        for tenant in sorted(seers & set(TENANTS)):
            browser = site.browser(tenant)
            for link in set(re.findall(r'href="(/portal/(?:lots|orders|machines)/[^"?]+)"', browser.get(path).text)):
                assert browser.get(link).status_code == 200, (tenant, path, link)


def test_only_the_owner_sees_what_its_book_knows_of_models(site: Site) -> None:
    assert "Drift" in site.browser(OWNER).get("/portal/models").text
    page = site.browser(INSPECTOR).get("/portal/models").text
    assert "approved" in page
    assert "Drift" not in page
    assert "card" not in page


@pytest.mark.parametrize("bad", ["", "0x" + "1a" * 32, "1a", "zz" * 32, "1a" * 33, "%00"])
def test_what_is_no_subject_is_unknown(site: Site, bad: str) -> None:
    assert site.browser(OWNER).get(f"/portal/lots/{bad}").status_code == 404


def test_malformed_numbers_and_cursors_are_refused(site: Site) -> None:
    for path in ("/portal/lots?cursor=AAAA", "/portal/lots?cursor=%00", "/portal/orders?cursor=" + "9" * 30):
        assert site.browser(OWNER).get(path).status_code in (400, 422), path
    for number in ("x", "1e9", "0", "-1", "9" * 30, "%00"):
        answer = site.browser(OWNER).get(f"/portal/machines/{number}")
        assert answer.status_code == 404, number
        assert answer.headers["content-type"].startswith("text/html"), number


# Signing in


def signed(site: Site, browser: Browser, participant: int, **form: str) -> dict[str, str]:
    """The filled form of somebody who was shown a message."""
    page = browser.get(f"/portal/sign-in?address=0x{signer_of(participant).address.hex()}").text
    fields = hidden(page)
    message = fields["message"].replace("\n", "\r\n")  # as browsers send it
    return {**fields, "message": message, "signature": sign(fields["message"], signer_of(participant)), **form}


def test_in_without_a_script_and_out_again(site: Site) -> None:
    browser = site.browser()
    first = browser.get("/portal/orders")
    assert first.headers["location"] == "/portal/sign-in?next=%2Fportal%2Forders"
    offered = browser.get(first.headers["location"])
    assert hidden(offered.text)["next"] == "/portal/orders"
    inside = browser.post("/portal/sign-in", signed(site, browser, BUYER, next="/portal/orders"))
    assert (inside.status_code, inside.headers["location"]) == (303, "/portal/orders")
    page = browser.get("/portal/orders")
    assert page.status_code == 200
    assert "You see this as participant 1" in page.text
    out = browser.post("/portal/sign-out", hidden(page.text))
    assert (out.status_code, out.headers["location"]) == (303, "/")
    assert SESSION not in browser.cookies
    assert browser.get("/portal/orders").status_code == 303


def test_signing_out_ends_the_session_itself(site: Site) -> None:
    browser = site.browser(BUYER)
    kept = browser.cookies[SESSION]
    browser.post("/portal/sign-out", hidden(browser.get("/portal").text))
    assert with_token(site, kept).get("/portal").status_code == 303


def test_cookies_are_for_this_host_by_https_and_for_no_script(site: Site) -> None:
    browser = site.browser()
    offered = browser.get("/portal/sign-in")
    entered = browser.post("/portal/sign-in", signed(site, browser, BUYER))
    for line, name in ((offered.headers["set-cookie"], FORM), (entered.headers["set-cookie"], SESSION)):
        parts = {part.strip().lower() for part in line.split(";")[1:]}
        assert line.startswith(f"{name}=")
        assert {"httponly", "secure", "samesite=strict", "path=/"} <= parts
        assert not [part for part in parts if part.startswith("domain")]
    assert "max-age=900" in entered.headers["set-cookie"].lower()


def test_on_the_loopback_cookies_go_without_https(site: Site) -> None:
    app = create_gateway(
        GatewayParts(site.store, build_policy("loopback-open"), clock=lambda: NOW_S, limiter=Limiter(Rates(1e9, 1e9)))
    )
    line = Browser(Caller(app), host="localhost").get("/portal/sign-in").headers["set-cookie"]
    assert line.startswith("millmark-form-8600=")
    assert "secure" not in line.lower()


def test_cookies_of_two_gateways_on_one_host_have_different_names(site: Site) -> None:
    names = {port: _names_of_cookies(site, build_policy(port=port)) for port in (8600, 8700)}
    assert len(names[8600]) == len(names[8700]) == 2
    assert not names[8600] & names[8700], "browsers send a cookie to every port of its host"


def _names_of_cookies(site: Site, policy: Policy) -> set[str]:
    """Of a form and of a session at a gateway."""
    app = create_gateway(GatewayParts(site.store, policy, clock=lambda: NOW_S))
    browser = Browser(Caller(app), host="localhost")
    browser.get("/portal/sign-in")
    browser.post("/portal/sign-in", signed(site, browser, BUYER))
    return set(browser.cookies)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "path", ["/portal/lots?state=a%20b", "/portal/sign-in", "/01/09506000134352/21/A-1?salt=x", "/check/"]
)
@pytest.mark.parametrize("host", ["127.0.0.1:8600", "[::1]:8600", "127.0.0.1:9999"])
def test_a_page_is_at_one_name_of_this_machine(site: Site, method: str, path: str, host: str) -> None:
    answer = _on_loopback(site).ask(path, method, Host=host)
    port = host.rpartition(":")[2]  # that of a tunnel, perhaps
    assert (answer.status_code, answer.headers["location"]) == (307, f"http://localhost:{port}{path}")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("host", ["127.0.0.1:8600", "[::1]:8600", "localhost:8600"])
@pytest.mark.parametrize("path", ["/v1/status", "/health", "/metrics", "/ready", "/openapi.json", "/docs"])
def test_what_programs_ask_for_is_at_every_name(site: Site, path: str, host: str) -> None:
    assert _on_loopback(site).ask(path, Host=host).status_code not in (307, 404, 421)


def test_who_asks_for_data_or_sends_a_form_is_not_sent_elsewhere(site: Site) -> None:
    caller = _on_loopback(site)
    assert caller.ask("/.well-known/gs1resolver", Host="127.0.0.1", Accept="application/json").status_code == 200
    assert caller.ask("/portal/sign-out", "POST", Host="127.0.0.1").status_code not in (307, 308)
    assert caller.ask("/portal/sign-in", Host="localhost:8600").status_code == 200


def test_a_gateway_with_a_public_url_sends_nobody_elsewhere(site: Site) -> None:
    """Its proxy may name the loopback, and would be asked for ever."""
    app = create_gateway(GatewayParts(site.store, build_policy(url="https://gateway.example"), clock=lambda: NOW_S))
    assert Caller(app).ask("/portal/sign-in", Host="127.0.0.1:8600").status_code == 200


def _on_loopback(site: Site) -> Caller:
    return Caller(create_gateway(GatewayParts(site.store, build_policy(), clock=lambda: NOW_S)))


@pytest.mark.parametrize(
    "change",
    [
        {"signature": "0x" + "1" * 130},
        {"signature": "none"},
        {"message": "x wants you to sign in"},
        {"signature": ""},
    ],
)
def test_what_signs_nobody_in_is_told(site: Site, change: dict[str, str]) -> None:
    browser = site.browser()
    answer = browser.post("/portal/sign-in", signed(site, browser, BUYER, **change))
    assert answer.status_code in (401, 422)
    assert SESSION not in browser.cookies


def test_a_message_counts_once(site: Site) -> None:
    browser = site.browser()
    form = signed(site, browser, BUYER)
    assert browser.post("/portal/sign-in", form).status_code == 303
    again = Browser(site.caller, {FORM: browser.cookies[FORM]})
    assert again.post("/portal/sign-in", form).status_code == 401
    assert SESSION not in again.cookies


def test_no_other_site_can_send_our_forms(site: Site) -> None:
    browser = site.browser()
    form = signed(site, browser, BUYER)
    other = site.browser()
    others = signed(site, other, BUYER)["token"]
    for fields, headers in (
        ({**form, "token": "0" * 64}, {}),
        ({**form, "token": ""}, {}),
        ({**form, "token": others}, {}),
        (form, {"Origin": "https://evil.example"}),
        (form, {"Sec_Fetch_Site": "cross-site"}),
        (form, {"Sec_Fetch_Site": "same-site"}),
    ):
        answer = browser.post("/portal/sign-in", fields, **headers)
        assert answer.status_code in (400, 422), (fields["token"], headers)
        assert SESSION not in browser.cookies
    bare = Browser(site.caller)
    assert bare.post("/portal/sign-in", form).status_code == 400, "without the cookie"
    assert browser.post("/portal/sign-in", form, Origin=ORIGIN, Sec_Fetch_Site="same-origin").status_code == 303


def test_nobody_is_signed_out_by_another_site(site: Site) -> None:
    browser = site.browser(BUYER)
    token = hidden(browser.get("/portal").text)["token"]
    stolen = hidden(site.browser(SMITH).get("/portal").text)["token"]
    for given in ("", "0" * 64, stolen):
        assert browser.post("/portal/sign-out", {"token": given}).status_code in (400, 422)
    assert browser.get("/portal").status_code == 200
    assert browser.post("/portal/sign-out", {"token": token}).status_code == 303


@pytest.mark.parametrize(
    "after",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/portal/../x y", "/v1/status", "javascript:1"],
)
def test_one_is_sent_to_no_other_place(site: Site, after: str) -> None:
    browser = site.browser()
    answer = browser.post("/portal/sign-in", signed(site, browser, BUYER, next=after))
    assert (answer.status_code, answer.headers["location"]) == (303, "/portal")


@pytest.mark.parametrize("address", ["0x", "x" * 5000, "0x6813eb9362372EEF6200f3b1dbC3f819671cBA69"])
def test_what_is_no_address_is_told(site: Site, address: str) -> None:
    answer = site.browser().get(f"/portal/sign-in?address={address}")
    assert answer.status_code == 400
    assert "Not signed in." in answer.text


def test_an_unknown_key_is_offered_a_message_as_any(site: Site) -> None:
    page = site.browser().get("/portal/sign-in?address=0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69")
    assert page.status_code == 200
    assert "0x6813Eb9362372EEF6200f3b1dbC3f819671cBA69" in page.text


def test_a_bearer_of_a_scope_too_small_sees_nothing(site: Site) -> None:
    with site.store.transaction() as connection:
        commands, key = AccessRepository(connection), signer_of(BUYER).address
        token, _ = issue(commands, CredentialKind.SESSION, BUYER, [Scope.STATUS], now_s=NOW_S, life_s=900, key=key)
    assert with_token(site, token).get("/portal/orders").status_code == 404
