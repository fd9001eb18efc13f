"""The trust file: everything that a verifier believes before it opens a bundle. See TRUST.md.

The verifier wrote it, or got it from a source that it trusts. Everything else is checked against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

from millmark.ledger.canonical import MAX_SAFE_INTEGER, Json, canonical_json, parse_json
from millmark.ledger.errors import CanonicalError, SealsError, SigningError, TrustError
from millmark.ledger.seals import verify_order
from millmark.ledger.signatures import ADDRESS_BYTES, parse_address, to_checksum

MAX_TRUST_BYTES = 1 << 20
MAX_COSIGNERS = 100
MAX_CONTRACTS = 16
MAX_NAME_CHARACTERS = 200
CONTRACTS = ("Registry", "TraceLedger", "LotOperations", "CertificateOperations", "Evaluator", "Forwarder")
"""Contracts required in every trust file: Registry and TraceLedger, those whose code they run, and the forwarder."""

_FORMAT, _VERSION = "millmark-trust", 1
_DEPTH = 5
_MAX_PARTICIPANT = 2**32 - 1
_HINT = "get the trust file again, or write one with `millmark trust`"


@dataclass(frozen=True, slots=True)
class TrustedContract:
    """The address of a contract, and the hash of the code there."""

    address: bytes
    """20 bytes."""
    code_hash: bytes
    """Keccak-256 of the deployed code, 32 bytes. It covers immutables, so it differs between deployments."""


@dataclass(frozen=True, slots=True)
class BelievedBlock:
    """A block that the verifier believes, from its own node."""

    number: int
    hash: bytes
    """32 bytes."""


@dataclass(frozen=True, slots=True)
class Cosigner:
    """A key whose signature on checkpoints counts, and its participant."""

    participant: int
    address: bytes


@dataclass(frozen=True, slots=True)
class Cosigners:
    """The verifier believes a block if enough of these participants signed it."""

    quorum: int
    """Number of participants required, at least 1."""
    keys: tuple[Cosigner, ...]
    """Sorted by participant, then address. A participant counts once, whichever of its keys signs."""

    def __post_init__(self) -> None:
        if len(self.keys) > MAX_COSIGNERS:
            raise TrustError(f"there are more than {MAX_COSIGNERS} keys of co-signers", hint=_HINT)
        if len({key.address for key in self.keys}) != len(self.keys):
            raise TrustError("a co-signer's key is listed twice", hint=_HINT)
        if list(self.keys) != sorted(self.keys, key=lambda key: (key.participant, key.address)):
            raise TrustError("the co-signers are not sorted by participant and address", hint=_HINT)
        if not 1 <= self.quorum <= len({key.participant for key in self.keys}):
            raise TrustError("the quorum is not between 1 and the number of co-signing participants", hint=_HINT)


@dataclass(frozen=True, slots=True)
class Validator:
    """A validator of a QBFT network."""

    address: bytes
    participant: int | None = None
    """Number of the participant that runs it, for the report; None if it is not said."""


@dataclass(frozen=True, slots=True)
class Validators:
    """The verifier believes a block if a quorum of these validators sealed it, or of those to which they changed."""

    members: tuple[Validator, ...]
    """Ascending by address."""
    cosigners: Cosigners | None = None
    """Who must have signed the checkpoint, too, if validators changed longer ago than the verifier allows; None if
    nobody is believed in that."""

    def __post_init__(self) -> None:
        try:
            verify_order(self.addresses)
        except SealsError as error:
            raise TrustError(error.cause, hint=_HINT) from None

    @property
    def addresses(self) -> tuple[bytes, ...]:
        return tuple(member.address for member in self.members)


Trusted: TypeAlias = "BelievedBlock | Cosigners | Validators"
"""How the checkpoint is determined: a block stated in the file, or any block that enough co-signers signed, or that
enough validators sealed."""


@dataclass(frozen=True, slots=True)
class TrustFile:
    """A parsed trust file."""

    chain_id: int
    ledger_id: bytes
    """`ledgerId` of TraceLedger, 32 bytes. A chain made anew has another one at the same addresses."""
    contracts: Mapping[str, TrustedContract]
    """By Solidity name, ascending; includes all of `CONTRACTS`."""
    participants: Mapping[int, str]
    """Names for the report, by participant number, ascending."""
    checkpoint: Trusted
    predecessor: bytes | None = None
    """Address of the ledger that TraceLedger replaced; None if it is the first. An immutable, so part of its code."""

    def __post_init__(self) -> None:
        if missing := [name for name in CONTRACTS if name not in self.contracts]:
            raise TrustError(f"the trust file lacks the contract {missing[0]}", hint=_HINT)
        if len(self.contracts) > MAX_CONTRACTS:
            raise TrustError(f"the trust file names more than {MAX_CONTRACTS} contracts", hint=_HINT)
        for name in (*self.contracts, *self.participants.values()):
            if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
                raise TrustError(f"a name does not have 1 to {MAX_NAME_CHARACTERS} printable characters", hint=_HINT)
        if len({contract.address for contract in self.contracts.values()}) != len(self.contracts):
            raise TrustError("two contracts have the same address", hint=_HINT)
        if len(set(self.participants.values())) != len(self.participants):
            raise TrustError("two participants have the same name", hint="use different names")

    @property
    def registry(self) -> TrustedContract:
        return self.contracts["Registry"]

    @property
    def ledger(self) -> TrustedContract:
        return self.contracts["TraceLedger"]

    @property
    def cosigners(self) -> Cosigners | None:
        """Those whose signatures on a checkpoint count; None if there are none."""
        if isinstance(self.checkpoint, Validators):
            return self.checkpoint.cosigners
        return self.checkpoint if isinstance(self.checkpoint, Cosigners) else None

    def to_bytes(self) -> bytes:
        """The file's content, in canonical JSON (RFC 8785); `parse_trust` reads it."""
        return canonical_json(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "chain_id": self.chain_id,
                "ledger_id": "0x" + self.ledger_id.hex(),
                "contracts": {name: _contract_json(contract) for name, contract in self.contracts.items()},
                "participants": [
                    {"participant": number, "name": name} for number, name in sorted(self.participants.items())
                ],
                "checkpoint": _checkpoint_json(self.checkpoint),
                "predecessor": None if self.predecessor is None else to_checksum(self.predecessor),
            }
        )


