"""The same with eth-account, as its documentation shows."""

from collections.abc import Mapping
from typing import Any

from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data
from eth_keys.backends.coincurve import CoinCurveECCBackend

from tests.bench.peers.answer import Act, Prepare

_DOMAIN = {"name": "string", "version": "string", "chainId": "uint256", "verifyingContract": "address"}
_REQUEST = {
    "from": "address", "to": "address", "value": "uint256", "gas": "uint256", "nonce": "uint256", "deadline": "uint48",
    "data": "bytes",
}  # fmt: skip


def start(arguments: Mapping[str, Any]) -> Mapping[str, Prepare]:
    account = Account.from_key(arguments["secret"])
    backend = type(account._key_obj.backend)
    assert backend is CoinCurveECCBackend, backend

    def messages(count: int) -> list[dict[str, Any]]:
        to = "0x" + arguments["to"]
        types = {"EIP712Domain": _fields(_DOMAIN), "ForwardRequest": _fields(_REQUEST)}
        domain = {"name": "Millmark", "version": "1", "chainId": arguments["chain_id"], "verifyingContract": to}
        values = {"from": account.address, "to": to, "value": 0, "gas": 500_000, "deadline": 2_000_000_000}
        data = bytes.fromhex(arguments["data"])
        return [
            {
                "types": types,
                "primaryType": "ForwardRequest",
                "domain": domain,
                "message": {**values, "nonce": nonce, "data": data},
            }
            for nonce in range(count)
        ]

    def digest() -> Act:
        asked = messages(arguments["digests"])

        def act() -> tuple[int, object]:
            for message in asked:
                found = _hash_eip191_message(encode_typed_data(full_message=message))
            return len(asked), found.hex()

        return act

    def cycle() -> Act:
        asked = messages(arguments["cycles"])

        def act() -> tuple[int, object]:
            for message in asked:
                signed = account.sign_message(encode_typed_data(full_message=message))
                signer = Account.recover_message(encode_typed_data(full_message=message), signature=signed.signature)
                assert signer == account.address
            return len(asked), signed.signature.hex()

        return act

    return {"digest": digest, "cycle": cycle}


def _fields(types: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in types.items()]
