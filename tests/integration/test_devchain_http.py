"""The embedded chain behind a real HTTP server: the same answers, for several clients at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest

from millmark.ledger.chain import Chain, EmbeddedChain, HttpTransport, Node, RpcError, read_deployment, write_deployment
from millmark.ledger.chain.transport import RpcClient
from millmark.ledger.keys import LocalSigner
from millmark.ledger.records import Contract
from millmark.ledger.store.outbox import Outbox
from millmark.services.devchain import create_devchain
from millmark.services.store import open_store
from tests.support.ledger_world import LedgerWorld, build_world, verify_final
from tests.support.loopback import serving
from tests.support.patience import MAX_S
from tests.support.stores import new_store

pytestmark = pytest.mark.integration
JSON = {"Content-Type": "application/json"}

CLIENT = """
import sys
from pathlib import Path
from millmark.ledger.chain import Chain, HttpTransport, Node, find_profile, read_deployment
from millmark.ledger.records import ReceiveLot
from millmark.ledger.keys import LocalSigner
from millmark.ledger.store import open_store
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
url, folder, name, secret = sys.argv[1:]
chain = Chain(Node(HttpTransport(url)), find_profile("embedded"), read_deployment(Path(folder) / "deployment.json"))
with open_store(f"sqlite:///{folder}/{name}.db") as store:
    submitter = Submitter(chain, Outbox(store), LocalSigner.from_bytes(bytes.fromhex(secret)), batch_size=2)
    hashes = [(name.encode() + bytes([number])).ljust(32, b".") for number in range(6)]
    submitter.submit([(name + lot.hex(), ReceiveLot(lot, 1, b"H87", bytes(32))) for lot in hashes])
    submitter.drain()
"""


@pytest.fixture(scope="module")
def chain() -> EmbeddedChain:
    return EmbeddedChain()


@pytest.fixture(scope="module")
def url(chain: EmbeddedChain) -> Iterator[str]:
    with serving(create_devchain(chain)) as served:
        yield served


@pytest.fixture(scope="module")
def world(url: str) -> LedgerWorld:
    return build_world(HttpTransport(url))


def test_over_http_everything_is_as_in_process(world: LedgerWorld, url: str, chain: EmbeddedChain) -> None:
    head = chain.request("eth_getBlockByNumber", ["latest", False])
    registry = "0x" + world.chain.registry.hex()
    questions: list[tuple[str, list[Any]]] = [
        ("eth_chainId", []),
        ("eth_blockNumber", []),
        ("eth_gasPrice", []),
        ("eth_getBlockByNumber", ["latest", False]),
        ("eth_getBlockByHash", [head["hash"], False]),
        ("eth_getBlockByNumber", ["0xffff", False]),
        ("eth_getCode", [registry, "latest"]),
        ("eth_getBalance", [registry, "latest"]),
        ("eth_getStorageAt", [registry, "0x0", "latest"]),
        ("eth_getTransactionCount", [registry, "latest"]),
        ("eth_getTransactionReceipt", [head["transactions"][0]]),
        ("eth_getLogs", [{"blockHash": head["hash"]}]),
        ("eth_nothing", []),
        ("eth_chainId", [1]),
        ("eth_getLogs", [{}]),
        ("eth_call", [{"to": registry, "data": "0x12345678"}, "latest"]),
        ("eth_sendRawTransaction", ["0x02"]),
    ]
    for method, params in questions:
        assert outcome(HttpTransport(url), method, params) == outcome(chain, method, params), method


def outcome(transport: HttpTransport | EmbeddedChain, method: str, params: list[Any]) -> object:
    try:
        return transport.request(method, params)
    except RpcError as error:
        return error.code, error.message, error.data or None


def test_records_land_over_http(world: LedgerWorld, tmp_path: Path) -> None:
    with new_store(tmp_path) as store:
        outbox = Outbox(store)
        submitter = world.submitter(outbox, world.admit(outbox), batch_size=3)
        ids = submitter.submit(world.lots(7))
        submitter.drain()
        verify_final(outbox, ids)


def test_two_processes_record_at_once(world: LedgerWorld, url: str, tmp_path: Path) -> None:
    write_deployment(tmp_path / "deployment.json", world.chain.deployment)
    with new_store(tmp_path) as store:
        signers = [world.admit(Outbox(store)) for _ in range(2)]
    before = world.count()
    script = tmp_path / "client.py"
    script.write_text(CLIENT)
    running = [
        subprocess.Popen(
            [sys.executable, script, url, tmp_path, name, signer.unsafe_secret().hex()],
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for name, signer in zip("ab", signers, strict=True)
    ]
    for process in running:
        _, errors = process.communicate(timeout=MAX_S)
        assert process.returncode == 0, errors
    assert world.count() == before + 12
    for name in "ab":
        with open_store(f"sqlite:///{tmp_path / name}.db") as store:
            assert Outbox(store).counts() == {"final": 6}


def test_clients_at_once_each_see_a_whole_chain(url: str) -> None:
    def fund(_: int) -> int:
        node, signer = Node(HttpTransport(url)), LocalSigner.generate()
        node.fund(signer.address, 5)
        header = node.header()
        assert node.header(header.number) == header
        return node.balance_wei(signer.address)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(fund, range(24))) == [5] * 24


def test_connections_of_a_burst_are_closed_when_nothing_needs_them(url: str) -> None:
    client = RpcClient(url, MAX_S, unused_s=0.2)
    together = Barrier(4)

    def ask(_: int) -> None:
        together.wait(MAX_S)
        client.ask("eth_blockNumber", [])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    deadline = time.monotonic() + MAX_S
    while client.free > 1 and time.monotonic() < deadline:
        client.ask("eth_blockNumber", [])
    assert client.free == 1


def test_a_second_client_finds_the_ledger_by_its_file(world: LedgerWorld, url: str, tmp_path: Path) -> None:
    write_deployment(tmp_path / "deployment.json", world.chain.deployment)
    found = Chain(Node(HttpTransport(url)), world.chain.profile, read_deployment(tmp_path / "deployment.json"))
    assert found.sequence(Contract.LEDGER) == world.count()


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 200, -32700),
        (b"[" * 100_000, 200, -32700),
        (b"[]", 200, -32600),
        (b'{"method": "eth_chainId", "params": {"a": 1}}', 200, -32600),
        (b'{"method": "eth_nothing"}', 200, -32601),
        (b" " * (5 << 20), 413, -32600),
    ],
    ids=["no JSON", "deep", "empty batch", "named params", "unknown", "too large"],
)
def test_the_server_outlives_what_it_is_sent(url: str, content: bytes, status: int, code: int) -> None:
    answer = httpx.post(url, content=content, headers=JSON, timeout=MAX_S)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert httpx.get(url + "/health", timeout=MAX_S).json() == {"status": "ok"}


def test_a_batch_over_http(url: str) -> None:
    asked = [{"jsonrpc": "2.0", "id": number, "method": "eth_chainId", "params": []} for number in range(50)]
    answers = httpx.post(url, content=json.dumps(asked), headers=JSON, timeout=MAX_S).json()
    assert [answer["id"] for answer in answers] == list(range(50))
