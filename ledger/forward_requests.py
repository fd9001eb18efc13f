"""Forward requests: calls that a key signs and somebody else sends. The ledger takes them as if the key had.

What is signed is EIP-712 typed data, as OpenZeppelin's ERC2771Forwarder has it:

    domain      EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)
                name "Millmark", version "1", verifyingContract the forwarder's address
    message     ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,
                bytes data), without the line's end

The value is always 0. A request is executed at most once: its nonce is its signer's next one at the forwarder, and is
spent if and only if the call succeeded. Who relays can hold a request back until its deadline; nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.canonical import MAX_SAFE_INTEGER, canonical_json, keccak256
from ledger.errors import RequestError, SigningError, TrustError
from ledger.signatures import ADDRESS_BYTES, Signature, Signer, to_checksum, verify_signature
from ledger.trust import parse_canonical, parse_checksum, parse_hex, parse_members, parse_number

__all__ = ["MAX_REQUEST_BYTES", "SIGNATURE_BYTES", "ForwardRequest", "SignedRequest", "parse_request", "sign_request"]

MAX_REQUEST_BYTES = 60 * 1024
"""Of the written form: what a gateway takes as one body, with room to spare."""

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
_MOST_DEADLINE = 2**48 - 1
SIGNATURE_BYTES = 65
_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_REQUEST_TYPE = keccak256(
    b"ForwardRequest(address from,address to,uint256 value,uint256 gas,uint256 nonce,uint48 deadline,bytes data)"
)
_NAME, _DOMAIN_VERSION = keccak256(b"Millmark"), keccak256(b"1")
_MEND = "have it signed again with this version"


@dataclass(frozen=True, slots=True)
class ForwardRequest:
    """What is signed. Raises RequestError for what no forwarder could take."""

    chain_id: int
    forwarder: bytes
    """Address, 20 bytes; so are the next two."""
    signer: bytes
    """Whose key acts."""
    to: bytes
    gas: int
    """That the call is given, whatever the sender's transaction has."""
    nonce: int
    """At the forwarder, counted for the signer alone."""
    deadline: int
    """Last moment, in seconds since 1970, by the chain's clock."""
    data: bytes

    def __post_init__(self) -> None:
        if any(len(address) != ADDRESS_BYTES for address in (self.forwarder, self.signer, self.to)):
            raise RequestError(f"an address is not {ADDRESS_BYTES} bytes")
        numbers = (self.chain_id, self.gas, self.nonce, self.deadline)
        if any(not 0 <= number <= MAX_SAFE_INTEGER for number in numbers) or self.deadline > _MOST_DEADLINE:
            raise RequestError("a number is out of range")

    @property
    def digest(self) -> bytes:
        """The 32 bytes that are signed (EIP-712 section "Specification"); they also name the request."""
        domain = keccak256(_DOMAIN_TYPE + _NAME + _DOMAIN_VERSION + _word(self.chain_id) + _padded(self.forwarder))
        message = keccak256(
            _REQUEST_TYPE
            + _padded(self.signer)
            + _padded(self.to)
            + _word(0)
            + _word(self.gas)
            + _word(self.nonce)
            + _word(self.deadline)
            + keccak256(self.data)
        )
        return keccak256(b"\x19\x01" + domain + message)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request and its signer's signature: 65 bytes, r, s and v = 27 or 28."""

    request: ForwardRequest
    signature: bytes

    def verify(self) -> None:
        """Verify that the signer signed it. Raises RequestError. Not established: that its nonce is the next one."""
        try:
            signature = Signature.from_bytes(self.signature)
            verify_signature(self.request.digest, signature, self.request.signer)
        except SigningError as error:
            raise RequestError(f"the signature is not the signer's: {error.cause}", hint=_MEND) from None

    def to_bytes(self) -> bytes:
        """The one written form (RFC 8785), which `parse_request` takes back."""
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


def sign_request(request: ForwardRequest, signer: Signer) -> SignedRequest:
    """Raises RequestError when the signer is not the request's, SigningError."""
    if signer.address != request.signer:
        raise RequestError(f"the request is {to_checksum(request.signer)}'s, not {to_checksum(signer.address)}'s")
    return SignedRequest(request, signer.sign_digest(request.digest).to_bytes())


def parse_request(data: bytes) -> SignedRequest:
    """Parse a written request. Raises RequestError for one that is too large or not in its one form. Not established:
    that the signature is the signer's, see `SignedRequest.verify`."""
    try:
        value = parse_canonical(data, MAX_REQUEST_BYTES, 1, "request", _MEND)
        form, version, chain_id, forwarder, signer, to, gas, nonce, deadline, call, signature = parse_members(
            value, *_MEMBERS
        )
        if form != _FORMAT or parse_number(version, MAX_SAFE_INTEGER) != _VERSION:
            raise TrustError(f"not a {_FORMAT} of version {_VERSION}")
        if not isinstance(call, str):
            raise TrustError("its data is no string")
        request = ForwardRequest(
            chain_id=parse_number(chain_id, MAX_SAFE_INTEGER),
            forwarder=parse_checksum(forwarder),
            signer=parse_checksum(signer),
            to=parse_checksum(to),
            gas=parse_number(gas, MAX_SAFE_INTEGER),
            nonce=parse_number(nonce, MAX_SAFE_INTEGER),
            deadline=parse_number(deadline, _MOST_DEADLINE),
            data=parse_hex(call, max(len(call) - 2, 0) // 2),
        )
        return SignedRequest(request, parse_hex(signature, SIGNATURE_BYTES))
    except TrustError as error:
        raise RequestError(f"the request cannot be used: {error.cause}", hint=_MEND) from None


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _padded(address: bytes) -> bytes:
    return address.rjust(32, b"\0")
