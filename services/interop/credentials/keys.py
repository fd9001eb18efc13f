"""Keys that sign credentials: Ed25519 and P-256, written as Multikey (Controlled Identifiers 1.0 section 2.2.2).

These are not ledger keys, which are secp256k1 and not supported by any Data Integrity suite. A participant's did:web
document states which credential keys belong to it. Public keys, and the proofs made with them, are written in the
base58btc form of multibase (draft-multiformats-multibase); private keys are kept in files of PKCS #8 in PEM, mode 0600.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from millmark.ledger.canonical import Json, canonical_json, sha256
from millmark.ledger.errors import IdentifierError, InputError, NotFoundError, SigningError
from millmark.ledger.ids import canonical_identifier
from millmark.ledger.keys import read_private, write_private
from millmark.services.interop.errors import CredentialError

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_MAX_CHARACTERS = 200
"""Decoding takes quadratic time; keys and signatures have fewer than 100 characters."""


def encode_multibase(data: bytes) -> str:
    """Encodes `data` as multibase: `z` and its base58btc form."""
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    # Leading zero bytes do not show in the number; base58 writes each of them as its first digit.
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "z" + _ALPHABET[0] * zeros + text


def decode_multibase(text: str) -> bytes:
    """Decodes multibase text in base58btc. Raises InputError."""
    if not isinstance(text, str) or not text.startswith("z") or not 1 < len(text) <= _MAX_CHARACTERS:
        raise InputError("not multibase text in base58btc", hint="it must begin with z")
    digits = text[1:]
    number = 0
    for character in digits:
        digit = _ALPHABET.find(character)
        if digit < 0:
            raise InputError(f"{character!a} is not a base58 character")
        number = number * 58 + digit
    zeros = len(digits) - len(digits.lstrip(_ALPHABET[0]))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


_ED25519: Final = b"\xed\x01"
_P256: Final = b"\x80\x24"
_HALF = 32
"""Length in bytes of each of the two numbers of a P-256 signature, and of a point's coordinate."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key, with the cryptosuite it is used with."""

    suite: str
    """The only cryptosuite that is accepted for this kind of key."""
    multikey: str
    """Value of `publicKeyMultibase`."""
    key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey

    def verify(self, signature: bytes, data: bytes) -> None:
        """Verifies that the signature over `data` was made with this key. Raises CredentialError."""
        try:
            if isinstance(self.key, ed25519.Ed25519PublicKey):
                self.key.verify(signature, data)
            else:
                # The cryptosuite has r and s side by side; the library wants them as DER.
                if len(signature) != 2 * _HALF:
                    raise InvalidSignature
                numbers = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
                self.key.verify(encode_dss_signature(*numbers), data, ec.ECDSA(SHA256()))
        except InvalidSignature:
            raise CredentialError("the signature does not match the document and the key") from None


class CredentialKey(Protocol):
    """A private key; the secret cannot be read through this interface."""

    @property
    def public(self) -> PublicKey: ...

    def sign(self, data: bytes) -> bytes: ...


class Ed25519Key:
    """An Ed25519 private key in memory."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key
        self.public = parse_multikey(encode_multibase(_ED25519 + key.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls) -> Ed25519Key:
        return cls(ed25519.Ed25519PrivateKey.generate())

    def sign(self, data: bytes) -> bytes:
        """Signs `data`; 64 bytes (RFC 8032)."""
        return self._key.sign(data)


class P256Key:
    """A P-256 private key in memory."""

    __slots__ = ("_key", "public")

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(key.curve, ec.SECP256R1):
            raise InputError("the key is not on the curve P-256")
        self._key = key
        point = key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
        self.public = parse_multikey(encode_multibase(_P256 + point))

    @classmethod
    def generate(cls) -> P256Key:
        return cls(ec.generate_private_key(ec.SECP256R1()))

    def sign(self, data: bytes) -> bytes:
        """Signs `data`; r and s, 32 bytes each. Deterministic (RFC 6979): a weak random source cannot leak the key."""
        signed = self._key.sign(data, ec.ECDSA(SHA256(), deterministic_signing=True))
        return b"".join(number.to_bytes(_HALF, "big") for number in decode_dss_signature(signed))


def parse_multikey(text: str) -> PublicKey:
    """Parses a Multikey. Raises InputError, also for unsupported kinds of keys."""
    data = decode_multibase(text)
    kind, raw = data[:2], data[2:]
    try:
        if kind == _ED25519:
            return PublicKey("eddsa-jcs-2022", text, ed25519.Ed25519PublicKey.from_public_bytes(raw))
        if kind == _P256 and len(raw) == 1 + _HALF:
            point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
            return PublicKey("ecdsa-jcs-2019", text, point)
    except ValueError:
        raise InputError("the key is not a point on its curve") from None
    raise InputError("unsupported kind of key", hint="give an Ed25519 or P-256 key as Multikey")


def create_credential_key(path: Path, kind: str = "ed25519") -> CredentialKey:
    """Generates a key, `ed25519` or `p256`, in a new file. Raises SigningError, also if the file exists."""
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    key = ec.generate_private_key(ec.SECP256R1()) if kind == "p256" else ed25519.Ed25519PrivateKey.generate()
    write_private(
        path,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return _wrap(path, key)


def read_credential_key(path: Path) -> CredentialKey:
    """Reads a key file. Raises SigningError if other users may read it, or if it holds no unencrypted Ed25519 or P-256
    key."""
    content = read_private(path)
    try:
        # Encrypted keys are refused: a gateway that restarts by itself has nobody to ask for a passphrase.
        return _wrap(path, serialization.load_pem_private_key(content, password=None))
    except (ValueError, TypeError):
        raise _refusal(path) from None


def _wrap(path: Path, key: object) -> CredentialKey:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Ed25519Key(key)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return P256Key(key)
    raise _refusal(path)


def _refusal(path: Path) -> SigningError:
    return SigningError(f"{path} holds no Ed25519 or P-256 key", hint="create one with `millmark keys credential FILE`")


# Resolution of verification methods: of did:key, and of did:web from given documents. Nothing is fetched.

DID_CONTEXT: Final = "https://www.w3.org/ns/did/v1"
MULTIKEY_CONTEXT: Final = "https://w3id.org/security/multikey/v1"


def did_key(key: PublicKey) -> str:
    """The verification method of a key's did:key: `did:key:z...#z...`."""
    return f"did:key:{key.multikey}#{key.multikey}"


