"""The same records with web3.py and a key of one's own, each a transaction, into a Millmark ledger of its own: as the
documentation shows, each built, estimated, signed, sent and awaited; and pipelined, the nonces counted here, all sent
before the first receipt is read. Nothing is stored."""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eth_account import Account
from web3 import HTTPProvider, Web3

from tests.bench.peers.answer import Act, Prepare

_GAS = 500_000


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    web3 = Web3(HTTPProvider(arguments["url"]))
    account = Account.from_key(arguments["secret"])
    abi = json.loads(Path(arguments["abi"]).read_text())["abi"]
    ledger = web3.eth.contract(address=Web3.to_checksum_address(arguments["ledger"]), abi=abi)
    order, terms = bytes.fromhex(arguments["order"]), arguments["terms"]

    def call() -> Any:
        values = [bytes.fromhex(one[2:]) if isinstance(one, str) else one for one in terms]
        return ledger.functions.proposeRevision(order, (*values, secrets.token_bytes(32)))

    def textbook() -> Act:
        def act() -> tuple[int, object]:
            for _ in range(arguments["singles"]):
                nonce = web3.eth.get_transaction_count(account.address)
                sent = call().build_transaction({"from": account.address, "nonce": nonce})
                raw = account.sign_transaction(sent).raw_transaction
                receipt = web3.eth.wait_for_transaction_receipt(web3.eth.send_raw_transaction(raw))
                assert receipt["status"] == 1
            return arguments["singles"], None

        return act

    def pipelined() -> Act:
        def act() -> tuple[int, object]:
            first = web3.eth.get_transaction_count(account.address)
            fee = 2 * web3.eth.gas_price
            fields = {"from": account.address, "gas": _GAS, "maxFeePerGas": fee, "maxPriorityFeePerGas": 1}
            fields["chainId"] = arguments["chain_id"]
            hashes = []
            for place in range(arguments["pipelined"]):
                sent = call().build_transaction({**fields, "nonce": first + place})
                hashes.append(web3.eth.send_raw_transaction(account.sign_transaction(sent).raw_transaction))
            for one in hashes:
                assert web3.eth.wait_for_transaction_receipt(one)["status"] == 1
            return len(hashes), None

        return act

    return {"textbook": textbook, "pipelined": pipelined}
