"""An OpenID Connect provider without a socket, which can be told to lie, to change its keys, or to be down."""

from __future__ import annotations

import hashlib
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import RSAKey

__all__ = ["CLIENT", "ISSUER", "SECRET", "FakeProvider"]

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
