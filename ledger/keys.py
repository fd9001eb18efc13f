"""Signers: secp256k1 keys behind an interface, chosen by URI. No text that leaves this module contains a private key.

    keystore:PATH   an encrypted key file, "Web3 Secret Storage" version 3
    file:PATH       64 hexadecimal digits, unencrypted: for development
    pkcs11:...      a key in a token, which never reveals it

All files, also those with a passphrase or PIN, must be owned by the user that runs the program and be accessible to
nobody else (mode 0600).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast
from urllib.parse import unquote

import coincurve

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.errors import CanonicalError, SigningError
from millmark.ledger.files import sync_folder, write_new
from millmark.ledger.lazy import bound_recursion
from millmark.ledger.names import NameKey
from millmark.ledger.signatures import (
    ADDRESS_BYTES,
    ORDER,
    Address,
    Signature,
    Signer,
    address_of,
    check_digest,
    parse_address,
    recover_address,
    to_checksum,
    verify_signature,
)

if TYPE_CHECKING:
    import pkcs11


__all__ = [
    "ADDRESS_BYTES",
    "Address",
    "LocalSigner",
    "Prompt",
    "Signature",
    "Signer",
    "create_key",
    "create_keystore",
    "open_name_key",
    "open_signer",
    "parse_address",
    "read_passphrase",
    "read_private",
    "recover_address",
    "to_checksum",
    "verify_signature",
    "write_private",
]

# Keys in hardware: secp256k1 keys that never leave a PKCS#11 token (an HSM, a smart card, a TPM).
#
#     pkcs11:token=NAME;object=LABEL      attributes of RFC 7512: `token`, `serial`, `object`, `id`, and `type=private`
#
# Other attributes are refused, in particular PIN and module. A PIN in a URI could be read by everybody who sees the
# URI, so it comes from a private file or a person. A module is code that would be executed, so it comes from the
# settings.
#
# The token signs digests without hashing them (CKM_ECDSA, PKCS #11 version 2.40, section 2.3.6) and returns r and s
# only. This module makes s low (EIP-2) and finds the recovery bit by trying both values. Not established: that the
# token generated the key itself; keys from `create_token_key` are generated there.

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
        check_digest(digest)
        with _explained("the token does not sign"):
            raw = self._key.sign(digest, mechanism=_driver().Mechanism.ECDSA)
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
        driver = _driver()
        curve = session.create_domain_parameters(
            driver.KeyType.EC, {driver.Attribute.EC_PARAMS: _SECP256K1}, local=True
        )
        secret = {
            driver.Attribute.SENSITIVE: True,
            driver.Attribute.EXTRACTABLE: False,
            driver.Attribute.SIGN: True,
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
    """Open a session, logged in, and close it at the end, unless `keep` is set and no error occurred. An open session
    keeps the whole process logged in."""
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
    driver = _driver()
    if module is None:
        raise SigningError("the PKCS#11 module is not set", hint="set pkcs11_module to the token's library")
    if not module.is_file():
        raise SigningError(f"the PKCS#11 module {module} does not exist", hint="correct the setting pkcs11_module")
    with _explained(f"token {place.token!r} cannot be opened"):
        wanted: dict[str, object] = {"token_label": place.token}
        if place.serial is not None:
            wanted["token_serial"] = place.serial.encode()
        token: pkcs11.Token = driver.lib(str(module)).get_token(**wanted)
    pin = ask_pin(f"token {place.token!r}")
    with _explained(f"token {place.token!r} cannot be opened"):
        try:
            return token.open(rw=writable, user_pin=pin)
        except driver.UserAlreadyLoggedIn:  # by another session: PKCS#11 logs in the process, not the session
            return token.open(rw=writable)


def _driver() -> Any:
    """The package that speaks to tokens. Raises SigningError."""
    try:
        import pkcs11  # noqa: PLC0415 - an optional extra
    except ModuleNotFoundError:
        raise SigningError("keys in tokens need python-pkcs11", hint="pip install millmark[pkcs11]") from None
    return pkcs11


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
    kinds = _driver().ObjectClass
    return kinds.PRIVATE_KEY, kinds.PUBLIC_KEY


def _query(place: _Place, kind: pkcs11.ObjectClass) -> dict[pkcs11.Attribute, object]:
    names = _driver().Attribute
    query: dict[pkcs11.Attribute, object] = {names.CLASS: kind}
    if place.label is not None:
        query[names.LABEL] = place.label
    if place.id is not None:
        query[names.ID] = place.id
    return query


def _address(public: Any, place: _Place) -> Address:
    driver = _driver()
    if public.key_type != driver.KeyType.EC or public[driver.Attribute.EC_PARAMS] != _SECP256K1:
        raise SigningError(f"{_shown(place)} is not on the curve secp256k1", hint="create one with `millmark keys new`")
    point = bytes(public[driver.Attribute.EC_POINT])
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
    driver = _driver()
    try:
        yield
    except driver.PinIncorrect:
        raise SigningError(f"{what}: the PIN is wrong", hint="several wrong PINs in a row lock a token") from None
    except driver.NoSuchToken:
        raise SigningError(
            f"{what}: there is no such token", hint="check its name, and that it is plugged in"
        ) from None
    except driver.MultipleTokensReturned:
        raise SigningError(
            f"{what}: several tokens have that name", hint="add its serial number to the URI: ;serial=..."
        ) from None
    except driver.PKCS11Error as error:
        raise SigningError(
            f"{what}: {type(error).__name__}", hint="check the token, then start the program again"
        ) from None


Prompt: TypeAlias = Callable[[str], str]
"""Asks a person for a secret and returns it; the argument is the text of the prompt."""

_MAX_FILE_BYTES = 1 << 16
_MAX_SCRYPT_BYTES = 1 << 30
_MAX_PBKDF2_ROUNDS = 10_000_000


class LocalSigner:
    """A private key in this process's memory. It cannot be printed, copied or pickled."""

    __slots__ = ("_address", "_key")

    def __init__(self, key: coincurve.PrivateKey) -> None:
        self._key = key
        self._address = address_of(key.public_key)

    @classmethod
    def generate(cls) -> LocalSigner:
        """Return a signer with a new random key."""
        return cls(coincurve.PrivateKey(secrets.token_bytes(32)))

    @classmethod
    def from_bytes(cls, secret: bytes) -> LocalSigner:
        """Return the signer of a 32-byte private key. Raises SigningError, whose text does not contain the key."""
        if not isinstance(secret, bytes) or len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < ORDER:
            raise SigningError("not a secp256k1 private key of 32 bytes")
        return cls(coincurve.PrivateKey(secret))

    @property
    def address(self) -> Address:
        """Address of the key, 20 bytes."""
        return self._address

    def sign_digest(self, digest: bytes) -> Signature:
        """Sign a 32-byte digest with the nonce of RFC 6979. Raises SigningError."""
        check_digest(digest)
        signed = self._key.sign_recoverable(digest, hasher=None)  # libsecp256k1 returns low s (EIP-2)
        return Signature(int.from_bytes(signed[:32], "big"), int.from_bytes(signed[32:64], "big"), signed[64])

    def unsafe_secret(self) -> bytes:
        """Return the 32-byte private key. The caller must keep it secret."""
        return self._key.secret

    def __repr__(self) -> str:
        return f"LocalSigner({to_checksum(self._address)})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SigningError("a signer cannot be copied or pickled")


