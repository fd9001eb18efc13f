"""The forwarder: the contract through which one participant sends what another one signed (ledger.forward_requests)."""

from __future__ import annotations

from typing import cast

from ledger.chain.codec import decode_result, encode_function
from ledger.chain.node import Node
from ledger.errors import WrongContractError
from ledger.forward_requests import ForwardRequest, SignedRequest, sign_request
from ledger.keys import LocalSigner

__all__ = ["execute_data", "execute_gas", "fetch_nonce", "is_taken", "verify_domain"]

_FORWARDER = "Forwarder"
_OVERHEAD_GAS = 120_000
"""Of the transaction and of all that `execute` does around the call: 21,000 and a new nonce's 22,100 among them."""
_GAS_A_BYTE = 24
"""Of calldata: 16 at most where it is sent (EIP-2028), the rest where it is copied."""


def execute_data(signed: SignedRequest) -> bytes:
    """Calldata of `execute`, by which anybody may send the request."""
    return encode_function(_FORWARDER, "execute", _as_struct(signed))


def execute_gas(signed: SignedRequest) -> int:
    """Gas limit of the transaction that executes it. The call gets at most 63/64 of what is left (EIP-150), and the
    forwarder fails, and spends no nonce, when that was less than was signed for."""
    request = signed.request
    return request.gas + request.gas // 63 + 1 + _OVERHEAD_GAS + _GAS_A_BYTE * len(request.data)


def is_taken(node: Node, signed: SignedRequest) -> bool:
    """Whether the forwarder would make the call now, whatever becomes of that."""
    call = encode_function(_FORWARDER, "verify", _as_struct(signed))
    return decode_result(_FORWARDER, "verify", node.call(signed.request.forwarder, call)) == (True,)


def fetch_nonce(node: Node, forwarder: bytes, key: bytes, number: int | None = None) -> int:
    """The nonce that the key's next request must have, after block `number` or the latest."""
    answer = node.call(forwarder, encode_function(_FORWARDER, "nonces", "0x" + key.hex()), number=number)
    return cast(int, decode_result(_FORWARDER, "nonces", answer)[0])


def verify_domain(node: Node, chain_id: int, forwarder: bytes, target: bytes) -> None:
    """Verify that the forwarder takes what is signed for this chain and its own address: it computes that domain when
    it is deployed and keeps it as an immutable, which is no part of what is compared of its code. With another one it
    would take requests that were signed for other ledgers. It keeps one domain, so one request tells.

    Raises WrongContractError.
    """
    signer = LocalSigner.generate()
    request = ForwardRequest(chain_id, forwarder, signer.address, target, 0, 0, 2**48 - 1, b"")
    if not is_taken(node, sign_request(request, signer)):
        raise WrongContractError(
            f"the forwarder at 0x{forwarder.hex()} takes requests for another chain or address than its own",
            hint="check the deployment file, and believe nothing on this ledger",
        )


def _as_struct(signed: SignedRequest) -> tuple[object, ...]:
    """`ForwardRequestData`."""
    request = signed.request
    return (request.signer, request.to, 0, request.gas, request.deadline, request.data, signed.signature)
