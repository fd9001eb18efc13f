"""The forwarder: the contract through which one participant sends what another one signed (ledger.forwarding)."""

from __future__ import annotations

from ledger.chain.codec import decode_result, encode_function
from ledger.chain.node import Node
from ledger.errors import WrongContractError
from ledger.forwarding import ForwardRequest, SignedRequest, sign_request
from ledger.keys import LocalSigner

__all__ = ["execute_data", "verify_domain"]

_FORWARDER = "Forwarder"


def execute_data(signed: SignedRequest) -> bytes:
    """Calldata of `execute`, by which anybody may send the request."""
    return encode_function(_FORWARDER, "execute", _as_struct(signed))


def verify_domain(node: Node, chain_id: int, forwarder: bytes, target: bytes) -> None:
    """Verify that the forwarder takes what is signed for this chain and its own address: it computes that domain when
    it is deployed and keeps it as an immutable, which is no part of what is compared of its code. With another one it
    would take requests that were signed for other ledgers. It keeps one domain, so one request tells.

    Raises WrongContractError.
    """
    signer = LocalSigner.generate()
    request = ForwardRequest(chain_id, forwarder, signer.address, target, 0, 0, 2**48 - 1, b"")
    call = encode_function(_FORWARDER, "verify", _as_struct(sign_request(request, signer)))
    if decode_result(_FORWARDER, "verify", node.call(forwarder, call)) != (True,):
        raise WrongContractError(
            f"the forwarder at 0x{forwarder.hex()} takes requests for another chain or address than its own",
            mend="check the deployment file, and believe nothing on this ledger",
        )


def _as_struct(signed: SignedRequest) -> tuple[object, ...]:
    """`ForwardRequestData`."""
    request = signed.request
    return (request.signer, request.to, 0, request.gas, request.deadline, request.data, signed.signature)
