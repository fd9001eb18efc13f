"""The session of a person who signed in with `millmark login`, as a home keeps it."""

from __future__ import annotations

import json
import ssl
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from millmark.ledger.errors import InputError, SettingsError
from millmark.services.files import write_private_whole

LOGIN = "login.json"
"""File (mode 0600) in the home."""
_TIMEOUT_S = 30.0
_ENDED = (204, 401)
"""Answers after which the token is not valid: the session was ended, or had ended before."""


@dataclass(frozen=True, slots=True)
class Login:
    """A person's session at a gateway."""

    gateway: str
    token: str
    name: str
    expires_at: str
    authority: str | None
    """Path of a certificate to trust."""

    @classmethod
    def redeem(cls, gateway: str, code: str, verifier: str, authority: Path | None) -> Login:
        """Opens the session that a person agreed to. Raises InputError if the gateway refuses, and SettingsError if it
        cannot be reached."""
        kept = None if authority is None else str(authority.resolve())
        body = {"code": code, "verifier": verifier}
        try:
            with _open(gateway, kept) as client:
                answer = client.post("/v1/people/sessions", json=body)
        except (httpx.HTTPError, ssl.SSLError) as error:
            raise SettingsError(
                f"{gateway} cannot be reached: {error}", hint="check its address, or --authority"
            ) from None
        if answer.status_code != 201:
            raise InputError(f"{gateway} refused the code", hint="start again: `millmark login`")
        made = answer.json()
        return cls(gateway, str(made["token"]), str(made["name"]), str(made["expires_at"]), kept)

    def close(self) -> None:
        """Ends the session; one that has ended already is not an error. Raises SettingsError if the gateway cannot be
        reached, or did not end it: the token is then still valid."""
        hint = "try again; until then its token is valid, at most for a working day"
        try:
            with _open(self.gateway, self.authority) as client:
                answer = client.delete("/v1/session", headers={"Authorization": f"Bearer {self.token}"})
        except (httpx.HTTPError, OSError) as error:  # OSError: also of a certificate that is not there any more
            raise SettingsError(f"{self.gateway} cannot be reached: {error}", hint=hint) from None
        if answer.status_code not in _ENDED:
            raise SettingsError(f"{self.gateway} did not end the session: HTTP {answer.status_code}", hint=hint)


def _open(gateway: str, authority: str | None) -> httpx.Client:
    trusted = True if authority is None else ssl.create_default_context(cafile=authority)
    # Without the environment's proxies and .netrc: what is sent is for this gateway only.
    return httpx.Client(base_url=gateway, timeout=_TIMEOUT_S, trust_env=False, verify=trusted)


def write_login(home: Path, login: Login) -> None:
    write_private_whole(home / LOGIN, json.dumps(asdict(login)).encode())


def read_login(home: Path) -> Login | None:
    """The kept session; None if nobody signed in. Raises SettingsError if the file does not contain a session."""
    path = home / LOGIN
    if not path.is_file():
        return None
    try:
        return Login(**json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError):
        raise SettingsError(f"{path} is not a session", hint="remove it and run `millmark login`") from None


def forget_login(home: Path) -> None:
    (home / LOGIN).unlink(missing_ok=True)
