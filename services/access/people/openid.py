"""Sign-in with an account at the company's OpenID Connect provider (OpenID Connect Core 1.0, code flow with PKCE).

An account counts once a person took an invitation with it: whoever else has one at the same provider stays outside. The
provider is asked when somebody signs in; one that is down or lies keeps people out and passkeys working.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from millmark.ledger.errors import Retry, SettingsError
from millmark.ledger.store import Store
from millmark.services.access.errors import AccessError, Ground, SignInError
from millmark.services.access.people.people import Entered, People
from millmark.services.access.people.repository import OpenIdRow, PeopleRepository
from millmark.services.access.repository import AccessRepository
from millmark.services.access.signin import CLOCK_SKEW_S, NONCE_LIFE_S, Key, Nonces

BACK_PATH = "/portal/sign-in/account"
_MAX_BYTES = 1 << 20
_TIMEOUT_S = 10.0
_KEPT_S = 3600
"""How long the provider's description and keys are kept. A token by an unknown key has them fetched again."""
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures alone: with a shared secret or none, whoever can read the settings could sign."""
_SUBJECT = re.compile(r"[\x21-\x7e]{1,255}")
"""At most 255 ASCII characters (OpenID Connect Core, 2)."""
_MOST_ASKED = 4
"""Questions to the provider at one time: one that hangs must not take all threads of the gateway."""
_HINT = "sign in again, or with a passkey"


class ProviderError(AccessError):
    """The company's provider did not answer, or not as it must."""

    code = "provider-failed"
    retry = Retry.UNCHANGED


@dataclass(frozen=True, slots=True)
class Provider:
    """The company's provider, as the settings name it."""

    issuer: str
    client_id: str
    secret: str

    def __post_init__(self) -> None:
        if not _is_safe(self.issuer):
            raise SettingsError(
                f"openid_issuer {self.issuer} is not an https URL", hint="the provider's documentation has it"
            )