def open_signer(
    uri: str,
    *,
    passphrase_file: Path | None = None,
    prompt: Prompt | None = None,
    pkcs11_module: Path | None = None,
) -> Signer:
    """Return the signer that `uri` names. Raises SigningError.

    The passphrase of a keystore or the PIN of a token is read from `passphrase_file` (mode 0600), or asked for with
    `prompt`; never from the command line or the environment, which other processes can read. `pkcs11_module` is the
    library that accesses tokens.
    """
    scheme, _, place = uri.partition(":")
    if not place or scheme not in ("keystore", "file", TOKEN_SCHEME):
        # The message does not repeat the URI: it may be a private key, passed by mistake.
        raise SigningError(
            "the signer is neither keystore:PATH, file:PATH nor pkcs11:...", hint="name a key in one of these forms"
        )
    if scheme == TOKEN_SCHEME:
        return open_token_signer(uri, pkcs11_module, lambda token: _secret("PIN", token, passphrase_file, prompt))
    path = Path(place.removeprefix("//") if place.startswith("///") else place)  # also keystore:///absolute/path
    content = read_private(path)
    if scheme == "keystore":
        return _open_keystore(path, content, _secret("passphrase", str(path), passphrase_file, prompt))
    try:
        return LocalSigner.from_bytes(bytes.fromhex(content.decode("ascii").strip().removeprefix("0x")))
    except ValueError:
        raise SigningError(f"{path} does not contain 64 hexadecimal digits") from None


