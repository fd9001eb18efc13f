"""The client asks for what the OpenAPI document has, and every view comes back as the gateway encoded it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from millmark.ledger.provenance.answers import HistoryRecord, Printable
from millmark.services.client import Client
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.http.route_table import RouteTable
from tests.support.client_site import Pauses, scripted_client
from tests.support.house import ROOT
from tests.support.stores import new_store

METHODS = [name for name in vars(Client) if not name.startswith("_") and name != "wait"]


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouteTable]:
    with new_store(tmp_path_factory.mktemp("empty")) as store:
        yield create_gateway(GatewayParts(store, build_policy())).state.routes


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_an_operation_and_has_its_view(name: str, routes: RouteTable) -> None:
    snake = name.replace("iterate_", "list_")
    [route] = [one for one in routes if one.operation and re.sub("([A-Z])", r"_\1", one.operation).lower() == snake]
    [view] = route.views
    [example, *_] = [build() for build in route.examples.values()]
    shown: Any = example.to_json() if isinstance(example, Printable) else example
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=json.dumps(shown | {"next": None} if route.paged else shown))

    parts = re.findall("{.*?}", route.path)
    found = getattr(scripted_client(Pauses(), answer), name)(*parts)
    [found] = found if route.paged else [found]
    assert isinstance(found, view)
    assert isinstance(found, Printable)
    assert found.to_json() == (shown["items"][0] if route.paged else shown)
    [request] = seen
    assert (request.method, httpx.URL(request.url).path) == (route.method, route.path)
    assert ("idempotency-key" in request.headers) is (route.method == "POST")


def test_every_view_is_read_back_as_it_was_encoded(routes: RouteTable) -> None:
    """But those with events, whose JSON does not say the kind."""
    kinds = set()
    for example in (build() for route in routes for build in route.examples.values()):
        if isinstance(example, Printable) and not getattr(example, "records", ()):
            assert type(example).from_json(json.loads(example.encode())) == example
            kinds.add(type(example))
    assert len(kinds) > 30
    with pytest.raises(ValueError, match="HistoryRecord"):
        HistoryRecord.from_json({})


def test_each_method_is_called_by_the_product_or_shown_in_the_readme() -> None:
    """The rest of the API is asked by `get`, `pages` and `post`."""
    texts = [path.read_text("utf-8") for path in (ROOT / "services").rglob("*.py")]
    shown = "".join([*texts, (ROOT / "README.md").read_text("utf-8")])
    assert [name for name in METHODS if not re.search(rf"\.{name}\b", shown)] == []