class OpenId:
    """Signs in people with accounts of one provider. `origin` is the gateway's public URL."""

    def __init__(
        self,
        store: Store,
        people: People,
        provider: Provider,
        origin: str,
        key: Key,
        client: httpx.Client | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._people, self._provider = store, people, provider
        self._back, self._key, self._nonces = origin + BACK_PATH, key, Nonces(key)
        self._client = client or httpx.Client(timeout=_TIMEOUT_S, follow_redirects=False)
        self._monotonic = monotonic
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}
        self._asking = threading.BoundedSemaphore(_MOST_ASKED)

    def begin(self, now_s: int) -> tuple[str, str]:
        """Where to send the browser, and the state that it keeps in a cookie until it is back. Raises ProviderError."""
        state = self._nonces.issue(now_s)
        query = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": self._back,
            "scope": "openid",
            "state": state,
            "nonce": self._derive("nonce", state),
            "code_challenge": _text(hashlib.sha256(self._derive("verifier", state).encode()).digest()),
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}", state

    def finish(self, code: str, state: str, kept: str, now_s: int, invitation: str = "") -> Entered:
        """Opens a session for the person with the account that the provider names, or for whom the invitation is.

        `state` is what came back with the browser, `kept` what its cookie has. Raises SignInError, ProviderError."""
        expiry = self._nonces.expiry(state)
        # The cookie ties the answer to the browser that asked: a stranger's code opens nothing here.
        if (
            expiry is None
            or now_s >= expiry
            or not hmac.compare_digest(state.encode(), kept.encode("utf-8", "replace"))
        ):
            raise SignInError(Ground.FOREIGN.write(), hint=_HINT)
        subject = self._verify(self._exchange(code, state), state, now_s)
        with self._store.transaction() as connection:
            access, people = AccessRepository(connection), PeopleRepository(connection)
            if not access.spend_nonce(state, now_s + 2 * NONCE_LIFE_S, now_s):
                raise SignInError(Ground.REPEATED.write(), hint=_HINT)
            account = people.openid_account(self._provider.issuer, subject)
            if account is not None and invitation:
                raise SignInError(
                    Ground.TAKEN.write(),
                    hint="sign in with it, or take the invitation with another",
                )
            if account is not None:
                person = people.person(account.person)
            elif invitation:
                person = self._people.welcome(connection, invitation, now_s)
                people.add_openid_account(OpenIdRow(self._provider.issuer, subject, person.number, now_s))
            else:
                person = None
            if person is None:
                raise SignInError(
                    Ground.UNINVITED.write(),
                    hint="ask an administrator of your company for an invitation",
                )
            return self._people.enter(connection, person, now_s)

    def _exchange(self, code: str, state: str) -> str:
        """The ID token for a code."""
        body = {
            "grant_type": "authorization_code",
            "code": code[:2048],
            "redirect_uri": self._back,
            "code_verifier": self._derive("verifier", state),
        }
        credentials = (self._provider.client_id, self._provider.secret)
        answer = self._ask("POST", self._endpoint("token_endpoint"), data=body, auth=credentials)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise ProviderError(Ground.NO_TOKEN.write(), hint=_HINT)
        return token

    def _verify(self, text: str, state: str, now_s: int) -> str:
        """The subject of an ID token, after all checks of OpenID Connect Core, 3.1.3.7. Raises SignInError."""
        claims = self._decode(text)
        wanted, audience = self._provider.client_id, claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        subject, expiry, issued = (claims.get(name) for name in ("sub", "exp", "iat"))
        faults = {
            Ground.TOKEN_OF_OTHER_ISSUER: claims.get("iss") != self._provider.issuer,
            Ground.TOKEN_FOR_OTHER_PROGRAM: wanted not in audiences or claims.get("azp", wanted) != wanted,
            Ground.TOKEN_FOR_SEVERAL: len(audiences) > 1 and "azp" not in claims,
            Ground.TOKEN_TO_OTHER_QUESTION: claims.get("nonce") != self._derive("nonce", state),
            Ground.TOKEN_EXPIRED: type(expiry) is not int or now_s > expiry + CLOCK_SKEW_S,
            Ground.TOKEN_OF_OTHER_TIME: type(issued) is not int or abs(now_s - issued) > NONCE_LIFE_S + CLOCK_SKEW_S,
            Ground.TOKEN_OF_NOBODY: not isinstance(subject, str) or not _SUBJECT.fullmatch(subject),
        }
        if wrong := next((cause for cause, found in faults.items() if found), None):
            raise SignInError(Ground.TOKEN.write(why=wrong.write()), hint=_HINT)
        return str(subject)

    def _decode(self, text: str) -> dict[str, Any]:
        """The claims of a token that the provider signed; its keys may have changed since they were fetched."""
        for fresh in (False, True):
            try:
                keys = KeySet.import_key_set(self._fetch(self._endpoint("jwks_uri"), fresh=fresh))  # type: ignore[arg-type]  # checked there
                return dict(jwt.decode(text, keys, algorithms=_ALGORITHMS).claims)
            except (JoseError, ValueError, TypeError, KeyError) as error:
                if fresh:
                    why = Ground.TOKEN_UNREADABLE.write(fault=type(error).__name__)
                    raise SignInError(Ground.TOKEN.write(why=why), hint=_HINT) from None
        raise AssertionError("unreachable")

    def _endpoint(self, name: str) -> str:
        where = f"{self._provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = self._fetch(where)
        cause = None
        if found.get("issuer") != self._provider.issuer:
            cause = Ground.OTHER_PROVIDER.write()
        elif not _is_safe(found.get(name)):
            cause = Ground.NO_ENDPOINT.write(name=name)
        if cause is not None:
            self._kept.pop(where, None)  # asked again the next time: a mistake there may be corrected by then
            raise ProviderError(cause, hint="check openid_issuer")
        return str(found[name])

    def _fetch(self, url: str, *, fresh: bool = False) -> dict[str, Any]:
        made_at, found = self._kept.get(url, (float("-inf"), {}))
        if fresh or self._monotonic() - made_at > _KEPT_S:
            found = self._ask("GET", url)
            self._kept[url] = (self._monotonic(), found)
        return found

    def _ask(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        """A JSON object from the provider, bounded in time and size."""
        if not self._asking.acquire(blocking=False):
            raise ProviderError(Ground.SLOW.write(), hint="sign in with a passkey")
        try:
            return self._ask_now(method, url, **options)
        finally:
            self._asking.release()

    def _ask_now(self, method: str, url: str, **options: Any) -> dict[str, Any]:
        deadline, content = self._monotonic() + _TIMEOUT_S, b""
        try:
            with self._client.stream(method, url, headers={"Accept": "application/json"}, **options) as answer:
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > _MAX_BYTES or self._monotonic() > deadline:
                        raise ProviderError(Ground.LARGE_ANSWER.write(), hint=_HINT)
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            cause = Ground.SILENT.write(fault=type(error).__name__)
            raise ProviderError(cause, hint="sign in with a passkey, or try again later") from None
        found = None
        with suppress(ValueError, RecursionError):
            found = json.loads(content)
        if status != httpx.codes.OK or not isinstance(found, dict):
            said = found.get("error") if isinstance(found, dict) else None
            cause = Ground.PROVIDER_ANSWERED.write(status=status)
            if said:
                cause = Ground.PROVIDER_SAID.write(status=status, said=f"{str(said)[:60]!a}")
            raise ProviderError(cause, hint=_HINT)
        return found

    def _derive(self, what: str, state: str) -> str:
        """Text that only this gateway can make from a state, so that nothing has to be kept between the two steps."""
        text = f"millmark.openid.{what}\0{state}"
        return _text(hmac.new(self._key(), text.encode(), hashlib.sha256).digest())


def _is_safe(url: object) -> bool:
    """Whether an address is one of https, or of http on this machine."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return False
    return parts is not None and (parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname)))


def _is_here(host: str | None) -> bool:
    """Whether a host is this machine, to which nobody else listens."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")
