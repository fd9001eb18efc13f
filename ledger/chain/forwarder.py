"""The forwarder: the contract through which a participant sends calls signed by another
(millmark.ledger.forward_requests)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain.blocks import RawLog
from millmark.ledger.chain.codec import decode_result, encode_function, read_function
from millmark.ledger.chain.node import Node
from millmark.ledger.errors import RequestError, WrongContractError
from millmark.ledger.forward_requests import ForwardRequest, SignedRequest, sign_request

_FORWARDER = "Forwarder"
_EXECUTED = keccak256(b"ExecutedForwardRequest(address,uint256,bool)")
_WORD = 32
_OVERHEAD_GAS = 120_000
"""Gas of the transaction and of `execute` around the call, including 21,000, and 22,100 for a signer's first nonce."""
_GAS_A_BYTE = 24
"""Gas per byte of calldata: at most 16 for sending it (EIP-2028), the rest for copying it."""


def execute_data(signed: SignedRequest) -> bytes:
    """Return the calldata of `execute`, with which anybody may send the request."""
    return encode_function(_FORWARDER, "execute", _as_struct(signed))


def read_execute(chain_id: int, forwarder: bytes, data: bytes, logs: Iterable[RawLog]) -> SignedRequest | None:
    """Return the request that a transaction to the forwarder executed; None if it executed none.

    The nonce is not part of the call, so it is taken from the forwarder's log, and the signature tells whether it is
    the one that was signed.
    """
    found = read_function(_FORWARDER, data)
    nonces = [log.data[:_WORD] for log in logs if log.address == forwarder and log.topics[:1] == (_EXECUTED,)]
    if found is None or found[0] != "execute" or len(nonces) != 1:
        return None
    given = cast(Mapping[str, Any], found[1][0])
    nonce = int.from_bytes(nonces[0])
    try:
        request = ForwardRequest(
            chain_id, forwarder, given["from"], given["to"], given["gas"], nonce, given["deadline"], given["data"]
        )
        signed = SignedRequest(request, given["signature"])
        signed.verify()
    except RequestError:
        return None
    return signed


def execute_gas(signed: SignedRequest) -> int:
    """Return the gas limit for the transaction that executes a request."""
    request = signed.request
    # The call gets at most 63/64 of the remaining gas (EIP-150). If that is less than `request.gas`, the forwarder
    # reverts and spends no nonce.
    return request.gas + request.gas // 63 + 1 + _OVERHEAD_GAS + _GAS_A_BYTE * len(request.data)


def is_taken(node: Node, signed: SignedRequest, number: int | None = None) -> bool:
    """Whether the forwarder accepts the request now, or after block `number`. Not established: that the call
    succeeds."""
    call = encode_function(_FORWARDER, "verify", _as_struct(signed))
    answer = node.call(signed.request.forwarder, call, number=number)
    return decode_result(_FORWARDER, "verify", answer) == (True,)


def fetch_nonce(node: Node, forwarder: bytes, key: bytes, number: int | None = None) -> int:
    """Return the nonce required of the key's next request, after block `number` or the latest."""
    answer = node.call(forwarder, encode_function(_FORWARDER, "nonces", "0x" + key.hex()), number=number)
    return cast(int, decode_result(_FORWARDER, "nonces", answer)[0])


def verify_domain(node: Node, chain_id: int, forwarder: bytes, target: bytes) -> None:
    """Verify that the forwarder's EIP-712 domain has this chain id and its own address. Raises WrongContractError.

    With another domain, it would accept requests that were signed for other ledgers. The domain is an immutable, which
    `verify_code` does not compare.
    """
    from millmark.ledger.keys import LocalSigner  # noqa: PLC0415  # commands that only read need no key

    # The forwarder has only one domain, so it is enough to ask about a single request, signed for the right one.
    signer = LocalSigner.generate()
    request = ForwardRequest(chain_id, forwarder, signer.address, target, 0, 0, 2**48 - 1, b"")
    if not is_taken(node, sign_request(request, signer)):
        raise WrongContractError(
            f"the forwarder at 0x{forwarder.hex()} accepts requests for a chain or an address other than its own",
            hint="check the deployment file, and trust no records of this ledger",
        )


def _as_struct(signed: SignedRequest) -> tuple[object, ...]:
    """The request as the ABI's struct ForwardRequestData."""
    request = signed.request
    return (request.signer, request.to, 0, request.gas, request.deadline, request.data, signed.signature)