def build_did_document(did: str, keys: Mapping[str, PublicKey]) -> dict[str, Json]:
    """A did:web document that lets `keys`, named by fragment, issue credentials. The owner serves it at the DID's
    host."""
    return {
        "@context": [DID_CONTEXT, MULTIKEY_CONTEXT],
        "id": did,
        "verificationMethod": [
            {"id": f"{did}#{name}", "type": "Multikey", "controller": did, "publicKeyMultibase": key.multikey}
            for name, key in keys.items()
        ],
        "assertionMethod": [f"{did}#{name}" for name in keys],
    }


@dataclass(frozen=True, slots=True)
class Resolver:
    """Resolves verification methods without any network."""

    documents: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    """Documents by DID. They are trusted as they are; the caller vouches for them."""

    def key(self, method: str, purpose: str = "assertionMethod") -> PublicKey:
        """The key of a verification method (a DID URL with a fragment) that its DID allows for `purpose`.

        Raises NotFoundError if the DID or the key is unknown, CredentialError if it is not allowed for the purpose."""
        did, _, fragment = method.partition("#")
        if not fragment:
            raise CredentialError("the verification method names no key", hint="give a DID with a fragment")
        if did.startswith("did:key:"):
            # A did:key contains its only key, which the fragment has to repeat.
            if did != f"did:key:{fragment}":
                raise CredentialError("the fragment of the did:key differs from its key")
            return parse_multikey(fragment)
        return self._document_key(did, method, purpose)

    def _document_key(self, did: str, method: str, purpose: str) -> PublicKey:
        try:
            document = self.documents.get(canonical_identifier(did))
        except IdentifierError as error:
            raise CredentialError(f"{did[:80]!a}: {error.cause}") from None
        # The caller vouches for the documents, but may have filed one under the wrong DID.
        if document is None or document.get("id") != did:
            raise NotFoundError(f"the document of {did[:80]!a} is not available", hint="fetch it from its owner's host")
        # A purpose lists its methods by reference, or embeds them (DID 1.0 section 5.3).
        allowed = _items(document, purpose)
        if method not in allowed and not any(isinstance(one, dict) and one.get("id") == method for one in allowed):
            raise CredentialError(f"{did[:80]!a} does not allow that key for {purpose}")
        for one in [*_items(document, "verificationMethod"), *allowed]:
            if isinstance(one, dict) and one.get("id") == method:
                if one.get("type") != "Multikey" or one.get("controller") != did:
                    raise CredentialError("the verification method is not a Multikey controlled by its DID")
                return parse_multikey(str(one.get("publicKeyMultibase")))
        raise NotFoundError(f"{did[:80]!a} has no such key")


def _items(document: Mapping[str, Json], name: str) -> list[Json]:
    found = document.get(name)
    return list(found) if isinstance(found, (list, tuple)) else []


# Data Integrity proofs over canonical JSON: eddsa-jcs-2022 and ecdsa-jcs-2019 with P-256.
#
# Source: W3C Data Integrity EdDSA Cryptosuites 1.0 section 3.3, ECDSA Cryptosuites 1.0 section 3.3. The signed bytes
# are the SHA-256 of the canonical proof options, followed by the SHA-256 of the canonical document without its proof.
# There is no RDF processing: a term is signed as it is spelt, and the contexts are part of the signed document.

