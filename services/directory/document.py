"""The directory as a signed document: who the companies are. DIRECTORY.md specifies it.

Parsing and recovering the signer need no database; whether a directory may be believed is decided by
`millmark.services.directory.following`.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, keccak256, sha256
from millmark.ledger.errors import IdentifierError, SigningError, TrustError
from millmark.ledger.ids import canonical_identifier
from millmark.ledger.signatures import Address, Signature, Signer, recover_address, to_checksum
from millmark.ledger.trust import parse_canonical, parse_checksum, parse_hex, parse_members, parse_number
from millmark.ledger.verify.printable import printable
from millmark.services.directory.contact import Contact, contact_from_json
from millmark.services.directory.errors import DirectoryError
from millmark.services.directory.grounds import ConsortiumGround
from millmark.services.directory.recipient_keys import KeyStatement, typed_digest

MAX_DIRECTORY_BYTES = 1 << 20
MAX_ENTRIES = 2_000
MAX_NAME_CHARACTERS = 200
_MAX_URL_CHARACTERS = 500
_MAX_PARTICIPANT = 2**32 - 1
_FORMAT, _VERSION = "millmark-directory", 1
_DIRECTORY_TYPE = keccak256(b"Directory(uint64 issuedAt,bytes32 content)")
_DEPTH = 4
_HINT = "get the directory again from the operator"
_HOST = re.compile(r"\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253}")


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """What the operator says of a company. Only the recipient key is the company's own word."""

    participant: int
    name: str
    gln: str | None = None
    """Party GLN, 13 digits."""
    gateway: str | None = None
    """URL under which others reach its gateway: scheme, host and port."""
    recipient_key: KeyStatement | None = None
    """To be checked at every use, with `verify_statement`."""
    contact: Contact | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """All companies that the operator names, on one ledger."""

    chain_id: int
    ledger: bytes
    """Address, 20 bytes."""
    issued_at: int
    """Seconds since 1970. A later directory replaces an earlier one."""
    entries: tuple[DirectoryEntry, ...]
    """By participant, ascending; no company twice."""

    @property
    def signed_digest(self) -> bytes:
        """The 32 bytes that the operator signs."""
        content = sha256(canonical_json(self.to_json()))
        message = _DIRECTORY_TYPE + self.issued_at.to_bytes(32, "big") + content
        return typed_digest(self.chain_id, self.ledger, message)

    def to_json(self) -> dict[str, Json]:
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "chain_id": self.chain_id,
            "ledger": to_checksum(self.ledger),
            "issued_at": self.issued_at,
            "entries": [entry_to_json(entry) for entry in self.entries],
        }


@dataclass(frozen=True, slots=True)
class SignedDirectory:
    """A directory with the signature of somebody. Not established: of whom."""

    directory: Directory
    signature: bytes
    """65 bytes: r, s and v = 27 or 28."""

    def to_bytes(self) -> bytes:
        """The document, in canonical JSON (RFC 8785)."""
        return canonical_json({**self.directory.to_json(), "signature": "0x" + self.signature.hex()})

    @property
    def digest(self) -> bytes:
        """SHA-256 of the document, which the operator publishes on the ledger."""
        return sha256(self.to_bytes())

    def recover_signer(self) -> Address:
        """The address that signed. Raises DirectoryError for an invalid signature."""
        try:
            return recover_address(self.directory.signed_digest, Signature.from_bytes(self.signature))
        except SigningError as error:
            raise DirectoryError(f"the directory's signature is invalid: {error.cause}", hint=_HINT) from None


def sign_directory(directory: Directory, signer: Signer) -> SignedDirectory:
    """Raises SigningError, and DirectoryError for entries that nobody could read again."""
    signed = SignedDirectory(directory, signer.sign_digest(directory.signed_digest).to_bytes())
    parse_directory(signed.to_bytes())
    return signed


def parse_directory(data: bytes) -> SignedDirectory:
    """Raises DirectoryError for what is not exactly of the format. Not established: who signed it, and when."""
    names = ("format", "version", "chain_id", "ledger", "issued_at", "entries", "signature")
    try:
        value = parse_canonical(data, MAX_DIRECTORY_BYTES, _DEPTH, "directory", _HINT)
        form, version, chain_id, ledger, issued_at, entries, signature = parse_members(value, *names)
        if form != _FORMAT or parse_number(version, MAX_SAFE_INTEGER) != _VERSION:
            raise TrustError(f"not a {_FORMAT} of version {_VERSION}")
        if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
            raise TrustError(f"its entries are not a list of at most {MAX_ENTRIES}")
        directory = Directory(
            chain_id=parse_number(chain_id, MAX_SAFE_INTEGER),
            ledger=parse_checksum(ledger),
            issued_at=parse_number(issued_at, MAX_SAFE_INTEGER),
            entries=tuple(entry_from_json(entry) for entry in entries),
        )
        verify_each_once(directory.entries)
        return SignedDirectory(directory, parse_hex(signature, 65))
    except TrustError as error:
        raise DirectoryError(f"the directory cannot be used: {error.cause}", hint=_HINT) from None