def parse_trust(data: bytes) -> TrustFile:
    """Parse a trust file. Raises TrustError when it is too large, or not in exactly the format of TRUST.md."""
    value = parse_canonical(data, MAX_TRUST_BYTES, _DEPTH, "trust file", _HINT)
    try:
        names = ("format", "version", "chain_id", "ledger_id", "contracts", "participants", "checkpoint", "predecessor")
        form, version, chain_id, ledger_id, contracts, participants, checkpoint, before = parse_members(value, *names)
        if form != _FORMAT or parse_number(version, MAX_SAFE_INTEGER) != _VERSION:
            raise TrustError(f"not a {_FORMAT} file of version {_VERSION}")
        return TrustFile(
            chain_id=parse_number(chain_id, MAX_SAFE_INTEGER),
            ledger_id=parse_hex(ledger_id, 32),
            contracts={name: _parse_contract(entry) for name, entry in _object(contracts).items()},
            participants=_parse_participants(participants),
            checkpoint=_parse_checkpoint(checkpoint),
            predecessor=None if before is None else parse_checksum(before),
        )
    except TrustError as error:
        raise TrustError(f"the trust file cannot be used: {error.cause}", hint=error.hint or _HINT) from None


def parse_canonical(data: bytes, max_bytes: int, max_depth: int, what: str, hint: str) -> Json:
    """Parse JSON that must be in canonical form (RFC 8785); a line feed at the end is allowed. Raises TrustError."""
    text = data.removesuffix(b"\n")
    try:
        value = parse_json(text, max_bytes=max_bytes, max_depth=max_depth)
        canonical = canonical_json(value)
    except CanonicalError as error:
        raise TrustError(f"the {what} cannot be used: {error.cause}", hint=hint) from None
    if canonical != text:
        raise TrustError(f"the {what} is not in canonical form (RFC 8785)", hint=hint)
    return value


def parse_members(value: Json, *names: str, optional: str | None = None) -> list[Json]:
    """Return the values of an object's members, which must be exactly those named; of one that is `optional` and left
    out, None, and null for it is refused. Raises TrustError."""
    found = _object(value)
    if found.keys() | {optional} - {None} != set(names):
        raise TrustError(f"an object does not have exactly the members {', '.join(names)}")
    if optional is not None and found.get(optional, ...) is None:
        raise TrustError(f"the member {optional} is null, and must be left out instead")
    return [found.get(name) for name in names]


