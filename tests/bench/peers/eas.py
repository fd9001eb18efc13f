"""Gas of the Ethereum Attestation Service on the chain at a URL, sent with web3.py: each figure is of a second
transaction of its kind, because a first one writes to slots that were never used."""

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from web3 import HTTPProvider, Web3

from tests.bench.peers.answer import Act, Prepare

_NOTHING = b"\0" * 32
_NOBODY = "0x" + "00" * 20
_RECIPIENT = Web3.to_checksum_address("0x" + "5b" * 20)
_DATA_BYTES = 128


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    web3 = Web3(HTTPProvider(arguments["url"]))
    web3.eth.default_account = web3.eth.accounts[0]
    folder = Path(arguments["artifacts"])
    registry = _deploy(web3, folder / "SchemaRegistry.sol" / "SchemaRegistry.json")
    eas = _deploy(web3, folder / "EAS.sol" / "EAS.json", registry.address)
    _gas(web3, registry.functions.register("bytes32 order, bytes32 claims, uint256 kind, uint256 at", _NOBODY, True))
    [added] = registry.events.Registered().get_logs(from_block=0)
    schema = added["args"]["uid"]

    def attest(count: int) -> Any:
        if count == 1:
            return eas.functions.attest((schema, _request()))
        return eas.functions.multiAttest([(schema, [_request() for _ in range(count)])])

    def stamp(count: int) -> Any:
        return eas.functions.multiTimestamp([secrets.token_bytes(32) for _ in range(count)])

    def task(call: Callable[[int], Any], count: int) -> Prepare:
        def prepare() -> Act:
            _gas(web3, call(count))
            return lambda: (count, _gas(web3, call(count)) / count)

        return prepare

    return {"attest": task(attest, 1), "multiAttest": task(attest, 50), "multiTimestamp": task(stamp, 300)}


def _request() -> tuple[object, ...]:
    return (_RECIPIENT, 0, True, _NOTHING, secrets.token_bytes(_DATA_BYTES), 0)


def _deploy(web3: Web3, artifact: Path, *values: object) -> Any:
    found = json.loads(artifact.read_text())
    contract = web3.eth.contract(abi=found["abi"], bytecode=found["bytecode"])
    receipt = web3.eth.wait_for_transaction_receipt(contract.constructor(*values).transact())
    return web3.eth.contract(address=receipt["contractAddress"], abi=found["abi"])


def _gas(web3: Web3, call: Any) -> int:
    receipt = web3.eth.wait_for_transaction_receipt(call.transact())
    assert receipt["status"] == 1
    return int(receipt["gasUsed"])
