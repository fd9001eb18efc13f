"""The gateway of a home: where it is, and with which key its commands call it."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from millmark.ledger.errors import NotFoundError, SettingsError
from millmark.services.access import Scope, authenticate
from millmark.services.client import GatewayUnreachableError, Retries, ensure_gateway_key, open_gateway
from millmark.services.client.local import GATEWAY_KEY
from millmark.services.settings import read_settings
from tests.support.fake_world import SMITH, World, build_world
from tests.support.ports import closed_port
from tests.support.stores import new_store


def test_the_key_has_all_scopes_of_the_owner_and_is_made_once(tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        world: World = build_world(store)
        settings = read_settings(tmp_path)
        key = ensure_gateway_key(settings, world.store, SMITH)
        assert ensure_gateway_key(settings, world.store, SMITH) == key
        caller = authenticate(world.store, key, now_s=int(time.time()), owner=SMITH)
        assert caller.scopes == frozenset(Scope)
        assert stat.S_IMODE((tmp_path / GATEWAY_KEY).stat().st_mode) == 0o600
        (tmp_path / GATEWAY_KEY).unlink()
        with pytest.raises(NotFoundError):
            ensure_gateway_key(settings, world.store, 999)
        assert not (tmp_path / GATEWAY_KEY).exists()


def test_a_gateway_that_does_not_run_is_told_with_the_command_that_starts_it(tmp_path: Path) -> None:
    port = closed_port()
    (tmp_path / "millmark.toml").write_text(f'gateway_port = {port}\ngateway_auth = "loopback-open"\n')
    with open_gateway(tmp_path) as gateway:
        gateway.retries = Retries(attempts=1)
        told = f"no gateway answers at http://localhost:{port}; start it with `millmark --home {tmp_path} gateway`"
        with pytest.raises(GatewayUnreachableError) as refused:
            gateway.get_session()
    assert str(refused.value) == told


def test_a_home_of_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="does not say whose gateway it is; set gateway_participant"):
        open_gateway(tmp_path)
    assert not (tmp_path / "millmark.sqlite").exists()
