"""The proxies of the network faults, on real sockets: links that are cut, and addresses that lead to other nodes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from fastapi import Body, FastAPI

from millmark.ledger.chain import HttpTransport
from millmark.ledger.errors import ChainUnreachableError
from tests.faults.network.links import Links, raise_head, running_gates, running_links
from tests.support.loopback import closed_url, serving
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration


@contextmanager
def echoing() -> Iterator[int]:
    """A node that says everything again; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as connections:

        def echo(connection: socket.socket) -> None:
            try:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)
            except OSError:
                pass  # the link was cut

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connections.enter_context(connection)
                threading.Thread(target=echo, args=(connection,), daemon=True).start()

        threading.Thread(target=run, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def links() -> Iterator[Links]:
    with echoing() as one, echoing() as two, echoing() as three, running_links([one, two, three]) as running:
        yield running


def call(links: Links, caller: int, called: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", links.ports[caller, called]), timeout=MAX_S)


def ask(connection: socket.socket, word: bytes) -> bytes:
    connection.sendall(word)
    return connection.recv(100)


def is_closed(connection: socket.socket) -> bool:
    try:
        return ask(connection, b"again") == b""
    except ConnectionError:
        return True


def test_a_cut_link_swallows_until_it_is_healed(links: Links) -> None:
    with call(links, 0, 1) as cut, call(links, 1, 2) as other:
        assert ask(cut, b"before") == b"before"
        links.cut([0])
        assert ask(other, b"others") == b"others"
        cut.sendall(b"meanwhile")
        cut.settimeout(0.2)
        with pytest.raises(TimeoutError):
            cut.recv(100)
        cut.settimeout(MAX_S)
        links.heal()
        assert cut.recv(100) == b"meanwhile"


def test_a_link_that_resets_closes_and_refuses(links: Links) -> None:
    with call(links, 1, 0) as cut:
        assert ask(cut, b"before") == b"before"
        links.cut([0], resets=True)
        assert is_closed(cut)
    with call(links, 0, 1) as refused:
        assert is_closed(refused)
    links.heal()
    with call(links, 0, 1) as healed:
        assert ask(healed, b"after") == b"after"


def node(head: int) -> FastAPI:
    app = FastAPI()

    def answer(one: dict[str, Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": one["id"], "result": hex(head)}

    @app.post("/")
    def root(asked: Any = Body()) -> Any:  # noqa: B008 - FastAPI's way
        return [answer(one) for one in asked] if isinstance(asked, list) else answer(asked)

    return app


def test_a_gate_leads_to_its_nodes_in_turn_and_lies() -> None:
    with serving(node(5)) as first, serving(node(9)) as second, running_gates([first]) as [gate]:
        company = HttpTransport(gate.url)
        assert company.request("eth_blockNumber", []) == hex(5)
        gate.upstreams = (first, second)
        assert {company.request("eth_blockNumber", []) for _ in range(2)} == {hex(5), hex(9)}
        gate.upstreams, gate.lie = (first,), raise_head
        assert company.request("eth_blockNumber", []) == hex(45)
        assert company.request("eth_gasPrice", []) == hex(5)
        gate.upstreams = (closed_url(),)
        with pytest.raises(ChainUnreachableError):
            company.request("eth_blockNumber", [])
