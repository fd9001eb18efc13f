"""Ports that the laboratory gives to programs before they listen."""

from __future__ import annotations

import socket

import pytest

from services.lab.processes import held_port
from services.serving.server import listen

pytestmark = pytest.mark.integration


def test_a_held_port_is_our_servers_alone() -> None:
    with held_port() as port:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        with listen("127.0.0.1", port), socket.create_connection(("127.0.0.1", port)):
            pass


def test_two_never_hold_the_same_port() -> None:
    with held_port() as first, held_port(first) as second:
        assert first != second


def test_the_preferred_port_is_taken_when_it_is_free() -> None:
    with held_port() as port:
        pass
    with held_port(port) as again:
        assert again == port
