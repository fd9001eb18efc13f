"""The inspector's node in the demonstration as in life: a program with a folder, a key, a model file and a log of its
own.

What an edge box at the test bench would do is done here: the measured events are sent to the node's HTTP capture, with
the node's token. The node makes them durable, cuts the windows, anchors its log, executes the model, and signs the
certificates with its key, which the inspector proposed and the node accepted. Verdicts are read from the inspector's
index. The node shares the database of the inspector's gateway, which hands over what the node certified.

Two things stay with the gateways. A certificate by a procedure, on a sample of components, has no inference, and a node
issues none: the node anchors the measurement, and the gateway records the certificate. And a machine's drift is noticed
at its maker, who has no node here.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TypeVar

import httpx

from millmark.ledger.canonical import Json, to_hex
from millmark.ledger.errors import MillmarkError, SubmitError
from millmark.ledger.keys import LocalSigner, write_private
from millmark.ledger.records import Item, ProposeKey, Role, Verdict
from millmark.ledger.store import Book, Connection, Rows
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.ledger.store.rows import CertificateRow
from millmark.services.demo.consortium import Company
from millmark.services.demo.delivery import model_bytes
from millmark.services.demo.life import Home, Life
from millmark.services.demo.plant import Plant
from millmark.services.demo.processes import run_command, wait_for

T = TypeVar("T")
_STREAM, _FIELD = "bench", "samples"
_CONFIG, _KEY, _TOKEN, _MODEL, _LOG = "node.toml", "node.key", "token", "model.bin", "node.log"
_TOKEN_BYTES = 32
_ANSWER_S, _SETTLE_S, _PAUSE_S = 30.0, 120.0, 0.05
_MOST = 100_000
_TEXT = """\
# The inspector's node. All settings: services/node/OPERATIONS.md; relative paths start at this folder.
data_folder = "data"
# The gateway's: it indexes what the node certifies, and hands it over.
database = {database}
record = "certificates"

[chain]
url = {url}
engine = {engine}
deployment = "../deployment.json"

[signer]
uri = "file:{key}"

[[streams]]
name = "{stream}"
machine = {machine}
subject = "{subject}"

[http]
port = {port}
token_file = "{token}"

[model]
file = "{model}"
number = {number}
field = "{field}"
width = {width}
hop = {width}
stream = "{stream}"

[anchor]
seconds = 0.2
"""


@dataclass(slots=True)
class EdgeBox:
    """What stands at the test bench, and sends what it measures to the inspector's node."""

    inspector: Company
    plant: Plant
    config: Path
    """Configuration of the node."""
    key: bytes
    """Address that the node signs with."""
    _process: BaseProcess
    _client: httpx.Client
    _port: int
    _sent: int = 0
    _windows: int = 0

    def note(self, values: Mapping[str, Json]) -> tuple[int, bytes]:
        """Sends a measurement that is not for the model, and returns index and leaf hash of its entry once it is
        anchored. Raises SubmitError, and MillmarkError if the node refuses it."""
        [(index, leaf)] = self._send([{"data": dict(values)}])
        self._until("anchor what was measured", lambda: self._anchored() > index or None)
        return index, leaf

    def inspect(self, parts: Sequence[Item], windows: Sequence[Sequence[int]]) -> list[Verdict]:
        """Sends what was measured of each part, and returns the verdicts of the node's certificates, once they are
        final, indexed and can be opened. Raises SubmitError, and MillmarkError if the node refuses a measurement."""
        measured: list[Mapping[str, Json]] = [
            {
                "lot": to_hex(part.lot),
                "order": to_hex(part.order),
                "data": {"kind": "engine noise", "unit": "1e-6", _FIELD: list(window)},
            }
            for part, window in zip(parts, windows, strict=True)
        ]
        first = min(index for index, _ in self._send(measured))
        self._windows += len(windows)
        lots = [part.lot for part in parts]
        verdicts = self._until("certify what was measured", lambda: self._find(lots, first))
        return [verdicts[lot] for lot in lots]

    def sum_up(self) -> tuple[Counter[str], str]:
        """How many final records of each kind the node made, and what it did, in a sentence."""
        made = Outbox(self.inspector.store).page(None, _MOST, OutboxState.FINAL)
        kinds = Counter(record.kind for record in made if record.signer == self.key)
        name = self.plant.bench.name
        return kinds, (
            f"{self._windows} windows that {name} measured went to the node of {self.inspector.name}, a program of its "
            f"own: it anchored them, executed the model and issued {kinds['IssueCertificate']} certificates, with its "
            f"own key {to_hex(self.key)[:12]}"
        )

    def _send(self, events: Sequence[Mapping[str, Json]]) -> list[tuple[int, bytes]]:
        """Sends events, and returns index and leaf hash of each, once they are durable at the node."""
        if not self._sent:
            wait_for(self._port, self._process)
        batch = [self._complete(one) for one in events]
        answer = self._client.post("/v1/events", json=batch)
        told = answer.json()
        if answer.status_code != httpx.codes.OK or told["accepted"] != len(batch):
            why = told.get("refused") or told.get("detail")
            raise MillmarkError(f"the node refused what was measured: {str(why)[:200]}", hint=self._hint)
        leaves = {one["position"]: (one["leaf_index"], bytes.fromhex(one["leaf_hash"][2:])) for one in told["leaves"]}
        return [leaves[place] for place in range(len(batch))]

    def _complete(self, event: Mapping[str, Json]) -> dict[str, Json]:
        self._sent += 1
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        data = event["data"]
        measured = {"machine": self.plant.bench.name, **(data if isinstance(data, Mapping) else {})}
        return {**event, "id": f"{self.plant.bench.name}-{self._sent}", "time": now, "data": measured}

    def _anchored(self) -> int:
        """How many entries are under a final anchor."""
        [stream] = self._client.get("/ready").json()["streams"]
        return int(stream["anchored"])

    def _find(self, lots: Sequence[bytes], first: int) -> dict[bytes, Verdict] | None:
        """The verdicts on all lots by entries from `first` on; None while one is not there, or cannot be opened."""
        with self.inspector.store.reading() as connection:
            rows = self._rows(connection, lots, first)
            kept = Book(connection).inferences(row.sequence for row in rows.values())
        whole = len(rows) == len(set(lots)) == len(kept)
        return {lot: Verdict(row.verdict) for lot, row in rows.items()} if whole else None

    def _rows(self, connection: Connection, lots: Sequence[bytes], first: int) -> dict[bytes, CertificateRow]:
        found = Rows(connection).among(CertificateRow, "lot", lots, stream=self.plant.bench.stream)
        return {row.lot: row for row in found if row.leaf_index >= first and row.model}

    def _until(self, what: str, look: Callable[[], T | None]) -> T:
        """What `look` finds. Raises SubmitError if the node ends, or takes too long."""
        deadline = time.monotonic() + _SETTLE_S
        while (found := look()) is None:
            if not self._process.is_alive() or time.monotonic() > deadline:
                raise SubmitError(f"the node of {self.inspector.name} did not {what}", hint=self._hint)
            time.sleep(_PAUSE_S)
        return found

    @property
    def _hint(self) -> str:
        return f"see {self.config.with_name(_LOG)}, and `millmark node --config {self.config} dead-letters`"


