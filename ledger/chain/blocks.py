"""Parses the transactions of a block, and shows that they are all of them: their trie has the header's root.

Only a transaction that is known this way, with its signature, proves who used a nonce. A node's word about one
transaction could be that of a node behind the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from millmark.ledger.canonical import keccak256
from millmark.ledger.chain.receipts import build_root
from millmark.ledger.errors import SigningError
from millmark.ledger.rlp import RlpItem, encode_integer, encode_rlp
from millmark.ledger.signatures import Signature, recover_address

__all__ = ["BlockTransaction", "parse_transactions"]

_LEGACY_V = 27
_CHAIN_V = 35
"""Lowest `v` of a signature that covers the chain's id (EIP-155)."""


@dataclass(frozen=True, slots=True)
class BlockTransaction:
    """A transaction in a block."""

    hash: bytes
    nonce: int
    to: bytes
    """Address; empty if it created a contract."""
    data: bytes
    digest: bytes
    """What the sender signed, 32 bytes."""
    signature: tuple[int, int, int]
    """r, s and the parity of y."""

    @property
    def sender(self) -> bytes | None:
        """The address whose key signed it; None if no key can have, or the signature is in a form no longer valid."""
        try:
            return recover_address(self.digest, Signature(*self.signature))
        except SigningError:
            return None


def parse_transactions(raw: Sequence[Any], root: bytes) -> tuple[BlockTransaction, ...]:
    """Parse a block's transactions from JSON. Raises ValueError, or another error of parsing, unless they are exactly
    those under `root`, the transactions root of the header."""
    parsed = [_parse(entry) for entry in raw]
    if build_root([encoded for encoded, _ in parsed]) != root:
        raise ValueError("the transactions do not match the block's transactions root")
    return tuple(transaction for _, transaction in parsed)


def _parse(raw: Mapping[str, Any]) -> tuple[bytes, BlockTransaction]:
    """Return a transaction's encoding, as it is in the trie, and its content."""
    kind = _integer(raw.get("type", "0x0"))
    unsigned: list[RlpItem] = [_FIELDS[name](raw.get(name)) for name in _KINDS[kind]]
    r, s = _integer(raw["r"]), _integer(raw["s"])
    last = _integer(raw["v"] if kind == 0 else raw.get("yParity", raw.get("v")))
    encoded = encode_rlp([*unsigned, encode_integer(last), encode_integer(r), encode_integer(s)])
    if kind == 0:
        signed, parity = _signed_legacy(unsigned, last)
    else:
        prefix = bytes([kind])
        encoded, signed, parity = prefix + encoded, prefix + encode_rlp(unsigned), last
    return encoded, BlockTransaction(
        keccak256(encoded),
        _integer(raw["nonce"]),
        _bytes(raw.get("to")),
        _bytes(raw["input"]),
        keccak256(signed),
        (r, s, parity),
    )


def _signed_legacy(unsigned: Sequence[RlpItem], v: int) -> tuple[bytes, int]:
    """What was signed, and the parity of y (EIP-155)."""
    if v < _CHAIN_V:
        return encode_rlp([*unsigned]), v - _LEGACY_V
    chain_id, parity = divmod(v - _CHAIN_V, 2)
    return encode_rlp([*unsigned, encode_integer(chain_id), b"", b""]), parity


def _integer(value: Any) -> int:
    return int(value, 16)


def _bytes(value: Any) -> bytes:
    return b"" if value is None else bytes.fromhex(value.removeprefix("0x"))


def _number(value: Any) -> RlpItem:
    return encode_integer(_integer(value))


def _access(value: Any) -> RlpItem:
    return [[_bytes(entry["address"]), [_bytes(key) for key in entry["storageKeys"]]] for entry in value]


def _authorizations(value: Any) -> RlpItem:
    return [
        [
            _number(entry["chainId"]),
            _bytes(entry["address"]),
            *(_number(entry[name]) for name in ("nonce", "yParity", "r", "s")),
        ]
        for entry in value
    ]


_FIELDS: Mapping[str, Callable[[Any], RlpItem]] = {
    **dict.fromkeys(
        (
            "chainId",
            "nonce",
            "gasPrice",
            "maxPriorityFeePerGas",
            "maxFeePerGas",
            "gas",
            "value",
            "maxFeePerBlobGas",
        ),
        _number,
    ),
    "to": _bytes,
    "input": _bytes,
    "accessList": _access,
    "blobVersionedHashes": lambda value: [_bytes(entry) for entry in value],
    "authorizationList": _authorizations,
}
_DYNAMIC = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "to", "value", "input", "accessList")
_KINDS: Mapping[int, Sequence[str]] = {
    0: ("nonce", "gasPrice", "gas", "to", "value", "input"),
    1: ("chainId", "nonce", "gasPrice", "gas", "to", "value", "input", "accessList"),
    2: _DYNAMIC,
    3: (*_DYNAMIC, "maxFeePerBlobGas", "blobVersionedHashes"),
    4: (*_DYNAMIC, "authorizationList"),
}
"""Signed fields of each type of transaction, in order: yellow paper, EIP-2930, EIP-1559, EIP-4844, EIP-7702."""