def parse_number(value: Json, most: int) -> int:
    """Return an integer from 0 to `most`. Raises TrustError."""
    if type(value) is not int or not 0 <= value <= most:  # type(): bool is a subclass of int
        raise TrustError(f"a number is not an integer from 0 to {most}")
    return value


def parse_hex(value: Json, size: int) -> bytes:
    """Parse `size` bytes from 0x and lower-case hexadecimal digits. Raises TrustError."""
    if isinstance(value, str) and len(value) == 2 + 2 * size and value.startswith("0x"):
        digits = value[2:]
        if set(digits) <= set("0123456789abcdef"):
            return bytes.fromhex(digits)
    raise TrustError(f"a value is not 0x and {2 * size} lower-case hexadecimal digits")


def parse_checksum(value: Json) -> bytes:
    """Parse an address with the checksum of ERC-55, which is required: people compare it by eye. Raises TrustError."""
    try:
        address = parse_address(value) if isinstance(value, str) else b""
    except SigningError as error:
        raise TrustError(error.cause) from None
    if len(address) != ADDRESS_BYTES or to_checksum(address) != value:
        raise TrustError("an address is not written with the checksum of ERC-55")
    return address


def _parse_contract(value: Json) -> TrustedContract:
    address, code_hash = parse_members(value, "address", "code_hash")
    return TrustedContract(parse_checksum(address), parse_hex(code_hash, 32))


def _parse_participants(value: Json) -> dict[int, str]:
    found: dict[int, str] = {}
    for entry in _list(value):
        number, name = parse_members(entry, "participant", "name")
        if not isinstance(name, str):
            raise TrustError("a participant's name is not a string")
        if found and parse_number(number, _MAX_PARTICIPANT) <= max(found):
            raise TrustError("the participants are not in ascending order")
        found[parse_number(number, _MAX_PARTICIPANT)] = name
    return found


def _parse_checkpoint(value: Json) -> Trusted:
    kind = _object(value).get("kind")
    if kind == "block":
        _, number, block_hash = parse_members(value, "kind", "block_number", "block_hash")
        return BelievedBlock(parse_number(number, MAX_SAFE_INTEGER), parse_hex(block_hash, 32))
    if kind == "cosigned":
        _, quorum, keys = parse_members(value, "kind", "quorum", "keys")
        return _parse_cosigners(quorum, keys)
    if kind == "sealed":
        _, validators, cosigners = parse_members(value, "kind", "validators", "cosigners")
        believed = None if cosigners is None else _parse_cosigners(*parse_members(cosigners, "quorum", "keys"))
        return Validators(tuple(_parse_validator(entry) for entry in _list(validators)), believed)
    raise TrustError("the kind of its checkpoint is unknown")


def _parse_cosigners(quorum: Json, keys: Json) -> Cosigners:
    return Cosigners(parse_number(quorum, MAX_COSIGNERS), tuple(_parse_cosigner(key) for key in _list(keys)))


def _parse_validator(value: Json) -> Validator:
    address, participant = parse_members(value, "address", "participant")
    return Validator(
        parse_checksum(address), None if participant is None else parse_number(participant, _MAX_PARTICIPANT)
    )


def _parse_cosigner(value: Json) -> Cosigner:
    participant, address = parse_members(value, "participant", "address")
    return Cosigner(parse_number(participant, _MAX_PARTICIPANT), parse_checksum(address))


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise TrustError("a value is not an object")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TrustError("a value is not a list")
    return cast("list[Json]", value)


def _contract_json(contract: TrustedContract) -> Json:
    return {"address": to_checksum(contract.address), "code_hash": "0x" + contract.code_hash.hex()}


def _checkpoint_json(checkpoint: Trusted) -> Json:
    if isinstance(checkpoint, BelievedBlock):
        return {"kind": "block", "block_number": checkpoint.number, "block_hash": "0x" + checkpoint.hash.hex()}
    if isinstance(checkpoint, Cosigners):
        return {"kind": "cosigned", **_cosigners_json(checkpoint)}
    validators: list[Json] = [
        {"address": to_checksum(one.address), "participant": one.participant} for one in checkpoint.members
    ]
    cosigners = None if checkpoint.cosigners is None else _cosigners_json(checkpoint.cosigners)
    return {"kind": "sealed", "validators": validators, "cosigners": cosigners}


def _cosigners_json(cosigners: Cosigners) -> dict[str, Json]:
    keys: list[Json] = [{"participant": key.participant, "address": to_checksum(key.address)} for key in cosigners.keys]
    return {"quorum": cosigners.quorum, "keys": keys}
