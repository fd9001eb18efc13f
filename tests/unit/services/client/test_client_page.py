"""The page of the client in Python: its examples run, and between them they call every method."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import compile_path

from millmark.ledger.provenance.answers import Printable
from millmark.services.client import Client
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from tests.support.gateway_client import Pauses, scripted_client
from tests.support.house import ROOT
from tests.support.stores import new_store

BLOCKS = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "services" / "client" / "CLIENT.md").read_text("utf-8"), re.M | re.S
)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Client]:
    """In front of a gateway that answers every request with the example of its route."""
    with new_store(tmp_path) as store:
        routes = [one for one in create_gateway(GatewayParts(store, build_policy())).state.routes if one.operation]

        def answer(request: httpx.Request) -> httpx.Response:
            path = httpx.URL(request.url).path
            asked = [one for one in routes if one.method == request.method]
            route = next(one for one in asked if compile_path(one.path)[0].fullmatch(path))
            shown: Any = next(iter(route.examples.values()))()
            found = shown.to_json() if isinstance(shown, Printable) else shown
            return httpx.Response(200, json=found | {"next": None} if route.paged else found)

        with scripted_client(Pauses(), answer) as client:
            yield client


def test_the_examples_run_and_call_every_method(gateway: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def open_gateway(_: Path) -> Iterator[Client]:
        yield gateway

    monkeypatch.setattr("millmark.client.open_gateway", open_gateway)
    known: dict[str, Any] = {"gateway": gateway}
    for block in BLOCKS:
        exec(compile(block, "CLIENT.md", "exec"), known)  # noqa: S102  # a page of our own
    called = {
        node.func.attr
        for block in BLOCKS
        for node in ast.walk(ast.parse(block))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    methods = {name for one in Client.__mro__ for name in vars(one) if callable(getattr(Client, name))}
    assert sorted(name for name in methods if not name.startswith("_") and name != "close" and name not in called) == []
