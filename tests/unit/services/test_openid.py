"""Sign-in at the company's OpenID Connect provider, also at one that is down, lies, or changes its keys."""

from __future__ import annotations

import hashlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from millmark.ledger.errors import SettingsError
from millmark.services.access import SignInError, authenticate
from millmark.services.access.people.openid import OpenId, Provider, ProviderError
from millmark.services.access.people.people import People
from millmark.services.access.rules import PersonRole
from millmark.services.access.signin import NONCE_LIFE_S
from tests.support.company_site import Site, open_site

ISSUER, CLIENT, SECRET = "https://login.example/realms/works", "millmark", "a secret of the provider"


@dataclass
class FakeProvider:
    """Signs in whoever is named in `subject`. `claims` and `answers` are what it says instead of the truth."""

    now_s: int
    subject: str = "ada"
    claims: dict[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    algorithm: str = "RS256"
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    published: RSAKey | None = None
    """The key in its list, if another than it signs with."""
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def client(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self._answer))

    def visit(self, address: str) -> tuple[str, str]:
        """What the browser brings back from an address: a code and the state."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (query["client_id"], query["response_type"], query["scope"]) == (CLIENT, "code", "openid")
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return code, query["state"]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/realms/works")
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            paths = {"authorization_endpoint": "/auth", "token_endpoint": "/token", "jwks_uri": "/keys"}
            return httpx.Response(200, json={"issuer": ISSUER, **{name: ISSUER + at for name, at in paths.items()}})
        if path == "/keys":
            return httpx.Response(200, json={"keys": [(self.published or self.key).as_dict(private=False)]})
        return self._token(request)

    def _token(self, request: httpx.Request) -> httpx.Response:
        given = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        asked = self.codes.pop(given.get("code", ""), None)
        challenge = urlsafe_b64encode(hashlib.sha256(given.get("code_verifier", "").encode()).digest()).rstrip(b"=")
        known = "Basic " + b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked is None or asked["code_challenge"] != challenge.decode() or request.headers["authorization"] != known:
            return httpx.Response(400, json={"error": "invalid_grant"})
        times = {"iat": self.now_s, "exp": self.now_s + 300}
        claims = {"iss": ISSUER, "aud": CLIENT, "sub": self.subject, "nonce": asked["nonce"], **times, **self.claims}
        said = {name: value for name, value in claims.items() if name not in self.left_out}
        header = {"alg": self.algorithm, "kid": self.key.kid}
        return httpx.Response(200, json={"id_token": jwt.encode(header, said, self.key, algorithms=[self.algorithm])})


NOW = 1_800_000_000
ORIGIN = "https://gateway.example:8600"


@dataclass
class Company:
    site: Site
    provider: FakeProvider = field(default_factory=lambda: FakeProvider(NOW))
    people: People = field(init=False)
    openid: OpenId = field(init=False)

    def __post_init__(self) -> None:
        self.people = People(self.site.store, self.site.number)
        provider = Provider(ISSUER, CLIENT, SECRET)
        self.openid = OpenId(
            self.site.store, self.people, provider, ORIGIN, lambda: b"k" * 32, self.provider.client(), lambda: 0.0
        )

    def sign_in(self, invitation: str = "", now_s: int = NOW) -> str:
        address, kept = self.openid.begin(now_s)
        code, state = self.provider.visit(address)
        return self.openid.finish(code, state, kept, now_s, invitation).token

    def invited(self, role: PersonRole = PersonRole.READER) -> str:
        return self.people.invite("Ada", role, now_s=NOW).code


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    for site in open_site(tmp_path):
        yield Company(site)


def test_an_invited_account_signs_in_from_then_on(company: Company) -> None:
    company.sign_in(company.invited(PersonRole.RECORDER))
    principal = authenticate(company.site.store, company.sign_in(), now_s=NOW, owner=company.site.number)
    assert (principal.person, principal.name, principal.owner) == (1, "Ada", True)


def test_an_account_that_nobody_invited_stays_outside(company: Company) -> None:
    company.sign_in(company.invited())
    company.provider.subject = "mallory"
    with pytest.raises(SignInError, match="nobody was invited with this account"):
        company.sign_in()
    company.provider.subject = "ada"
    company.people.invite("Boss", PersonRole.ADMINISTRATOR, now_s=NOW)
    company.people.remove(1, NOW)
    with pytest.raises(SignInError, match="nobody was invited with this account"):
        company.sign_in()


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "https://evil.example"}, "by another issuer"),
        ({"aud": "another program"}, "for another program"),
        ({"aud": [CLIENT, "another"]}, "for several programs"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "for another program"),
        ({"aud": []}, "for another program"),
        ({"nonce": "x"}, "answers another question"),
        ({"exp": NOW - 3600}, "has expired"),
        ({"exp": "soon"}, "has expired"),
        ({"exp": True}, "has expired"),
        ({"iat": NOW + 3600}, "from another time"),
        ({"iat": NOW - 3600}, "from another time"),
        ({"sub": ""}, "names nobody"),
        ({"sub": 7}, "names nobody"),
        ({"sub": "x" * 256}, "names nobody"),
        ({"sub": "a\x00b"}, "names nobody"),
        ({"sub": "å"}, "names nobody"),
    ],
)
def test_a_lie_is_refused(company: Company, claims: dict[str, Any], said: str) -> None:
    company.sign_in(company.invited())
    company.provider.claims = claims
    with pytest.raises(SignInError, match=said):
        company.sign_in()


@pytest.mark.parametrize("name", ["iss", "aud", "nonce", "exp", "iat", "sub"])
def test_a_token_without_a_claim_is_refused(company: Company, name: str) -> None:
    company.sign_in(company.invited())
    company.provider.left_out = (name,)
    with pytest.raises(SignInError):
        company.sign_in()


def test_keys_may_change(company: Company) -> None:
    company.sign_in(company.invited())
    company.provider.key = RSAKey.generate_key(2048, {"kid": "second"})
    assert company.sign_in()
    assert company.provider.asked.count("/keys") == 2  # fetched again for the unknown one, and only then


@pytest.mark.parametrize("kid", ["first", "other"])
def test_a_token_by_a_key_that_is_not_the_providers_is_refused(company: Company, kid: str) -> None:
    company.sign_in(company.invited())
    company.provider.published = company.provider.key
    company.provider.key = RSAKey.generate_key(2048, {"kid": kid})
    with pytest.raises(SignInError, match="ID token was refused"):
        company.sign_in()


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"location": "https://evil.example"}),
        httpx.Response(200, text="no JSON"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={}),
        httpx.Response(200, content=b"x" * (2 << 20)),
        httpx.Response(200, content=b"[" * 100_000),
    ],
    ids=["fails", "redirects", "no JSON", "a list", "empty", "endless", "deep"],
)
def test_a_broken_provider_keeps_people_out(company: Company, path: str, answer: httpx.Response) -> None:
    code = company.invited()
    company.provider.answers = {path: answer}
    with pytest.raises((ProviderError, SignInError)):
        company.sign_in(code)
    company.provider.answers = {}
    assert Company(company.site, FakeProvider(NOW)).sign_in(code)  # the invitation was not spent


def test_a_mistake_of_the_provider_is_not_remembered(company: Company) -> None:
    company.provider.answers = {"/.well-known/openid-configuration": httpx.Response(200, json={})}
    with pytest.raises(ProviderError, match="describes another issuer"):
        company.openid.begin(NOW)
    company.provider.answers = {}
    assert company.sign_in(company.invited())


def test_an_account_that_somebody_has_takes_no_second_invitation(company: Company) -> None:
    company.sign_in(company.invited())
    code = company.invited()
    with pytest.raises(SignInError, match="is somebody's here already"):
        company.sign_in(code)
    company.provider.subject = "grace"
    assert company.sign_in(code)  # it was not spent


def test_a_provider_that_is_down_is_named(company: Company) -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client = httpx.Client(transport=httpx.MockTransport(fail))
    provider = Provider(ISSUER, CLIENT, SECRET)
    openid = OpenId(company.site.store, company.people, provider, ORIGIN, lambda: b"k" * 32, client)
    with pytest.raises(ProviderError, match="did not answer: ConnectError; sign in with a passkey"):
        openid.begin(NOW)


@pytest.mark.parametrize(
    "endpoint", ["http://login.example/auth", "", None, "javascript:alert(1)", "https://[", "ftp://localhost/auth"]
)
def test_an_endpoint_without_https_is_not_used(company: Company, endpoint: object) -> None:
    company.provider.answers["/.well-known/openid-configuration"] = httpx.Response(
        200, json={"issuer": ISSUER, "authorization_endpoint": endpoint}
    )
    with pytest.raises(ProviderError, match="names no authorization_endpoint by https"):
        company.openid.begin(NOW)


def test_the_answer_is_for_the_browser_that_asked_once_and_in_time(company: Company) -> None:
    company.sign_in(company.invited())
    address, kept = company.openid.begin(NOW)
    code, state = company.provider.visit(address)
    _, others = company.openid.begin(NOW)
    for state_, kept_, now_s in (
        (state, others, NOW),
        (state, "", NOW),
        (state, kept, NOW + NONCE_LIFE_S),
        ("x", "x", NOW),
    ):
        with pytest.raises(SignInError, match="not to a question of this browser, or is too old"):
            company.openid.finish(code, state_, kept_, now_s)
    company.openid.finish(code, state, kept, NOW)
    code, _ = company.provider.visit(address)
    with pytest.raises(SignInError, match="was used before"):
        company.openid.finish(code, state, kept, NOW)


def test_a_provider_without_https_is_refused_by_the_settings() -> None:
    for issuer in ("http://login.example", "login.example", "ftp://login.example"):
        with pytest.raises(SettingsError, match="is not an https URL"):
            Provider(issuer, CLIENT, SECRET)
    Provider("http://localhost:9000", CLIENT, SECRET)
