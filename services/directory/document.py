"""The directory as a signed document: who the companies are, whom one reaches there, and to which keys others encrypt
for them. DIRECTORY.md specifies it.

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

from millmark.ledger import ids, phrases, store
from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, keccak256, parse_json, sha256
from millmark.ledger.errors import IdentifierError, InputError, MillmarkError, SigningError, TrustError
from millmark.ledger.signatures import Address, Signature, Signer, recover_address, to_checksum
from millmark.ledger.trust import parse_canonical, parse_checksum, parse_hex, parse_members, parse_number
from millmark.ledger.verify.printable import printable


class DirectoryError(MillmarkError):
    """A directory is malformed, or must not be believed. Nothing of it is kept."""

    code = "directory-refused"


class DirectoryUnreachableError(MillmarkError):
    """The gateway that serves the directory does not answer, or refuses."""

    code = "directory-unreachable"


class RecipientKeyError(MillmarkError):
    """A recipient has no valid key."""

    code = "recipient-key-unusable"


# Why a company is not admitted or listed, and nothing is decided about one: each ground is declared once.


class ConsortiumGround(phrases.Phrase):
    """A ground. Its value is the error's cause; `words` are English, of a parser or of another program."""

    # Admission
    REQUEST_UNSIGNED = "the request cannot be used: its recipient key is not signed with its key, for its ledger"
    REQUEST_UNUSABLE = "the request cannot be used: {words}"
    REQUEST_OF_REVOKED_KEY = "the request of {name} is signed with a revoked key"
    REQUEST_OF_OTHER_LEDGER = "the request of {name} is for chain {chain:d} and ledger {ledger:s}"
    ADMISSION_UNDER_WAY = "the admission is on its way"
    OTHER_ADMISSION = "another request with this key is being admitted"
    LISTED_TWICE = "a company is in it twice: two entries have the same {what:s}, {twice}"
    # Suspension
    NOT_SUSPENDED = "participant {participant:d} is not suspended"
    SUSPENDED_ALREADY = "participant {participant:d} is suspended already"
    # Directory
    NOTHING_NEW = "the directory in force says all of it already"
    # Who decides
    NO_OWNER_KEY = "this gateway does not have the key that owns the registry"
    NO_COMPANY_KEY = "this gateway has no key of a company"
    NO_CHAIN = "this gateway has no chain"
    # Motions
    OTHER_MOTION = "the motion is another one than the form showed"


_MAX_NAME = 200
_MAIL = re.compile(r"[A-Za-z0-9.!$'*+/^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,7}")
"""What HTML takes for an address, with a dot in the domain, but without the characters that mean something in a mailto
URI (RFC 6068): with those, whoever follows the link could write to others than the page shows."""
_TELEPHONE = re.compile(r"\+[1-9][0-9]{4,14}")
"""ITU-T E.164, without spaces."""
_COUNTRY = re.compile(r"[A-Z]{2}")
"""ISO 3166-1 alpha-2. Not compared with the list, which changes."""
_CONTACT_HINT = 'as in "Quality office, quality@alder.example, DE", or with a telephone number such as +49301234567'


@dataclass(frozen=True, slots=True)
class Contact:
    """At least one of `mail` and `telephone` is set."""

    name: str
    """Name of a person or an office."""
    mail: str | None
    telephone: str | None
    country: str

    def __str__(self) -> str:
        return ", ".join(one for one in (self.name, self.mail, self.telephone, self.country) if one)

    def to_json(self) -> dict[str, Json]:
        return {"name": self.name, "mail": self.mail, "telephone": self.telephone, "country": self.country}

    def to_text(self) -> str:
        """For a column of text; `from_text` reads it."""
        return canonical_json(self.to_json()).decode()

    @staticmethod
    def from_text(text: str) -> Contact | None:
        """None for empty text."""
        return contact_from_json(parse_json(text.encode(), max_bytes=2048, max_depth=2)) if text else None


def contact_from_json(value: Json) -> Contact:
    """Raises TrustError."""
    name, mail, telephone, country = parse_members(value, "name", "mail", "telephone", "country")
    if not isinstance(name, str) or not isinstance(country, str):
        raise TrustError("a contact's name or country is not a string")
    if not (mail is None or isinstance(mail, str)) or not (telephone is None or isinstance(telephone, str)):
        raise TrustError("a contact's mail or telephone is neither a string nor null")
    return _verified(Contact(name, mail, telephone, country))


def parse_contact(text: str) -> Contact:
    """A contact as a person writes it: name, mail or telephone or both, country, with commas. Raises InputError."""
    *parts, country = [one.strip() for one in text.split(",")]
    mail = next((one for one in parts if "@" in one), None)
    telephone = next((one for one in parts if one.startswith("+")), None)
    name = ", ".join(one for one in parts if one not in (mail, telephone))
    digits = None if telephone is None else re.sub(r"[ ()/.-]", "", telephone)
    try:
        return _verified(Contact(name, mail, digits, country))
    except TrustError as error:
        raise InputError(error.cause, hint=error.hint) from None