def open_name_key(uri: str, *, passphrase_file: Path | None = None, prompt: Prompt | None = None) -> NameKey:
    """Return the name key whose secret is in the file that `uri` names, as for `open_signer`. Raises SigningError."""
    signer = open_signer(uri, passphrase_file=passphrase_file, prompt=prompt)
    if not isinstance(signer, LocalSigner):
        raise SigningError("a token cannot compute names", hint="keep the name key in a keystore file")
    return NameKey(signer.unsafe_secret())


def create_key(
    place: str,
    *,
    passphrase_file: Path | None = None,
    prompt: Prompt | None = None,
    pkcs11_module: Path | None = None,
) -> Address:
    """Generate a key in a token, if `place` is a `pkcs11:` URI, or else in a keystore file, and return its address. An
    existing key is never overwritten. The other parameters are those of `open_signer`. Raises SigningError."""
    if place.startswith(f"{TOKEN_SCHEME}:"):
        return create_token_key(place, pkcs11_module, lambda token: _secret("PIN", token, passphrase_file, prompt))
    passphrase = _secret("passphrase", place, passphrase_file, prompt)
    if passphrase_file is None and prompt is not None and prompt("Repeat the passphrase: ") != passphrase:
        raise SigningError("the two passphrases differ", hint="try again")
    return create_keystore(Path(place), passphrase)


def create_keystore(
    path: Path, passphrase: str, *, signer: LocalSigner | None = None, scrypt_cost: int = 1 << 18
) -> Address:
    """Write a new key, or the key of `signer`, to the encrypted file `path` (mode 0600), and return its address.

    The file appears complete or not at all, and never replaces another. `scrypt_cost` is scrypt's N, with r = 8: the
    default takes 256 MiB and about a second. Raises SigningError.
    """
    if not passphrase:
        raise SigningError("the passphrase is empty")
    signer = signer or LocalSigner.generate()
    keystore = _keyfile().create_keyfile_json(
        signer.unsafe_secret(), passphrase.encode(), kdf="scrypt", iterations=scrypt_cost
    )
    write_private(path, json.dumps(keystore).encode())
    return signer.address


def _keyfile() -> Any:
    from eth_keyfile import keyfile  # noqa: PLC0415 - takes a second to import

    bound_recursion()
    return keyfile