def entry_to_json(entry: DirectoryEntry) -> dict[str, Json]:
    """Without `contact` if there is none: directories were first signed without it, and stay as they are."""
    key = entry.recipient_key
    return {
        "participant": entry.participant,
        "name": entry.name,
        "gln": entry.gln,
        "gateway": entry.gateway,
        **({} if entry.contact is None else {"contact": entry.contact.to_json()}),
        "recipient_key": None
        if key is None
        else {
            "public_key": "0x" + key.public_key.hex(),
            "issued_at": key.issued_at,
            "signature": "0x" + key.signature.hex(),
        },
    }


def entry_from_json(value: Json) -> DirectoryEntry:
    """Raises TrustError."""
    participant, name, gln, gateway, contact, key = parse_members(
        value, *("participant", "name", "gln", "gateway", "contact", "recipient_key"), optional="contact"
    )
    if not isinstance(name, str):
        raise TrustError("a company's name is not a string")
    if not (gln is None or isinstance(gln, str)) or not (gateway is None or isinstance(gateway, str)):
        raise TrustError("a GLN or gateway is neither a string nor null")
    verify_name(name)
    if gln is not None:
        verify_gln(gln)
    if gateway is not None:
        verify_gateway_url(gateway)
    number = parse_number(participant, _MAX_PARTICIPANT)
    stated = None if key is None else _parse_statement(key)
    reached = None if contact is None else contact_from_json(contact)
    return DirectoryEntry(number, name, gln, gateway, stated, reached)


def verify_name(name: str) -> None:
    """Raises TrustError for a name that could not be printed as it is, or could pass for another by what it hides."""
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or name != name.strip() or printable(name) != name:
        raise TrustError(
            f"a company's name is not 1 to {MAX_NAME_CHARACTERS} visible characters",
            hint="leave out control characters, backslashes and doubled spaces",
        )


def verify_gln(gln: str) -> None:
    """Raises TrustError unless it is 13 digits with the right check digit."""
    try:
        canonical_identifier(f"https://id.gs1.org/417/{gln}")
    except IdentifierError:
        raise TrustError(
            f"{gln[:40]!a} is not a GLN of 13 digits with the right check digit", hint="read it again"
        ) from None


def verify_gateway_url(url: str) -> None:
    """Raises TrustError unless it is https:// with a host and perhaps a port, or http:// on the loopback."""
    try:
        parts = urlsplit(url)
        is_plain = bool(_HOST.fullmatch(_host_of(parts.netloc))) and (parts.port is None or 0 < parts.port < 65536)
    except ValueError:
        is_plain = False
    if (
        not is_plain
        or len(url) > _MAX_URL_CHARACTERS
        or url != f"{parts.scheme}://{parts.netloc}"
        or parts.scheme not in ("https", "http")
        or (parts.scheme == "http" and not _is_loopback(parts.hostname or ""))
    ):
        raise TrustError(
            f"{url[:80]!a} is not the URL of a gateway",
            hint="give https://, the host and perhaps a port, and no path; http:// is for the loopback only",
        )


def _host_of(netloc: str) -> str:
    return re.sub(r":[0-9]{1,5}$", "", netloc)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _parse_statement(value: Json) -> KeyStatement:
    public_key, issued_at, signature = parse_members(value, "public_key", "issued_at", "signature")
    return KeyStatement(parse_hex(public_key, 32), parse_number(issued_at, MAX_SAFE_INTEGER), parse_hex(signature, 65))


def verify_each_once(entries: Sequence[DirectoryEntry]) -> None:
    """Raises TrustError if a company is listed twice, by its number or under a name or GLN of another."""
    for what, found in (
        ("participant", [str(entry.participant) for entry in entries]),
        ("name", [entry.name.casefold() for entry in entries]),
        ("GLN", [entry.gln for entry in entries if entry.gln is not None]),
    ):
        twice = next((one for one, count in Counter(found).items() if count > 1), None)
        if twice is not None:
            raise TrustError(ConsortiumGround.LISTED_TWICE.write(what=what, twice=twice))
    if [entry.participant for entry in entries] != sorted(entry.participant for entry in entries):
        raise TrustError("the entries are not in ascending order")