SUITES: Final = ("eddsa-jcs-2022", "ecdsa-jcs-2019")
_PURPOSE: Final = "assertionMethod"
_TIMESTAMP = re.compile(
    r"-?[0-9]{4,}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def add_proof(document: Mapping[str, Json], key: CredentialKey, method: str, *, created: str) -> dict[str, Json]:
    """The document with a proof by `key`, whose verification method is `method`. Raises CredentialError if the document
    already has a proof."""
    if "proof" in document:
        raise CredentialError("the document already has a proof")
    options: dict[str, Json] = {
        "type": "DataIntegrityProof",
        "cryptosuite": key.public.suite,
        "created": created,
        "verificationMethod": method,
        "proofPurpose": _PURPOSE,
    }
    if "@context" in document:
        options["@context"] = document["@context"]
    signature = key.sign(_signed_bytes(options, document))
    return {**document, "proof": {**options, "proofValue": encode_multibase(signature)}}


def verify_proof(secured: Mapping[str, Json], resolver: Resolver, *, at: datetime) -> str:
    """Verifies the single proof of a document as of `at`; returns the verification method that signed it.

    Raises CredentialError; NotFoundError if the key is unknown; InputError for a malformed key or value.
    Not established: that the document conforms to any data model, or who the signer is."""
    proof = secured.get("proof")
    if not isinstance(proof, dict):
        raise CredentialError("the document has no proof or several", hint="use exactly one proof")
    options = {name: value for name, value in proof.items() if name != "proofValue"}
    document = {name: value for name, value in secured.items() if name != "proof"}
    method = _checked_options(options, at)
    if "@context" in options:
        _verify_context(document.get("@context"), options["@context"])
        # The signature covers these contexts only. The document may have further ones, appended after signing.
        document["@context"] = options["@context"]
    key = resolver.key(method, _PURPOSE)
    if key.suite != options["cryptosuite"]:
        raise CredentialError(f"the key does not fit the cryptosuite {options['cryptosuite']}")
    _verify_signature(key, decode_multibase(str(proof.get("proofValue"))), options, document)
    return method


def _verify_signature(
    key: PublicKey, signature: bytes, options: Mapping[str, Json], document: Mapping[str, Json]
) -> None:
    """Raises CredentialError.

    Some implementations sign the document's contexts as part of the options but omit them from the proof. That variant
    is accepted too: the contexts are signed with the document in either case."""
    try:
        key.verify(signature, _signed_bytes(options, document))
    except CredentialError:
        if "@context" in options or "@context" not in document:
            raise
        key.verify(signature, _signed_bytes({**options, "@context": document["@context"]}, document))


def _checked_options(options: Mapping[str, Json], at: datetime) -> str:
    if options.get("type") != "DataIntegrityProof" or options.get("cryptosuite") not in SUITES:
        raise CredentialError("unsupported kind of proof", hint=f"use DataIntegrityProof with {' or '.join(SUITES)}")
    if options.get("proofPurpose") != _PURPOSE:
        raise CredentialError(f"the purpose of the proof is not {_PURPOSE}")
    for name in ("created", "expires"):
        if name in options and not is_timestamp(options[name]):
            raise CredentialError(f"{name} is not a time with an offset")
    if "expires" in options and parse_timestamp(str(options["expires"])) <= at:
        raise CredentialError("the proof has expired")
    method = options.get("verificationMethod")
    if not isinstance(method, str):
        raise CredentialError("the proof names no verification method")
    return method


def _verify_context(of_document: Json, of_proof: Json) -> None:
    """Raises CredentialError unless the document's contexts begin with the signed ones."""
    whole, signed = _listed(of_document), _listed(of_proof)
    if whole[: len(signed)] != signed:
        raise CredentialError("the document's contexts differ from the signed ones")


def _listed(context: Json) -> list[Json]:
    return list(context) if isinstance(context, (list, tuple)) else [context]


def _signed_bytes(options: Mapping[str, Json], document: Mapping[str, Json]) -> bytes:
    return sha256(canonical_json(options)) + sha256(canonical_json(document))


def is_timestamp(value: Json) -> bool:
    """Tells whether `value` is an XML Schema dateTimeStamp: an existing date and time with an offset."""
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        return False
    try:
        parse_timestamp(value)
    except (ValueError, OverflowError):
        return False
    return True


def parse_timestamp(text: str) -> datetime:
    """Parses a dateTimeStamp. Raises ValueError for one outside Python's calendar."""
    if "T24:00:00" in text:  # the end of a day, which not every supported Python parses
        return datetime.fromisoformat(text.replace("T24:", "T00:")) + timedelta(days=1)
    return datetime.fromisoformat(text)
