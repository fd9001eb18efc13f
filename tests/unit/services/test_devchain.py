"""JSON-RPC before the embedded chain, in process: what is asked wrongly is told, whatever it is."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from millmark.ledger.chain import EmbeddedChain, RpcError, Transport
from millmark.ledger.chain.embedded import CHAIN_ID
from millmark.ledger.errors import ChainUnreachableError
from millmark.services.devchain import create_devchain
from tests.support.gateway_client import Caller
from tests.support.rpc import ScriptedNode, lost


class Client:
    """Requests to the application in this process."""

    def __init__(self, chain: Transport) -> None:
        self._app = create_devchain(chain)

    def request(self, method: str, path: str, content: bytes = b"", **headers: str) -> httpx.Response:
        return Caller(self._app).ask(path, method, content, **{"Content_Type": "application/json", **headers})


@pytest.fixture(scope="module")
def client() -> Client:
    return Client(EmbeddedChain())


def post(client: Client, body: object) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = client.request("POST", "/", content)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def call(method: object, params: object = None, number: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": [] if params is None else params}


@pytest.mark.parametrize("number", [1, "abc", None, 0, 1.5])
def test_a_request_is_answered_under_its_id(client: Client, number: object) -> None:
    assert post(client, call("eth_chainId", number=number)) == {"jsonrpc": "2.0", "id": number, "result": hex(CHAIN_ID)}


def test_params_may_be_absent(client: Client) -> None:
    assert post(client, {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber"})["result"] == "0x0"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8545", ""])
def test_a_page_whose_name_points_here_is_refused(client: Client, host: str) -> None:
    body = json.dumps(call("eth_chainId")).encode()
    assert client.request("POST", "/", body, Host=host).status_code == 421
    assert client.request("GET", "/health", Host=host).status_code == 421
    assert client.request("POST", "/", body, Host="127.0.0.1:8545").status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded"])
def test_what_any_page_may_send_is_refused(client: Client, kind: str) -> None:
    body = json.dumps(call("anvil_setBalance", ["0x" + "11" * 20, "0x1"])).encode()
    assert client.request("POST", "/", body, Content_Type=kind).status_code == 415


def test_it_is_well(client: Client) -> None:
    assert client.request("GET", "/health").json() == {"status": "ok"}
    assert client.request("GET", "/").status_code == 405
    assert client.request("GET", "/docs").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"\xff\xfe", b"nope", b"[" * 100_000, b'{"id":' + b"9" * 5000 + b"}"),
        b'{"id": 1, "method": "eth_chainId", "method": "eth_chainId"}',
    ],
)
def test_what_is_not_json_is_told(client: Client, body: bytes) -> None:
    answer = post(client, body)
    assert answer["error"]["code"] == -32700
    assert answer["id"] is None


@pytest.mark.parametrize("body", [5, "x", None, True, {}, {"id": 1}, {"method": 5}, {"method": None}, {"method": []}])
def test_what_is_no_request_is_told(client: Client, body: object) -> None:
    assert post(client, body)["error"]["code"] == -32600


@pytest.mark.parametrize("params", [{"a": 1}, "x", 5, True])
def test_params_are_a_list(client: Client, params: object) -> None:
    answer = post(client, call("eth_chainId", params, number=7))
    assert (answer["id"], answer["error"]) == (7, {"code": -32600, "message": "params is a list"})


@pytest.mark.parametrize("method", ["eth_mine", "", "request", "__init__", "eth_chainid"])
def test_an_unknown_method_is_told(client: Client, method: str) -> None:
    assert post(client, call(method))["error"]["code"] == -32601


def test_bad_params_are_told(client: Client) -> None:
    assert post(client, call("eth_getBlockByNumber", [5, False]))["error"]["code"] == -32602
    assert post(client, call("eth_getBlockByNumber", [[[[]]]]))["error"]["code"] == -32602


def test_revert_data_is_passed_on() -> None:
    client = Client(ScriptedNode({"eth_call": RpcError(3, "execution reverted", b"\1\2")}))
    answer = post(client, call("eth_call"))
    assert answer["error"] == {"code": 3, "message": "execution reverted", "data": "0x0102"}


def test_a_chain_behind_that_does_not_answer_is_told() -> None:
    answer = post(Client(ScriptedNode({"eth_chainId": lost()})), call("eth_chainId"))
    assert answer["error"]["code"] == -32000
    assert str(ChainUnreachableError("the line is cut")) in answer["error"]["message"]


# Batches


def test_a_batch_is_answered_in_order_each_for_itself(client: Client) -> None:
    asked = [call("eth_chainId", number=1), call("nope", number=2), 5, [], call("eth_blockNumber", number=3)]
    answers = post(client, asked)
    assert [answer["id"] for answer in answers] == [1, 2, None, None, 3]
    assert ["result" in answer for answer in answers] == [True, False, False, False, True]


def test_a_batch_has_its_limits(client: Client) -> None:
    assert post(client, [])["error"]["code"] == -32600
    assert len(post(client, [call("eth_chainId")] * 1000)) == 1000
    assert post(client, [call("eth_chainId")] * 1001)["error"]["code"] == -32600


def test_a_large_body_is_refused(client: Client) -> None:
    fitting = call("eth_call", [{"data": "0x" + "00" * 1_000_000}])
    assert "error" in post(client, fitting), "read, and refused by the chain"
    answer = client.request("POST", "/", b" " * (4 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    assert answer.json()["error"] == {"code": -32600, "message": "requests are limited to 4194304 bytes"}
