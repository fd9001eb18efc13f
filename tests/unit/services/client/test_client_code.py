"""The client asks for what the OpenAPI document has, and every view comes back as the gateway encoded it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.routing import compile_path

from millmark.ledger.provenance.answers import HistoryRecord, Printable
from millmark.ledger.records import snake_case
from millmark.services.acts import ACTS
from millmark.services.client import Client
from millmark.services.gateway import GatewayParts, build_policy, create_gateway
from millmark.services.gateway.http.route_table import Route, RouteTable
from tests.support.command_line import Runner
from tests.support.gateway_client import Pauses, scripted_client
from tests.support.house import ROOT
from tests.support.stores import new_store

METHODS = [name for name in vars(Client) if not name.startswith("_") and name != "wait"]


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouteTable]:
    with new_store(tmp_path_factory.mktemp("empty")) as store:
        yield create_gateway(GatewayParts(store, build_policy())).state.routes


def show(route: Route) -> Any:
    """The first example of its answer, as JSON; of a list, as its last page."""
    example = next(iter(route.examples.values()))()
    shown: Any = example.to_json() if isinstance(example, Printable) else example
    return shown | {"next": None} if route.paged else shown


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_an_operation_and_has_its_view(name: str, routes: RouteTable) -> None:
    snake = name.replace("iterate_", "list_")
    [route] = [one for one in routes if one.operation and re.sub("([A-Z])", r"_\1", one.operation).lower() == snake]
    [view] = route.views
    shown = show(route)
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=shown)

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


CAUSE = f"0x{'4d' * 32}"
LOT = f"0x{'1a' * 32}"
SHOWN = {
    "orders list --all": ("listOrders", "orders"),
    "assignments list --all": ("listAssignments", "assignments"),
    "lots list --all": ("listLots", "lots"),
    "certificates list --all": ("listCertificates", "certificates"),
    "machines list --all": ("listMachines", "machines"),
    "streams list": ("listStreams", "streams"),
    "models list --all": ("listModels", "models"),
    "setpoints list --all": ("listSetpoints", "setpoints"),
    "plan list": ("listCalls", "calls"),
    "plan causes list --all": ("listCauses", "causes"),
    f"lots show {LOT}": ("listCertificates", "certificates"),
    f"orders show {LOT}": ("listAssignments", "assignments"),
    f"plan causes show {CAUSE}": ("getCause", None),
    f"plan causes dismiss {CAUSE} --reason cleaned": ("dismissCause", None),
    "plan causes report 17 --text worn": ("reportCause", None),
    "setpoints propose FILE --machine 17 --unit EUR": ("proposeSetpoint", None),
}
"""Commands, the operation whose answer they print as JSON, and the member in which it is."""


@pytest.fixture
def run(
    routes: RouteTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Runner:
    """Commands in front of a gateway that answers every request with the example of its route."""

    def answer(request: httpx.Request) -> httpx.Response:
        path, asked = httpx.URL(request.url).path, (one for one in routes if one.method == request.method)
        route = next(one for one in asked if one.operation and compile_path(one.path)[0].fullmatch(path))
        return httpx.Response(200, json=show(route)) if route.examples else httpx.Response(204)

    monkeypatch.setattr("millmark.services.client.open_gateway", lambda _: scripted_client(Pauses(), answer))
    return Runner(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_prints_the_gateways_json(line: str, run: Runner, routes: RouteTable) -> None:
    operation, member = SHOWN[line]
    forecast = {"cost": 1, "energy_wh": 2, "eta_ppm": 3, "e_ppm": 4}
    proposal = {"setpoints": {"feed": 180}, "present": {"feed": 200}, "decimals": {"feed": 0}, "model": "ab" * 32}
    (run.home / "FILE").write_text(json.dumps({**proposal, "horizon_s": 60, "expected": forecast, "kept": forecast}))
    words = line.replace("FILE", str(run.home / "FILE")).split()
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    [example] = [show(route) for route in routes if route.operation == operation]
    printed = json.loads(out)
    del printed["format"]
    assert (printed if member is None else printed[member]) == (example if member is None else example["items"])
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert "None" not in out


def test_a_command_may_have_nothing_to_print(run: Runner) -> None:
    said = run(*["plan", "causes", "mended", "17", "--reason", "replaced"])
    assert said == (0, "machine 17 is offered again, as slowly as before it was withdrawn\n", "")


def test_each_method_is_called_by_the_product_or_shown_in_the_readme() -> None:
    """Acts are declared; CLIENT.md shows theirs. The rest of the API is asked by `get`, `pages` and `post`."""
    texts = [path.read_text("utf-8") for path in (ROOT / "services").rglob("*.py")]
    shown = "".join([*texts, (ROOT / "README.md").read_text("utf-8")])
    acts = set(map(snake_case, ACTS))
    assert [name for name in METHODS if name not in acts and not re.search(rf"\.{name}\b", shown)] == []