def _verified(contact: Contact) -> Contact:
    name, mail, telephone = contact.name, contact.mail, contact.telephone
    if not 1 <= len(name) <= _MAX_NAME or name != name.strip() or printable(name) != name:
        raise TrustError(f"a contact's name is not 1 to {_MAX_NAME} visible characters", hint=_CONTACT_HINT)
    if mail is None and telephone is None:
        raise TrustError("a contact has neither a mail address nor a telephone number", hint=_CONTACT_HINT)
    if mail is not None and not _MAIL.fullmatch(mail):
        raise TrustError(f"{mail[:80]!a} is not a mail address", hint=_CONTACT_HINT)
    if telephone is not None and not _TELEPHONE.fullmatch(telephone):
        raise TrustError(
            f"{telephone[:80]!a} is not a telephone number with + and the country's prefix", hint=_CONTACT_HINT
        )
    if not _COUNTRY.fullmatch(contact.country):
        raise TrustError(f"{contact.country[:80]!a} is not a country in two capital letters", hint=_CONTACT_HINT)
    return contact


# Statements by which a company declares its X25519 key, to which others encrypt for it. They are signed with a key of
# the company, so that neither a gateway nor the operator can substitute another key.
#
# The signature is over EIP-712 typed data in the domain of checkpoints (millmark.ledger.checkpoint):
#
#     message     DocumentKey(bytes32 publicKey,uint64 issuedAt)
#
# No participant is named, so that a company can state its key before it is admitted: the statement is that of the
# participant for which the signing key is registered, at the time at which the statement is used.

_DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_STATEMENT_TYPE = keccak256(b"DocumentKey(bytes32 publicKey,uint64 issuedAt)")
_NAME, _STATEMENT_VERSION = keccak256(b"Millmark"), keccak256(b"1")
_STATEMENT_HINT = "the company makes a new statement with `millmark documents keys sign`"


@dataclass(frozen=True, slots=True)
class KeyStatement:
    """A signed statement that its signer's company decrypts with a key, on one ledger. Not established: by whom."""

    public_key: bytes
    """X25519, 32 bytes."""
    issued_at: int
    """Seconds since 1970. A later statement replaces an earlier one."""
    signature: bytes
    """65 bytes: r, s and v = 27 or 28."""

    def recover_signer(self, chain_id: int, ledger: bytes) -> Address:
        """The address that signed. Raises RecipientKeyError for an invalid signature.

        A statement for another ledger has another signer."""
        digest = _digest(chain_id, ledger, self.public_key, self.issued_at)
        try:
            return recover_address(digest, Signature.from_bytes(self.signature))
        except SigningError as error:
            raise RecipientKeyError(
                f"the statement's signature is invalid: {error.cause}", hint=_STATEMENT_HINT
            ) from None


def sign_statement(chain_id: int, ledger: bytes, public_key: bytes, issued_at: int, signer: Signer) -> KeyStatement:
    """Raises SigningError."""
    signature = signer.sign_digest(_digest(chain_id, ledger, public_key, issued_at)).to_bytes()
    return KeyStatement(public_key, issued_at, signature)


def verify_statement(registry: store.Registry, participant: int, statement: KeyStatement) -> Address:
    """Returns the signer. Raises RecipientKeyError unless it is an active key of the participant, for this ledger.

    To be called at every use, not once when the statement arrives: revoking the signing key also ends the recipient key
    that it signed."""
    identity = registry.identity()
    if identity is None:
        raise RecipientKeyError("nothing is indexed yet", hint="follow the chain first")
    signer = statement.recover_signer(identity.chain_id, identity.ledger)
    found = registry.participant_of(signer)
    if found is None or found.number != participant:
        raise RecipientKeyError(
            f"the recipient key of participant {participant} is not signed by an active key of it", hint=_STATEMENT_HINT
        )
    return signer


def typed_digest(chain_id: int, ledger: bytes, message: bytes) -> bytes:
    """The 32 bytes to sign for a message of this domain (EIP-712), from its type hash and its words."""
    domain = keccak256(
        _DOMAIN_TYPE + _NAME + _STATEMENT_VERSION + chain_id.to_bytes(32, "big") + ledger.rjust(32, b"\0")
    )
    return keccak256(b"\x19\x01" + domain + keccak256(message))


def _digest(chain_id: int, ledger: bytes, public_key: bytes, issued_at: int) -> bytes:
    return typed_digest(chain_id, ledger, _STATEMENT_TYPE + public_key + issued_at.to_bytes(32, "big"))


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
        ids.canonical_identifier(f"https://id.gs1.org/417/{gln}")
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
        or (parts.scheme == "http" and not is_loopback(parts.hostname or ""))
    ):
        raise TrustError(
            f"{url[:80]!a} is not the URL of a gateway",
            hint="give https://HOST or https://HOST:PORT, without a path; http:// is for the loopback alone",
        )


def _host_of(netloc: str) -> str:
    return re.sub(r":[0-9]{1,5}$", "", netloc)


def is_loopback(host: str) -> bool:
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
