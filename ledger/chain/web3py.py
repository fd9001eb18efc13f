"""web3.py's contract objects for registry and ledger, over this library's transports.

No other module uses web3.py, which is slow to import.

    ledger = open_contract(transport, deployment, Contract.LEDGER)
    ledger.functions.headOf(lot).call()

Importing this module raises NotInstalledError if web3.py is not installed.
"""

from __future__ import annotations

from typing import Any

from millmark.ledger.chain.codec import load_abi
from millmark.ledger.chain.deploying import Deployment
from millmark.ledger.chain.transport import RpcError, Transport
from millmark.ledger.errors import NotInstalledError
from millmark.ledger.lazy import bound_recursion
from millmark.ledger.records import Contract

try:
    from eth_typing import URI
    from web3 import Web3
    from web3.contract import Contract as Web3Contract
    from web3.providers import JSONBaseProvider
    from web3.types import RPCEndpoint, RPCResponse
except ModuleNotFoundError as missing:
    raise NotInstalledError("millmark.ledger.chain.web3py", "web3", "web3") from missing

bound_recursion()  # after web3's import, which raised the limit


class _Provider(JSONBaseProvider):
    endpoint_uri = URI("millmark:")

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Send a request. Raises ChainUnreachableError if there is no answer."""
        answer: RPCResponse = {"jsonrpc": "2.0", "id": 0}
        try:
            answer["result"] = self._transport.request(method, list(params))
        except RpcError as error:
            answer["error"] = {"code": error.code, "message": error.message}
            if error.data is not None:
                answer["error"]["data"] = "0x" + error.data.hex()
        return answer


def open_contract(transport: Transport, deployment: Deployment, contract: Contract) -> Web3Contract:
    """Return web3.py's object for a contract. Not established: the code at its address, which `Chain` checks."""
    address = deployment.registry if contract is Contract.REGISTRY else deployment.ledger
    connected = Web3(_Provider(transport))
    return connected.eth.contract(Web3.to_checksum_address(address), abi=load_abi(contract))
