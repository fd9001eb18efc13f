"""Ports that the laboratory gives to programs before they listen."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from millmark.ledger.errors import SettingsError
from millmark.services.demo.processes import held_port
from millmark.services.serving import hosts
from millmark.services.serving.server import listen, listen_at_all

pytestmark = pytest.mark.integration


def test_a_held_port_is_our_servers_alone() -> None:
    with held_port() as port:
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family) as other, pytest.raises(OSError, match="in use"):
                other.bind((address, port))
            with listen(address, port), socket.create_connection((address, port)):
                pass


def test_two_never_hold_the_same_port() -> None:
    with held_port() as first, held_port(first) as second:
        assert first != second


def test_the_preferred_port_is_taken_when_it_is_free() -> None:
    with held_port() as port:
        pass
    with held_port(port) as again:
        assert again == port


def test_a_server_on_the_loopback_is_at_both_of_its_addresses() -> None:
    with held_port() as port, ExitStack() as stack:
        addresses = [stack.enter_context(one).getsockname()[0] for one in listen_at_all("127.0.0.1", port)]
        assert addresses == ["127.0.0.1", "::1"], "browsers try either first"


def test_nobody_else_may_be_at_one_of_them() -> None:
    """Browsers that try it first would show another program's pages under our name."""
    with held_port() as port, listen("::1", port), pytest.raises(SettingsError, match=rf"::1:{port}: Address already"):
        listen_at_all("localhost", port)
    with held_port() as port, listen("127.0.0.1", port):
        pass


def test_a_machine_without_one_of_them_serves_at_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_LOOPBACK", ("127.0.0.1", "2001:db8::1"))
    with held_port() as port, ExitStack() as stack:
        assert [stack.enter_context(one).getsockname()[0] for one in listen_at_all("127.0.0.1", port)] == ["127.0.0.1"]
        with pytest.raises(SettingsError, match="2001"):
            listen_at_all("2001:db8::2", port)