def start_node(stack: ExitStack, life: Life, plant: Plant) -> EdgeBox:
    """Gives the inspector's node a folder and a key, and starts it; it may be some time until it listens. `stack`
    closes the connection to it.

    Raises SubmitError, and MillmarkError if the key is not accepted.
    """
    inspector = life.consortium.inspector
    home = life.homes[life.consortium.companies.index(inspector)]
    folder, signer, token = home.folder / "node", LocalSigner.generate(), secrets.token_hex(_TOKEN_BYTES)
    folder.mkdir(mode=0o700)
    write_private(folder / _KEY, signer.unsafe_secret().hex().encode())
    write_private(folder / _TOKEN, token.encode())
    (folder / _MODEL).write_bytes(model_bytes())
    config = folder / _CONFIG
    config.write_text(_settings(life, home, plant))
    _register(life, inspector, home, signer, folder)
    process = life.start_program(f"the node of {home.name}", ["node", "--config", str(config)], folder / _LOG)
    url, headers = f"http://127.0.0.1:{life.node_port}", {"Authorization": f"Bearer {token}"}
    client = stack.enter_context(httpx.Client(base_url=url, headers=headers, timeout=_ANSWER_S, trust_env=False))
    return EdgeBox(inspector, plant, config, signer.address, process, client, life.node_port)


def _register(life: Life, inspector: Company, home: Home, signer: LocalSigner, folder: Path) -> None:
    """Has the node's key sign for the inspector, and the stream and model be final, which the node looks for."""
    life.endow([signer.address])
    life.consortium.record(inspector, [ProposeKey(signer.address, int(Role.INSPECTOR), admin=False)])
    life.consortium.settle()
    accept = ["keys", "accept", str(inspector.number), "--signer", f"file:{folder / _KEY}"]
    run_command(["--home", str(home.folder), *accept], folder / "acceptance.log")


def _settings(life: Life, home: Home, plant: Plant) -> str:
    """The text of the node's configuration."""
    return _TEXT.format(
        database=json.dumps(home.database_url),
        url=json.dumps(life.chain_settings["chain_url"]),
        engine=json.dumps(life.consortium.chain.profile.name),
        key=_KEY,
        token=_TOKEN,
        model=_MODEL,
        stream=_STREAM,
        machine=plant.bench.number,
        subject=to_hex(plant.bench.stream),
        port=life.node_port,
        number=plant.model,
        field=_FIELD,
        width=plant.inspector.model.width,
    )
