"""The gateway as a whole: generated requests against its own document, and a real server beside a real chain."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import positive_data_acceptance

from millmark.ledger.ids import SubjectKind
from millmark.ledger.records import Contract, OrderTerms, PlaceOrder
from millmark.ledger.store import Store
from millmark.services.demo.consortium import found_consortium, hash_of
from millmark.services.demo.delivery import inspect_parts
from millmark.services.demo.plant import build_plant
from millmark.services.demo.production import Job, Line, make_parts, place_orders
from millmark.services.gateway import GatewayParts, Limiter, Rates, build_policy, create_gateway
from millmark.services.serving.server import build_server, listen
from millmark.services.store import open_store
from tests.bench.api import measure_api
from tests.support.fake_world import World, build_world
from tests.support.loopback import running
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration
ORDERS = 2
_CASES = 80
"""For each operation, and as many again that break its schema."""
OPERATIONS = (
    "/v1/trace/{identifier}",
    "/v1/certificates/{id}",
    "/v1/recall",
    "/v1/status",
    "/v1/session",
    "/v1/sign-in",
    "/health",
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_store(f"sqlite:///{tmp_path_factory.mktemp('gateway') / 'ledger.db'}") as store:
        yield build_world(store)


@pytest.fixture(scope="module")
def api_schema(world: World) -> BaseSchema:
    rejections = {"expected-statuses": [400, 404, 414, 422]}
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": rejections}})
    policy = replace(
        build_policy("loopback-open"), hosts=frozenset({"testserver", "localhost"})
    )  # what schemathesis calls us
    app = create_gateway(
        GatewayParts(world.store, policy, limiter=Limiter(Rates(1e9, 1e9)))
    )  # which would answer before the route
    return schemathesis.openapi.from_asgi("/openapi.json", app, config=config)


@pytest.mark.parametrize("path", OPERATIONS)
def test_generated_requests_are_answered_as_the_document_says(api_schema: BaseSchema, world: World, path: str) -> None:
    operation = api_schema[path]["GET"]
    known = {
        "identifier": st.sampled_from([identity.identifier for identity in world.fake.identities.values()]),
        "id": st.sampled_from([*world.certificates.values()]),
    }
    span = {"since": "2025-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    recalled: list[dict[str, object]] = [{"model": world.model}, {"machine": world.machine, **span}]
    seen: Counter[int] = Counter()

    @settings(max_examples=_CASES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def answer(data: st.DataObject, mode: GenerationMode) -> None:
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if mode is GenerationMode.POSITIVE and data.draw(st.booleans()):
            for name in case.path_parameters or {}:  # chance alone never finds what is recorded
                case.path_parameters[name] = data.draw(known[name])
            if path == "/v1/recall":
                limits = {name: value for name, value in (case.query or {}).items() if name in ("depth", "lots")}
                case.query = {**limits, **data.draw(st.sampled_from(recalled))}
        # Left out: that every text of the right length is accepted. A schema cannot say which are identifiers.
        seen[case.call_and_validate(excluded_checks=[positive_data_acceptance]).status_code] += 1

    answer(mode=GenerationMode.POSITIVE)
    if operation.definition.raw.get("parameters"):
        answer(mode=GenerationMode.NEGATIVE)
        assert seen.total() >= _CASES
    assert seen[200]
    assert max(seen) < 500


def test_every_operation_at_a_real_gateway_on_a_real_chain() -> None:
    """The short profile of `scripts/bench api`."""
    found = measure_api(220, 7)
    assert (found.server_errors, found.failures) == (0, [])
    assert found.cases >= 220
    assert found.operations > 100
    assert found.statuses[202] > 0


@contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """The application behind a real server on a free port of the loopback; a client of it."""
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with (
            running(build_server(app, "127.0.0.1", port), listening),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=MAX_S) as client,
        ):
            yield client


def produce(store: Store) -> Line:
    """A few orders from placing to certificate, on the embedded chain."""
    models = resources.files("millmark.quality") / "models"
    consortium = found_consortium(store)
    plant = build_plant(consortium, (models / "forda.bin").read_bytes(), "{}")
    now = int(time.time())
    line = place_orders(consortium, plant, ORDERS, now)
    make_parts(line)
    windows = [[0] * plant.inspector.model.width] * ORDERS
    inspect_parts(line, line.jobs, windows, now)
    return line


def test_a_real_server_follows_a_real_chain(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'ledger.db'}") as store:
        line = produce(store)
        app = create_gateway(
            GatewayParts(store, build_policy("loopback-open"), chain=line.consortium.chain, follow_interval_s=0.05)
        )
        with serving(app) as client:
            status = until_equal(client)
            assert status["index"]["ledger_sequence"] == line.consortium.chain.sequence(Contract.LEDGER)
            assert status["outbox"]["final"] == line.consortium.recorded.total()
            for job in line.jobs:
                verify_part(client, line, job)
            line.consortium.record(line.consortium.buyer, [place_another(line)])
            later = until_equal(client, above=status["index"]["ledger_sequence"])
            assert later["index"]["digest"] != status["index"]["digest"]


def until_equal(client: httpx.Client, above: int = -1) -> dict[str, Any]:
    """The status once the index has all of the chain, and more than `above`."""
    end = time.monotonic() + MAX_S
    while True:
        found: dict[str, Any] = client.get("/v1/status").json()
        if found["equal"] and found["index"]["ledger_sequence"] > above:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.05)


def verify_part(client: httpx.Client, line: Line, job: Job) -> None:
    """Traced by its Digital Link in both spellings, by its order, and to its certificate."""
    assert job.part is not None
    link = job.part.identifier
    answer = client.get(f"/v1/trace/{link}")
    part = answer.json()
    assert client.get(f"/v1/trace/{quote(link, safe='')}").json() == part
    assert client.get(f"/v1/trace/{link}", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert part["lot"]["identifier"] == link
    assert part["head"] == "0x" + line.consortium.chain.head(job.lot).hex()
    (certificate,) = part["certificates"]
    assert certificate["verdict"] == job.verdict.name.lower()
    assert client.get(f"/v1/certificates/{certificate['certificate']}").json() == certificate
    order = client.get(f"/v1/trace/{job.order.identifier}").json()
    assert link in [lot["identifier"] for lot in order["lots"]]
    reached = client.get("/v1/recall", params={"model": line.plant.model}).json()
    assert link in [lot["identifier"] for lot in reached["lots"]]


def place_another(line: Line) -> PlaceOrder:
    order = line.consortium.name(SubjectKind.ORDER, line.consortium.buyer, "urn:example:another")
    terms = OrderTerms(1, line.consortium.coordinator.number, (), 2**32, 0, bytes(3), bytes(32))
    return PlaceOrder(hash_of(order), terms)
