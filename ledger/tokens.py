"""Keys in hardware: secp256k1 keys that never leave a PKCS#11 token (an HSM, a smart card, a TPM).

    pkcs11:token=NAME;object=LABEL      attributes of RFC 7512: `token`, `serial`, `object`, `id`, and `type=private`

Other attributes are refused, in particular PIN and module. A PIN in a URI could be read by everybody who sees the URI,
so it comes from a private file or a person. A module is code that would be executed, so it comes from the settings.

The token signs digests without hashing them (CKM_ECDSA, PKCS #11 version 2.40, section 2.3.6) and returns r and s only.
This module makes s low (EIP-2) and finds the recovery bit by trying both values. Not established: that the token
generated the key itself; keys from `create_token_key` are generated there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import unquote

import coincurve

from millmark.ledger.errors import SigningError
from millmark.ledger.signatures import (
    ORDER,
    Address,
    Signature,
    address_of,
    check_digest,
    recover_address,
    to_checksum,
)

if TYPE_CHECKING:
    import pkcs11

TOKEN_SCHEME = "pkcs11"  # noqa: S105 - the name of a scheme

_SECP256K1 = bytes.fromhex("06052b8104000a")
"""Object identifier 1.3.132.0.10 in DER (SEC 2, section 2.4.1): the value of CKA_EC_PARAMS."""
_POINT_BYTES = 65
_OCTET_STRING = bytes([0x04, _POINT_BYTES])
_ATTRIBUTES = ("token", "serial", "object", "id", "type")
_PLAIN = re.compile(r"[A-Za-z0-9\-._~:\[\]@!$'()*+,=&]*(?:%[0-9A-Fa-f]{2}[A-Za-z0-9\-._~:\[\]@!$'()*+,=&]*)*")
"""pk11-res-avail and percent-encoded octets (RFC 7512, section 2.3)."""
_FORM = "pkcs11:token=NAME;object=LABEL"


@dataclass(frozen=True, slots=True)
class _Place:
    """A parsed URI: which key in which token."""

    token: str
    serial: str | None
    label: str | None
    id: bytes | None


class TokenSigner:
    """A key in a token, behind an open session. It cannot be copied or pickled."""

    __slots__ = ("_address", "_key")

    def __init__(self, key: pkcs11.PrivateKey, address: Address) -> None:
        self._key: Any = key  # Any: python-pkcs11 mixes in `sign` at run time
        self._address = address

    @property
    def address(self) -> Address:
        """Address of the key, 20 bytes."""
        return self._address

    def sign_digest(self, digest: bytes) -> Signature:
        """Have the token sign a 32-byte digest. Raises SigningError, also for a signature by another key."""
        import pkcs11  # noqa: PLC0415 - an optional extra

        check_digest(digest)
        with _explained("the token does not sign"):
            raw = self._key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)
        return _complete(digest, raw, self._address)

    def __repr__(self) -> str:
        return f"TokenSigner({to_checksum(self._address)})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SigningError("a signer cannot be copied or pickled")


def open_token_signer(uri: str, module: Path | None, ask_pin: Callable[[str], str]) -> TokenSigner:
    """Return the signer that a URI names. `module` is the token's PKCS#11 library.

    `ask_pin` is called with the token's name once the token is found, and returns its PIN. Raises SigningError for a
    URI outside the supported subset, a missing module, token or key, a wrong PIN, a key on another curve, and a
    private key that does not belong to the public key. Not established: that the PIN is right, if this process has
    logged in to the token before, since a token checks the PIN only once per process.
    """
    place = _parse(uri)
    with _session(place, module, ask_pin, keep=True) as session:
        signer = TokenSigner(*_find_key(session, place))
        signer.sign_digest(bytes(range(32)))  # checks that private and public key belong together, and may sign
    return signer


def create_token_key(uri: str, module: Path | None, ask_pin: Callable[[str], str]) -> Address:
    """Have the token generate a key that it never reveals, under the URI's label, and return its address.

    Raises SigningError like `open_token_signer`, and when the token already has a key with that label: keys are never
    overwritten.
    """
    place = _parse(uri)
    if place.label is None:
        raise SigningError("the URI has no label for the new key", hint=f"write {_FORM}")
    with _session(place, module, ask_pin, keep=False) as session:
        # Tokens allow several keys with the same label, so they would not refuse the second one.
        if any(True for kind in _kinds() for _ in session.get_objects(_query(place, kind))):
            raise SigningError(
                f"{_shown(place)} exists already", hint="keys are never overwritten: choose another name"
            )
        import pkcs11  # noqa: PLC0415 - an optional extra

        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC, {pkcs11.Attribute.EC_PARAMS: _SECP256K1}, local=True
        )
        secret = {
            pkcs11.Attribute.SENSITIVE: True,
            pkcs11.Attribute.EXTRACTABLE: False,
            pkcs11.Attribute.SIGN: True,
        }
        public, _ = curve.generate_keypair(label=place.label, id=place.id, store=True, private_template=secret)
        return _address(public, place)


def _parse(uri: str) -> _Place:
    """Parse a URI. Raises SigningError, whose text does not repeat the URI: it may contain a PIN."""
    scheme, _, path = uri.partition(":")
    if scheme != TOKEN_SCHEME or "?" in path:
        raise SigningError("a PKCS#11 URI must not contain a PIN or a module", hint=f"write {_FORM}")
    found: dict[str, bytes] = {}
    for part in path.split(";"):
        name, equals, value = part.partition("=")
        if not equals or name not in _ATTRIBUTES or name in found or not _PLAIN.fullmatch(value):
            raise SigningError("the PKCS#11 URI is malformed or has an unsupported attribute", hint=f"write {_FORM}")
        found[name] = unquote(value, "latin-1").encode("latin-1")  # maps bytes one to one: an id may have any bytes
    if found.get("type", b"private") != b"private" or not found.get("token"):
        raise SigningError("the PKCS#11 URI lacks a token, or its type is not private", hint=f"write {_FORM}")
    if not found.get("object") and not found.get("id"):
        raise SigningError("the PKCS#11 URI lacks the label or id of a key", hint=f"write {_FORM}")
    try:
        names = {name: value.decode("utf-8") for name, value in found.items() if name != "id"}
    except UnicodeDecodeError:
        raise SigningError("the PKCS#11 URI is not UTF-8", hint=f"write {_FORM}") from None
    return _Place(names["token"], names.get("serial"), names.get("object") or None, found.get("id") or None)


def _shown(place: _Place) -> str:
    name = repr(place.label) if place.label is not None else "0x" + (place.id or b"").hex()
    return f"key {name} of token {place.token!r}"


@contextmanager
def _session(
    place: _Place, module: Path | None, ask_pin: Callable[[str], str], *, keep: bool
) -> Iterator[pkcs11.Session]:
    """Open a session, logged in, and close it at the end, unless `keep` is set and no error occurred.

    An open session keeps the whole process logged in.
    """
    session = _open_session(place, module, ask_pin, writable=not keep)
    kept = False
    try:
        with _explained(f"{_shown(place)} cannot be used"):
            yield session
        kept = keep
    finally:
        if not kept:
            with _explained(f"token {place.token!r} cannot be closed"):
                session.close()


def _open_session(
    place: _Place, module: Path | None, ask_pin: Callable[[str], str], *, writable: bool
) -> pkcs11.Session:
    try:
        import pkcs11  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError:
        raise SigningError("keys in tokens need python-pkcs11", hint="pip install millmark[pkcs11]") from None
    if module is None:
        raise SigningError("the PKCS#11 module is not set", hint="set pkcs11_module to the token's library")
    if not module.is_file():
        raise SigningError(f"the PKCS#11 module {module} does not exist", hint="correct the setting pkcs11_module")
    with _explained(f"token {place.token!r} cannot be opened"):
        wanted: dict[str, object] = {"token_label": place.token}
        if place.serial is not None:
            wanted["token_serial"] = place.serial.encode()
        token = pkcs11.lib(str(module)).get_token(**wanted)
    pin = ask_pin(f"token {place.token!r}")
    with _explained(f"token {place.token!r} cannot be opened"):
        try:
            return token.open(rw=writable, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by another session: PKCS#11 logs in the process, not the session
            return token.open(rw=writable)


def _find_key(session: pkcs11.Session, place: _Place) -> tuple[pkcs11.PrivateKey, Address]:
    halves: list[Any] = []
    for kind in _kinds():
        matches = list(session.get_objects(_query(place, kind)))
        if len(matches) != 1:
            what = "no" if not matches else "more than one"
            hint = "create it with `millmark keys new`" if not matches else "add its id to the URI: ;id=%01"
            raise SigningError(f"there is {what} {kind.name.lower().replace('_', ' ')} for {_shown(place)}", hint=hint)
        halves.append(matches[0])
    private, public = halves
    return private, _address(public, place)


def _kinds() -> tuple[pkcs11.ObjectClass, ...]:
    import pkcs11  # noqa: PLC0415 - an optional extra

    return pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.ObjectClass.PUBLIC_KEY


def _query(place: _Place, kind: pkcs11.ObjectClass) -> dict[pkcs11.Attribute, object]:
    import pkcs11  # noqa: PLC0415 - an optional extra

    query: dict[pkcs11.Attribute, object] = {pkcs11.Attribute.CLASS: kind}
    if place.label is not None:
        query[pkcs11.Attribute.LABEL] = place.label
    if place.id is not None:
        query[pkcs11.Attribute.ID] = place.id
    return query


def _address(public: Any, place: _Place) -> Address:
    import pkcs11  # noqa: PLC0415 - an optional extra

    if public.key_type != pkcs11.KeyType.EC or public[pkcs11.Attribute.EC_PARAMS] != _SECP256K1:
        raise SigningError(f"{_shown(place)} is not on the curve secp256k1", hint="create one with `millmark keys new`")
    point = bytes(public[pkcs11.Attribute.EC_POINT])
    if len(point) == len(_OCTET_STRING) + _POINT_BYTES and point.startswith(_OCTET_STRING):
        point = point[len(_OCTET_STRING) :]  # some tokens wrap the point in a DER octet string, some do not
    try:
        return address_of(coincurve.PublicKey(point))
    except ValueError:
        raise SigningError(f"the public key of {_shown(place)} cannot be read") from None


def _complete(digest: bytes, raw: bytes, address: Address) -> Signature:
    """Return the signature with low s and the recovery bit for which it is by the key of `address`."""
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    if len(raw) != 64 or not 0 < r < ORDER or not 0 < s < ORDER:
        raise SigningError("the token did not return an ECDSA signature")
    for y_parity in (0, 1):
        signature = Signature(r, min(s, ORDER - s), y_parity)
        try:
            if recover_address(digest, signature) == address:
                return signature
        except SigningError:
            continue  # there is no curve point with this r and this parity
    raise SigningError(f"the token did not sign with the key of {to_checksum(address)}")


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn the driver's errors into SigningError, without their texts, which may contain anything."""
    import pkcs11  # noqa: PLC0415 - an optional extra

    try:
        yield
    except pkcs11.PinIncorrect:
        raise SigningError(f"{what}: the PIN is wrong", hint="several wrong PINs in a row lock a token") from None
    except pkcs11.NoSuchToken:
        raise SigningError(
            f"{what}: there is no such token", hint="check its name, and that it is plugged in"
        ) from None
    except pkcs11.MultipleTokensReturned:
        raise SigningError(
            f"{what}: several tokens have that name", hint="add its serial number to the URI: ;serial=..."
        ) from None
    except pkcs11.PKCS11Error as error:
        raise SigningError(
            f"{what}: {type(error).__name__}", hint="check the token, then start the program again"
        ) from None