def _open_keystore(path: Path, content: bytes, passphrase: str) -> LocalSigner:
    try:
        keystore = parse_json(content, max_bytes=_MAX_FILE_BYTES, max_depth=8)
        if not isinstance(keystore, dict):
            raise SigningError(f"{path} is not a keystore")
        _check_work(path, keystore)
        secret = _keyfile().decode_keyfile_json(cast("dict[str, Any]", keystore), passphrase.encode())
    except CanonicalError:
        raise SigningError(f"{path} is not a keystore") from None
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError, OverflowError) as error:
        if "MAC" in str(error):  # eth_keyfile has no error class of its own for a wrong passphrase
            raise SigningError(f"the passphrase does not open {path}") from None
        raise SigningError(f"{path} is not a keystore of version 3") from None
    signer = LocalSigner.from_bytes(secret)
    # The address is optional in the format. A wrong one means that files were mixed up, or tampered with.
    named = keystore.get("address")
    if isinstance(named, str) and named.lower().removeprefix("0x") != signer.address.hex():
        raise SigningError(f"the address in {path} is not that of its key")
    return signer


def _check_work(path: Path, keystore: Mapping[str, Json]) -> None:
    """Bound the memory and time that a keystore demands, before it is decrypted. Raises SigningError."""
    lowered = {key.lower(): value for key, value in keystore.items()}
    crypto = lowered.get("crypto")
    params = crypto.get("kdfparams") if isinstance(crypto, dict) else None
    if not isinstance(params, dict):
        raise SigningError(f"{path} is not a keystore of version 3")
    numbers = {name: value for name, value in params.items() if isinstance(value, int)}
    memory = 128 * numbers.get("n", 1) * numbers.get("r", 1) * numbers.get("p", 1)
    if memory > _MAX_SCRYPT_BYTES or numbers.get("c", 0) > _MAX_PBKDF2_ROUNDS:
        raise SigningError(f"{path} demands more memory or time than any keystore needs")


def read_passphrase(path: Path) -> str:
    """Return the content of a file of mode 0600, without its final line break. Raises SigningError."""
    try:
        text = read_private(path).decode("utf-8")
    except UnicodeDecodeError:
        raise SigningError(f"{path} is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _secret(kind: str, where: str, file: Path | None, prompt: Prompt | None) -> str:
    """Return the passphrase or PIN of the key file or token `where`."""
    if file is not None:
        return read_passphrase(file)
    if prompt is not None:
        return prompt(f"{kind[:1].upper()}{kind[1:]} for {where}: ")
    raise SigningError(f"{where} needs a {kind}", hint=f"name a file of mode 0600 that contains the {kind}")


def read_private(path: Path) -> bytes:
    """Return the content of a file of at most 64 KiB, owned by this user, mode 0600. Raises SigningError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # O_NONBLOCK: opening a pipe may block
    except (OSError, ValueError) as error:
        raise SigningError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or 'not a path'}") from None
    try:
        # On the descriptor, not the path: the path may name another file by now.
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise SigningError(f"{path} is not a file")
        if facts.st_uid != os.geteuid():
            raise SigningError(f"{path} belongs to another user", hint=f"chown it to user id {os.geteuid()}")
        if facts.st_mode & 0o077:
            raise SigningError(f"{path} is open to other users", hint=f"chmod 600 {path}")
        content = os.read(descriptor, _MAX_FILE_BYTES + 1)  # one byte more than allowed reveals a larger file
    finally:
        os.close(descriptor)
    if len(content) > _MAX_FILE_BYTES:
        raise SigningError(f"{path} is too large for a key file")
    return content


def write_private(path: Path, content: bytes) -> None:
    """Write a new file, mode 0600. It appears complete or not at all, and replaces no other. Raises SigningError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")  # in the same folder, so that it can be linked
    try:
        write_new(temporary, content, 0o600)
        try:
            os.link(temporary, path)  # unlike a rename, this fails if the name exists
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        sync_folder(path.parent)  # without it, a power cut could lose the name of the file, and with it the key
    except FileExistsError:
        raise SigningError(
            f"{path} exists already", hint="key files are never overwritten: choose another name"
        ) from None
    except OSError as error:
        raise SigningError(f"{path} cannot be written: {error.strerror}") from None
