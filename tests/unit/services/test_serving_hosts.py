"""Requests for another host are refused: by a page whose name points here, a browser would send anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest
from starlette.applications import Starlette

from millmark.services.node.config import HttpSource
from millmark.services.node.http_capture import create_capture
from millmark.services.serving.hosts import HostCheck, choose_hosts, is_own_host
from millmark.services.serving.logs import build_logger
from tests.support.gateway_client import client_of
from tests.support.node_parts import open_parts


@pytest.mark.parametrize(
    ("host", "more", "own", "foreign"),
    [
        ("127.0.0.1", (), "localhost:8610", "evil.example"),
        ("127.0.0.1", ("Node.example",), "node.EXAMPLE", "127.0.0.2"),
        ("::1", (), "[::1]:8610", "[::2]"),
        ("10.0.0.7", (), "10.0.0.7:8610", "10.0.0.8:8610"),
        ("node.example", (), "node.example", "node.example.evil.example"),
        ("0.0.0.0", ("node.example",), "node.example", "0.0.0.1"),  # noqa: S104  # behind TLS
    ],
)
def test_own_names_are_those_of_the_address_and_the_configuration(
    host: str, more: tuple[str, ...], own: str, foreign: str
) -> None:
    hosts = choose_hosts(host, more)
    assert hosts is not None
    assert is_own_host([own], hosts)
    assert not any(is_own_host(given, hosts) for given in ([foreign], [], [own, own], [""]))


def test_a_server_on_all_addresses_does_not_know_its_names() -> None:
    assert choose_hosts("0.0.0.0") is None  # noqa: S104  # behind TLS
    assert choose_hosts("::") is None


def test_a_foreign_page_records_nothing_at_a_node_without_a_token(tmp_path: Path) -> None:
    with open_parts(tmp_path) as parts:

        def refresh() -> None:
            raise AssertionError("nobody was to be told")

        app = create_capture(parts.intake, parts.metrics, refresh, None, build_logger())  # type: ignore[arg-type]  # not asked
        checked = HostCheck(app, choose_hosts(HttpSource().host, HttpSource().hosts))
        event = json.dumps({"id": "e1", "stream": "press", "data": {}})

        def ask(host: str) -> int:
            headers = {"Host": host, "Origin": "https://evil.example", "Content-Type": "application/json"}
            return client_of(cast("Starlette", checked), headers).post("/v1/events", content=event).status_code

        for path in ("/ready", "/health", "/metrics"):
            assert client_of(cast("Starlette", checked), {"Host": "evil.example"}).get(path).status_code == 421
        assert ask("evil.example") == 421
        assert parts.contents() == []
        assert ask("127.0.0.1:8610") == 200
        assert len(parts.contents()) == 1
