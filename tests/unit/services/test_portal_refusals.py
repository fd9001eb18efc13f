"""What a browser gets where there is no page, or none now: a page in its language, never a program's answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from millmark.services.access.rules import PersonRole
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.gateway.http.problems import MEDIA_TYPE
from millmark.services.settings import Auth
from tests.support.company_site import ActingSite, open_acting_site
from tests.support.gateway_client import Caller, read
from tests.support.sign_in import NOW_S, ORIGIN

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[ActingSite]:
    yield from open_acting_site(tmp_path)


@pytest.mark.parametrize(
    "path",
    ["/portal/nothing", "/portal/act/acceptOrder/confirm", "/portal/a/b/c", "/nothing", "/v1/nothing", "/portals"],
)
def test_an_address_that_leads_nowhere_has_a_page(site: ActingSite, path: str) -> None:
    person = site.person()
    answer = person.get(f"{path}?lang=zh", Accept=BROWSER)
    assert (answer.status_code, "此处没有内容" in read(answer.text)) == (404, True)
    told = person.get(path, Accept="application/json")
    assert (told.status_code in (404, 405), told.headers["content-type"]) == (True, MEDIA_TYPE)


def test_who_is_not_signed_in_gets_one_too_and_a_program_never(site: ActingSite) -> None:
    answer = site.portal.ask("/nothing", Accept=BROWSER, Host="gateway.example")
    assert (answer.status_code, "Nothing found here" in read(answer.text)) == (404, True)
    assert "Scan the code" not in answer.text, "it is no passport's address"
    for accept in ("*/*", "application/json"):
        answer = site.portal.ask("/nothing", Accept=accept, Host="gateway.example")
        assert (answer.status_code, answer.headers["content-type"]) == (404, MEDIA_TYPE)
    answer = site.portal.ask("/v1/orders", Accept=BROWSER, Host="gateway.example")
    assert answer.headers["content-type"] == MEDIA_TYPE, "an address of the API"


def test_too_many_requests_are_told_on_a_page_that_says_when_to_come_back(site: ActingSite) -> None:
    policy = build_policy(Auth.REQUIRED, url=ORIGIN, owner=site.number)
    parts = GatewayParts(site.store, policy, clock=lambda: NOW_S, limiter=Limiter(Rates(0.2, 1e9)))
    person = site.person(PersonRole.READER, caller=Caller(create_gateway(parts)))
    answers = [person.get("/portal/orders?lang=en") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 429, 429]
    assert "Too many requests at once" in read(answers[1].text)
    assert int(answers[1].headers["retry-after"]) > 0
