"""Sign-in messages (EIP-4361), in exactly one form:

    DOMAIN wants you to sign in with your Ethereum account:
    ADDRESS

    STATEMENT

    URI: URI
    Version: 1
    Chain ID: NUMBER
    Nonce: LETTERS AND DIGITS
    Issued At: TIME
    Expiration Time: TIME

The standard allows more: a scheme before the domain, no statement, no expiry, a start time, a request id, resources,
fractions and offsets in times. Since the gateway issues the messages itself, it needs none of this and refuses it, so
that no two texts have the same meaning. Times are UTC to the second. Messages are signed as EIP-191 specifies for
`personal_sign`; contract accounts (ERC-1271) cannot sign in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from millmark.ledger import canonical, errors
from millmark.ledger.signatures import Address, Signature, parse_address, recover_address, to_checksum
from millmark.services.access.errors import Ground, SignInError

MAX_MESSAGE_CHARACTERS = 2048

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_MAX_TIME_S = 253_402_300_799
"""The last second of the year 9999, in seconds since 1970."""
_FORM = re.compile(
    r"(?P<domain>[A-Za-z0-9.:\[\]-]{1,255}) wants you to sign in with your Ethereum account:\n"
    r"(?P<address>0x[0-9a-fA-F]{40})\n\n"
    r"(?P<statement>[A-Za-z0-9 .,'-]{1,200})\n\n"
    r"URI: (?P<uri>[!-~]{1,255})\n"
    r"Version: 1\n"
    r"Chain ID: (?P<chain_id>0|[1-9][0-9]{0,18})\n"
    r"Nonce: (?P<nonce>[A-Za-z0-9]{8,128})\n"
    r"Issued At: (?P<issued_at>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)\n"
    r"Expiration Time: (?P<expires_at>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)"
)
_HINT = "get a message from /v1/sign-in, and sign it unchanged"


@dataclass(frozen=True, slots=True)
class SignInMessage:
    """The content of a sign-in message."""

    domain: str
    """Host of the site, with its port if it has one."""
    address: Address
    statement: str
    uri: str
    chain_id: int
    nonce: str
    issued_at: int
    """Seconds since 1970, as is `expires_at`."""
    expires_at: int

    def to_text(self) -> str:
        """The text that is signed. `parse_message` is the inverse."""
        return (
            f"{self.domain} wants you to sign in with your Ethereum account:\n{to_checksum(self.address)}\n\n"
            f"{self.statement}\n\nURI: {self.uri}\nVersion: 1\nChain ID: {self.chain_id}\nNonce: {self.nonce}\n"
            f"Issued At: {_show(self.issued_at)}\nExpiration Time: {_show(self.expires_at)}"
        )


def parse_message(text: str) -> SignInMessage:
    """Parses a message. Raises SignInError if it is malformed. Not established: that anybody signed it, or that it is
    for this site."""
    found = _FORM.fullmatch(text) if len(text) <= MAX_MESSAGE_CHARACTERS else None
    if found is None:
        raise SignInError(Ground.NO_MESSAGE.write(), hint=_HINT)
    try:
        message = SignInMessage(
            domain=found["domain"],
            address=parse_address(found["address"]),
            statement=found["statement"],
            uri=found["uri"],
            chain_id=int(found["chain_id"]),
            nonce=found["nonce"],
            issued_at=_parse_time(found["issued_at"]),
            expires_at=_parse_time(found["expires_at"]),
        )
    except (errors.SigningError, ValueError):
        raise SignInError(Ground.MESSAGE_UNREADABLE.write(), hint=_HINT) from None
    if message.to_text() != text:  # for example an address without its checksum
        raise SignInError(Ground.MESSAGE_OTHERWISE.write(), hint=_HINT)
    return message


def build_digest(text: str) -> bytes:
    """The 32 bytes to sign (EIP-191, version 0x45)."""
    content = text.encode()
    return canonical.keccak256(b"\x19Ethereum Signed Message:\n" + str(len(content)).encode() + content)


def recover_signer(text: str, signature: bytes) -> Address:
    """Returns the address whose key signed the text. Raises SignInError if there is none."""
    try:
        return recover_address(build_digest(text), Signature.from_bytes(signature))
    except errors.SigningError as error:
        raise SignInError(Ground.SIGNATURE_INVALID.write(words=error.cause), hint=_HINT) from None


def _show(moment_s: int) -> str:
    if not 0 <= moment_s <= _MAX_TIME_S:
        raise SignInError(Ground.MESSAGE_YEARS.write())
    return datetime.fromtimestamp(moment_s, UTC).strftime(_TIME)


def _parse_time(text: str) -> int:
    return int(datetime.strptime(text, _TIME).replace(tzinfo=UTC).timestamp())
