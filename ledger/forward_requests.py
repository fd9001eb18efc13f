"""Forward requests: calls signed by one key and sent by another, which the ledger attributes to the signing key.

The signature covers EIP-712 typed data, as defined by OpenZeppelin's ERC2771Forwarder:

    domain      EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)
                name "Millmark", version "1", verifyingContract the forwarder's address
    message     ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,
                bytes data), without the line break

The value is always 0. A request is executed at most once: its nonce must be its signer's next one at the forwarder, and
is spent if and only if the call succeeds. All that a relay can do to a request is delay it until its deadline.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

import sha3  # type: ignore[import-untyped]  # safe-pysha3 ships no types

from millmark.ledger.canonical import MAX_SAFE_INTEGER, canonical_json, keccak256
from millmark.ledger.errors import RequestError, SigningError, TrustError
from millmark.ledger.signatures import ADDRESS_BYTES, Signature, Signer, to_checksum, verify_signature
from millmark.ledger.trust import parse_canonical, parse_checksum, parse_hex, parse_members, parse_number

MAX_REQUEST_BYTES = 60 * 1024
"""Largest request in its JSON form: well below the largest body that a gateway accepts."""

_FORMAT, _VERSION = "millmark-forward-request", 1
_MEMBERS = (
    "format",
    "version",
    "chain_id",
    "forwarder",
    "from",
    "to",
    "gas",
    "nonce",
    "deadline",
    "data",
    "signature",
)
_MAX_DEADLINE = 2**48 - 1
SIGNATURE_BYTES = 65
_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_PADDING = bytes(32 - ADDRESS_BYTES)
_REQUEST_BEGIN = (
    keccak256(
        b"ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,bytes data)"
    )
    + _PADDING
)
_NAME, _DOMAIN_VERSION = keccak256(b"Millmark"), keccak256(b"1")
_HINT = "have it signed again with this version"
_keccak = sha3.keccak_256
"""As `keccak256`, without its call: a digest takes three."""
_keep = object.__setattr__
"""Writes a frozen object's field."""


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """The content of a request that its signer signs. Construction raises RequestError for values that no forwarder
    accepts.
    """

    chain_id: int
    forwarder: bytes
    """Address, 20 bytes."""
    signer: bytes
    """Address of the acting key, 20 bytes."""
    to: bytes
    """Address of the contract to call, 20 bytes."""
    gas: int
    """Gas limit of the call, independent of that of the sender's transaction."""
    nonce: int
    """Counted by the forwarder for each signer."""
    deadline: int
    """Last block time at which the request can be executed, in seconds since 1970."""
    data: bytes
    """Calldata."""
    _digest: bytes = field(default=b"", init=False, repr=False, compare=False)
    """Once it was asked for: whoever checks a request also names it by its digest."""

    def __post_init__(self) -> None:
        if any(len(address) != ADDRESS_BYTES for address in (self.forwarder, self.signer, self.to)):
            raise RequestError(f"an address is not {ADDRESS_BYTES} bytes")
        numbers = (self.chain_id, self.gas, self.nonce, self.deadline)
        if any(not 0 <= number <= MAX_SAFE_INTEGER for number in numbers) or self.deadline > _MAX_DEADLINE:
            raise RequestError("a number is negative or too large")

    @property
    def digest(self) -> bytes:
        """The 32-byte digest to sign (EIP-712 section "Specification"), which also identifies the request."""
        found = self._digest
        if found:
            return found
        # Value (0), gas, nonce and deadline, a word each, as one number: a conversion each would take half of the time.
        numbers = ((self.gas << 512) | (self.nonce << 256) | self.deadline).to_bytes(128, "big")
        parts = (_REQUEST_BEGIN, self.signer, _PADDING, self.to, numbers, _keccak(self.data).digest())
        message = _keccak(b"".join(parts)).digest()
        found = cast("bytes", _keccak(_prefix(self.chain_id, self.forwarder) + message).digest())
        _keep(self, "_digest", found)
        return found


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request and its signer's signature: 65 bytes, r, s and v = 27 or 28."""

    request: ForwardRequest
    signature: bytes

    def verify(self) -> None:
        """Verify the signature. Raises RequestError. Not established: that the nonce is the one that the forwarder
        expects next."""
        try:
            signature = Signature.from_bytes(self.signature)
            verify_signature(self.request.digest, signature, self.request.signer)
        except SigningError as error:
            raise RequestError(f"the signature is not the signer's: {error.cause}", hint=_HINT) from None

    def to_bytes(self) -> bytes:
        """The request in canonical JSON (RFC 8785); `parse_request` reads it."""
        request = self.request
        return canonical_json(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "chain_id": request.chain_id,
                "forwarder": to_checksum(request.forwarder),
                "from": to_checksum(request.signer),
                "to": to_checksum(request.to),
                "gas": request.gas,
                "nonce": request.nonce,
                "deadline": request.deadline,
                "data": "0x" + request.data.hex(),
                "signature": "0x" + self.signature.hex(),
            }
        )


@lru_cache(maxsize=64)
def _prefix(chain_id: int, forwarder: bytes) -> bytes:
    """What a digest begins with: it is the same for all requests to a forwarder, of which a process knows few."""
    domain = keccak256(
        _DOMAIN_TYPE + _NAME + _DOMAIN_VERSION + chain_id.to_bytes(32, "big") + forwarder.rjust(32, b"\0")
    )
    return b"\x19\x01" + domain


def sign_request(request: ForwardRequest, signer: Signer) -> SignedRequest:
    """Sign a request. Raises RequestError when `signer` is not the request's signer, SigningError."""
    if signer.address != request.signer:
        raise RequestError(
            f"the request must be signed by {to_checksum(request.signer)}, not by {to_checksum(signer.address)}"
        )
    return SignedRequest(request, signer.sign_digest(request.digest).to_bytes())


def parse_request(data: bytes) -> SignedRequest:
    """Parse a request from its JSON form. Raises RequestError when it is malformed, too large or not canonical. Not
    established: that the signature is the signer's; `SignedRequest.verify` checks it."""
    try:
        value = parse_canonical(data, MAX_REQUEST_BYTES, 1, "request", _HINT)
        form, version, chain_id, forwarder, signer, to, gas, nonce, deadline, call, signature = parse_members(
            value, *_MEMBERS
        )
        if form != _FORMAT or parse_number(version, MAX_SAFE_INTEGER) != _VERSION:
            raise TrustError(f"not a {_FORMAT} of version {_VERSION}")
        if not isinstance(call, str):
            raise TrustError("its data is not a string")
        request = ForwardRequest(
            chain_id=parse_number(chain_id, MAX_SAFE_INTEGER),
            forwarder=parse_checksum(forwarder),
            signer=parse_checksum(signer),
            to=parse_checksum(to),
            gas=parse_number(gas, MAX_SAFE_INTEGER),
            nonce=parse_number(nonce, MAX_SAFE_INTEGER),
            deadline=parse_number(deadline, _MAX_DEADLINE),
            data=parse_hex(call, max(len(call) - 2, 0) // 2),  # of any length: the size of the request is bounded
        )
        return SignedRequest(request, parse_hex(signature, SIGNATURE_BYTES))
    except TrustError as error:
        raise RequestError(f"the request cannot be used: {error.cause}", hint=_HINT) from None
