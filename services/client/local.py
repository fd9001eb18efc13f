"""The gateway of one home, for the commands that people give there."""

from __future__ import annotations

import ssl
import time
from pathlib import Path

from millmark.ledger import errors, keys
from millmark.ledger.store import Store
from millmark.services import access, files
from millmark.services.access.rules import PersonRole
from millmark.services.client.client import Client
from millmark.services.client.login import read_login
from millmark.services.settings import SETTINGS_FILE, Settings, read_settings
from millmark.services.store import open_store

GATEWAY_KEY = "gateway-api-key"
"""File (mode 0600) in the home with the API key of the commands that are given there."""
_LIFE_S = 366 * 86_400
_RENEWED_S = 330 * 86_400
"""Age at which the key is replaced: commands must not stop working on the day that it expires."""


def open_gateway(home: Path) -> Client:
    """A client of the gateway that serves the home, with the home's own API key; after `millmark login`, of the gateway
    where a person signed in, as that person. Close it after use.

    A missing or old key is made anew in the home's database. Nothing is sent yet: the first call raises
    GatewayUnreachableError when the gateway does not run. Raises SettingsError.
    """
    settings, login = read_settings(home), read_login(home)
    if login is not None:
        trusted = True if login.authority is None else ssl.create_default_context(cafile=login.authority)
        return Client(login.gateway, login.token, verify=trusted)
    hint = f"start it with `millmark --home {home} gateway`"
    return Client(settings.origin, _key(settings), verify=_trusted(settings), unreachable_hint=hint)


def ensure_gateway_key(settings: Settings, store: Store, participant: int) -> str:
    """The API key of the home's commands, with the scopes of an administrator; created unless there is a young one.
    Raises NotFoundError as long as the index does not have the participant."""
    path, now_s = settings.home / GATEWAY_KEY, int(time.time())
    if not _is_young(path, now_s):
        label = "commands of this home"
        scopes = PersonRole.ADMINISTRATOR.scopes
        text, _ = access.new_api_key(store, participant, scopes, label, now_s=now_s, life_s=_LIFE_S)
        files.write_private_whole(path, f"{text}\n".encode())
    return keys.read_passphrase(path)


def _is_young(path: Path, now_s: int) -> bool:
    return path.is_file() and now_s - path.stat().st_mtime < _RENEWED_S


def _key(settings: Settings) -> str | None:
    path = settings.home / GATEWAY_KEY
    if settings.gateway_participant is None and not settings.gateway_auth.is_open and not path.is_file():
        raise errors.SettingsError(
            "the home does not say whose gateway it is",
            hint=f"set gateway_participant in {settings.home / SETTINGS_FILE}",
        )
    if settings.gateway_participant is None or _is_young(path, int(time.time())):
        return keys.read_passphrase(path) if path.is_file() else None
    with open_store(settings.database_url, settings.evidence_path) as store:
        try:
            return ensure_gateway_key(settings, store, settings.gateway_participant)
        except errors.NotFoundError:  # the gateway has not indexed its company yet, and will say so
            return None


def _trusted(settings: Settings) -> ssl.SSLContext | bool:
    """The gateway's own certificate is trusted where it terminates TLS itself, whoever issued it."""
    certificate = settings.from_home(settings.gateway_tls_certificate)
    if certificate is None:
        return True
    context = ssl.create_default_context(cafile=str(certificate))
    # Otherwise only a certificate that its own key signed would do. From Python 3.13 on, this is the default.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
