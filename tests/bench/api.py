"""Fuzzing of the HTTP API against its OpenAPI document: generated requests to a real gateway on a real chain.

Every response is compared with the document: status, media type, headers, schema. Half of the requests violate the
document and must be refused. A failure is any response of 500 and above, or one that the document does not allow. Only
the readiness report may be a 503.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from millmark.ledger.chain import HttpTransport, write_deployment
from millmark.ledger.errors import ChainError
from millmark.ledger.index import Follower
from millmark.ledger.keys import open_name_key, open_signer
from millmark.ledger.names import NameKey
from millmark.ledger.records import ALL_ROLES, AcceptKey, Admit, SetNameKey
from millmark.ledger.signatures import Signer
from millmark.ledger.store import Rows, Store
from millmark.ledger.store.rows import (
    AnchorRow,
    AssignmentRow,
    CertificateRow,
    LotRow,
    MachineRow,
    ModelRow,
    OrderRow,
    StreamRow,
)
from millmark.ledger.submit import Submitter
from millmark.services.demo.consortium import Consortium, found_consortium
from millmark.services.demo.delivery import inspect_parts
from millmark.services.demo.plant import build_plant
from millmark.services.demo.processes import held_port, wait_for
from millmark.services.demo.production import make_parts, place_orders
from millmark.services.handover.content import MEDIA_TYPE
from millmark.services.settings import SETTINGS_FILE, read_settings
from millmark.services.store import open_store
from tests.support.cluster import running_cluster

_SQLITE = "sqlite:///bench.sqlite"
_ORDERS = 2
_ASK_S = 30.0
_REFUSED = ["400", "401", "403", "404", "405", "406", "409", "411", "413", "414", "415", "422", "429", "431"]
_MAX_SHOWN = 20


@dataclass(slots=True)
class FuzzResult:
    """Counts and failures of one run."""

    database: str = ""
    operations: int = 0
    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    server_errors: int = 0
    failures: list[str] = field(default_factory=list)
    """One line for each operation with a response that the document does not allow."""
    seconds: float = 0.0

    def to_json(self) -> dict[str, object]:
        return {
            "database": self.database,
            "operations": self.operations,
            "cases": self.cases,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
            "server_errors": self.server_errors,
            "schema_breaks": len(self.failures),
            "failures": self.failures[:_MAX_SHOWN],
            "seconds": round(self.seconds, 1),
        }


def measure_api(cases: int, number: int, *, postgresql: bool = False) -> FuzzResult:
    """Sends at least `cases` requests, spread evenly over the operations, half of them invalid.

    The same seed `number` generates the same requests. The database is SQLite, or a new PostgreSQL cluster. Raises
    StoreError if PostgreSQL cannot run on this machine.
    """
    with tempfile.TemporaryDirectory(prefix="millmark-bench-") as folder, ExitStack() as running:
        database = running.enter_context(running_cluster()) if postgresql else _SQLITE
        known = _prepare(Path(folder), database, running.enter_context(_devchain()))
        found = _fuzz(running.enter_context(_gateway(Path(folder))), known, cases, number)
        found.database = "PostgreSQL" if postgresql else "SQLite"
        return found


def _fuzz(origin: str, known: dict[str, list[Any]], cases: int, number: int) -> FuzzResult:
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": _REFUSED}}})
    schemathesis.serializer.alias(MEDIA_TYPE, "application/octet-stream")
    schema = schemathesis.openapi.from_url(f"{origin}/openapi.json", config=config, timeout=_ASK_S)
    operations: list[Any] = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
    found, started = FuzzResult(operations=len(operations)), time.monotonic()
    while found.cases < cases and not found.failures:  # operations without parameters run out of cases early
        each = -(-(cases - found.cases) // len(operations))
        for operation in operations:
            before = found.cases
            # Invalid requests first: some operations have none, and valid ones then fill the count.
            for mode in (GenerationMode.NEGATIVE, GenerationMode.POSITIVE):
                wanted = -(-each // 2) if mode is GenerationMode.NEGATIVE else each - (found.cases - before)
                _ask_many(operation, mode, known, max(1, wanted), number + found.cases, found)
    found.seconds = time.monotonic() - started
    return found


def _ask_many(
    operation: Any, mode: GenerationMode, known: dict[str, list[Any]], count: int, number: int, found: FuzzResult
) -> None:
    """Sends requests to one operation until `count` were sent or a response was wrong."""

    @seed(number)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def ask(data: st.DataObject) -> None:
        case: Case[Any] = data.draw(operation.as_strategy(generation_mode=mode))
        if mode is GenerationMode.POSITIVE and data.draw(st.booleans()):
            _name_things(case, known, data)
        _call(case, found)

    label = f"{operation.method.upper()} {operation.path}"
    try:
        ask()
    except (Exception, BaseExceptionGroup) as error:  # a failed check, or a case that hypothesis cannot generate
        if "Unsatisfiable" not in type(error).__name__ and "is not possible" not in str(error):
            found.failures.append(f"{label}: {' '.join(str(error).split())[:400]}")


def _name_things(case: Case[Any], known: dict[str, list[Any]], data: st.DataObject) -> None:
    """Replaces parameters with identifiers that exist, which random generation would never find."""
    for name in case.path_parameters or {}:
        if name in known:
            case.path_parameters[name] = data.draw(st.sampled_from(known[name]))
    for name in case.query or {}:
        if name in known:
            case.query[name] = data.draw(st.sampled_from(known[name]))


def _call(case: Case[Any], found: FuzzResult) -> None:
    if case.operation.path == "/v1/events":
        case.headers["Accept"] = "application/json"  # a stream does not end
    found.cases += 1
    response = case.call(timeout=_ASK_S)
    found.statuses[response.status_code] += 1
    # The 503 of the readiness report says that a record failed, as many made of generated values do.
    reports = case.operation.path == "/ready"
    found.server_errors += response.status_code >= 500 and not reports
    # Excluded: the check that every string of the right length is accepted. A schema cannot express identifiers.
    excluded: list[Any] = [positive_data_acceptance, not_a_server_error] if reports else [positive_data_acceptance]
    case.validate_response(response, excluded_checks=excluded)


def _prepare(home: Path, database: str, url: str) -> dict[str, list[Any]]:
    """Sets up a home with a small plant on the chain at `url`; returns existing values by parameter name."""
    (home / SETTINGS_FILE).write_text(f'database = "{database}"\nchain_url = "{url}"\n')
    with open_store(read_settings(home).database_url) as store:
        consortium = found_consortium(store, HttpTransport(url))
        models = resources.files("millmark.quality") / "models"
        plant = build_plant(consortium, (models / "forda.bin").read_bytes(), "{}")
        now_s = int(time.time())
        line = place_orders(consortium, plant, _ORDERS, now_s)
        make_parts(line)
        inspect_parts(line, line.jobs, [[0] * plant.inspector.model.width] * _ORDERS, now_s)
        write_deployment(home / "deployment.json", consortium.chain.deployment)
        Follower(consortium.chain, store).follow()
        key = _new_key(home)
        number = _join(consortium, open_signer(f"file:{key}"), open_name_key(f"file:{key}"))
        Follower(consortium.chain, store).follow()
        known = _find_things(store)
    with (home / SETTINGS_FILE).open("a") as file:
        file.write(f"gateway_participant = {number}\n")
        file.write(f'gateway_signer = "file:{key}"\ngateway_name_keys = ["file:{key}"]\n')
    return known


def _join(consortium: Consortium, signer: Signer, name_key: NameKey) -> int:
    """Admits a company that has every role, and returns its number."""
    consortium.record(consortium.owner, [Admit(int(ALL_ROLES), signer.address, bytes(32))])
    consortium.chain.fund(signer.address)
    submitter = Submitter(consortium.chain, consortium.outbox, signer)
    number = len(consortium.companies) + 1
    submitter.submit([("accept", AcceptKey(number)), ("name", SetNameKey(name_key.hash))])
    submitter.drain()
    return number


def _new_key(home: Path) -> Path:
    """Writes the key file of a company that has every role."""
    key = home / "company.key"
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32))
    return key


def _find_things(store: Store) -> dict[str, list[Any]]:
    with store.reading() as connection:
        rows = Rows(connection)
        lots, orders = rows.find(LotRow), rows.find(OrderRow)
        numbers = [
            *(row.sequence for row in rows.find(CertificateRow)),
            *(row.sequence for row in rows.find(AssignmentRow)),
        ]
        numbers += [*(row.number for row in rows.find(MachineRow)), *(row.number for row in rows.find(ModelRow))]
        named = [*(row.subject for row in lots), *(row.subject for row in orders)]
        subjects = ["0x" + one.hex() for one in (*named, *(row.subject for row in rows.find(StreamRow)))]
        anchors = [row.sequence for row in rows.find(AnchorRow)]
    return {
        "identifier": subjects,
        "subject": subjects,
        "id": numbers,
        "number": [1, 2, 3],
        "lot": subjects,
        "order": subjects,
        "anchor": anchors,
        "first": anchors,
        "second": anchors,
        "index": [0, 1],
        "participant": [1, 2, 3],
    }


@contextmanager
def _devchain() -> Iterator[str]:
    with held_port() as port:
        command = [
            sys.executable,
            "-c",
            "from millmark.services.cli import main; main()",
            "devchain",
            "--port",
            str(port),
        ]
        with _running(command, port):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def _gateway(home: Path) -> Iterator[str]:
    program = [sys.executable, "-m", "tests.bench.fuzzed_gateway", str(home)]
    with held_port() as port, _running([*program, str(port)], port):
        origin = f"http://127.0.0.1:{port}"
        if httpx.get(f"{origin}/health").status_code != 200:
            raise ChainError("the gateway does not answer", hint="run `millmark gateway` to see why")
        yield origin


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_for(port, process)
            yield
        finally:
            process.terminate()
            process.wait()
