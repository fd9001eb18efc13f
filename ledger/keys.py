"""Signers: secp256k1 keys behind an interface, chosen by URI. Private keys appear in no text that leaves this module.

    keystore:PATH   an encrypted key file, "Web3 Secret Storage" version 3
    file:PATH       64 hexadecimal digits, unencrypted: for development
    pkcs11:...      a key in a token, which never gives it away (ledger.tokens)

Files, those with a passphrase or PIN too, must belong to the user that runs the program, and to nobody else (mode
0600).
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, cast

import coincurve

from ledger.canonical import Json, parse_json
from ledger.errors import CanonicalError, SigningError
from ledger.recursion import bound_recursion
from ledger.signatures import (
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
from ledger.tokens import TOKEN_SCHEME, create_token_key, open_token_signer

__all__ = [
    "ADDRESS_BYTES",
    "Address",
    "LocalSigner",
    "Prompt",
    "Signature",
    "Signer",
    "create_key",
    "create_keystore",
    "open_signer",
    "parse_address",
    "read_passphrase",
    "read_private",
    "recover_address",
    "to_checksum",
    "verify_signature",
    "write_private",
]

Prompt: TypeAlias = Callable[[str], str]
"""Asks a person; the argument says what for."""

_MAX_FILE_BYTES = 1 << 16
_MAX_SCRYPT_BYTES = 1 << 30
_MAX_PBKDF2_ROUNDS = 10_000_000


class LocalSigner:
    """A key in this process. It cannot be printed, copied or pickled."""

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
        """Return the signer of a 32-byte key. Raises SigningError, which does not repeat the key."""
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
        signed = self._key.sign_recoverable(digest, hasher=None)  # libsecp256k1 gives low s
        return Signature(int.from_bytes(signed[:32], "big"), int.from_bytes(signed[32:64], "big"), signed[64])

    def unsafe_secret(self) -> bytes:
        """Return the 32-byte private key. The caller holds the risk."""
        return self._key.secret

    def __repr__(self) -> str:
        return f"LocalSigner({to_checksum(self._address)})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SigningError("a signer is neither copied nor pickled")


def open_signer(
    uri: str,
    *,
    passphrase_file: Path | None = None,
    prompt: Prompt | None = None,
    pkcs11_module: Path | None = None,
) -> Signer:
    """Return the signer that `uri` names. A keystore's passphrase, or a token's PIN, comes from a file of mode 0600, or
    from a person. `pkcs11_module` is the library that talks to tokens.

    Never from the command line or the environment: other processes read those. Raises SigningError.
    """
    scheme, _, place = uri.partition(":")
    if not place or scheme not in ("keystore", "file", TOKEN_SCHEME):
        # The URI is not repeated: a key given by mistake would be.
        raise SigningError("the signer is neither keystore:PATH, file:PATH nor pkcs11:...", hint="name a key")
    if scheme == TOKEN_SCHEME:
        return open_token_signer(uri, pkcs11_module, lambda token: _secret("PIN", token, passphrase_file, prompt))
    path = Path(place.removeprefix("//") if place.startswith("///") else place)
    content = read_private(path)
    if scheme == "keystore":
        return _open_keystore(path, content, _secret("passphrase", str(path), passphrase_file, prompt))
    try:
        return LocalSigner.from_bytes(bytes.fromhex(content.decode("ascii").strip().removeprefix("0x")))
    except ValueError:
        raise SigningError(f"{path} does not hold 64 hexadecimal digits") from None


def create_key(
    place: str,
    *,
    passphrase_file: Path | None = None,
    prompt: Prompt | None = None,
    pkcs11_module: Path | None = None,
) -> Address:
    """Make a new key in the token that a `pkcs11:` URI names, or else in a keystore file at `place`, and return its
    address.

    Nothing is ever overwritten. Raises SigningError.
    """
    if place.startswith(f"{TOKEN_SCHEME}:"):
        return create_token_key(place, pkcs11_module, lambda token: _secret("PIN", token, passphrase_file, prompt))
    passphrase = _secret("passphrase", place, passphrase_file, prompt)
    if passphrase_file is None and prompt is not None and prompt("Once more: ") != passphrase:
        raise SigningError("the two passphrases differ", hint="try again")
    return create_keystore(Path(place), passphrase)


def create_keystore(
    path: Path, passphrase: str, *, signer: LocalSigner | None = None, scrypt_cost: int = 1 << 18
) -> Address:
    """Write a new key (or `signer`'s), encrypted, to `path`, mode 0600, and return its address.

    The file appears whole or not at all, and never replaces another. `scrypt_cost` is scrypt's N, with r = 8: the
    default takes 256 MiB for a second or so. Raises SigningError.
    """
    if not passphrase:
        raise SigningError("the passphrase is empty")
    signer = signer or LocalSigner.generate()
    from eth_keyfile.keyfile import create_keyfile_json  # noqa: PLC0415  # it takes a second

    bound_recursion()

    keystore = create_keyfile_json(signer.unsafe_secret(), passphrase.encode(), kdf="scrypt", iterations=scrypt_cost)
    write_private(path, json.dumps(keystore).encode())
    return signer.address


def _open_keystore(path: Path, content: bytes, passphrase: str) -> LocalSigner:
    try:
        keystore = parse_json(content, max_bytes=_MAX_FILE_BYTES, max_depth=8)
        if not isinstance(keystore, dict):
            raise SigningError(f"{path} is not a keystore")
        _check_work(path, keystore)
        from eth_keyfile.keyfile import decode_keyfile_json  # noqa: PLC0415  # likewise

        bound_recursion()

        secret = decode_keyfile_json(cast("dict[str, Any]", keystore), passphrase.encode())
    except CanonicalError:
        raise SigningError(f"{path} is not a keystore") from None
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError, OverflowError) as error:
        if "MAC" in str(error):
            raise SigningError(f"the passphrase does not open {path}") from None
        raise SigningError(f"{path} is not a keystore of version 3") from None
    signer = LocalSigner.from_bytes(secret)
    named = keystore.get("address")
    if isinstance(named, str) and named.lower().removeprefix("0x") != signer.address.hex():
        raise SigningError(f"{path} names another address than its key has")
    return signer


def _check_work(path: Path, keystore: Mapping[str, Json]) -> None:
    """A file must not choose how much memory or time it takes to refuse it."""
    lowered = {key.lower(): value for key, value in keystore.items()}
    crypto = lowered.get("crypto")
    params = crypto.get("kdfparams") if isinstance(crypto, dict) else None
    if not isinstance(params, dict):
        raise SigningError(f"{path} is not a keystore of version 3")
    numbers = {name: value for name, value in params.items() if isinstance(value, int)}
    memory = 128 * numbers.get("n", 1) * numbers.get("r", 1) * numbers.get("p", 1)
    if memory > _MAX_SCRYPT_BYTES or numbers.get("c", 0) > _MAX_PBKDF2_ROUNDS:
        raise SigningError(f"{path} asks for more work than any keystore needs")


def read_passphrase(path: Path) -> str:
    """Return the one line of a file of mode 0600. Raises SigningError."""
    try:
        text = read_private(path).decode("utf-8")
    except UnicodeDecodeError:
        raise SigningError(f"{path} is not UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")


def _secret(kind: str, where: str, file: Path | None, prompt: Prompt | None) -> str:
    """The passphrase or PIN of what is at `where`."""
    if file is not None:
        return read_passphrase(file)
    if prompt is not None:
        return prompt(f"{kind[:1].upper()}{kind[1:]} for {where}: ")
    raise SigningError(f"{where} needs a {kind}", hint=f"name a file of mode 0600 that holds the {kind}")


def read_private(path: Path) -> bytes:
    """Content of a small file that is the user's own, mode 0600. Raises SigningError.

    Checked on the opened file: the name may change meanwhile.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe must not block us
    except (OSError, ValueError) as error:
        raise SigningError(f"{path} cannot be opened: {getattr(error, 'strerror', None) or 'not a path'}") from None
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise SigningError(f"{path} is not a file")
        if facts.st_uid != os.geteuid():
            raise SigningError(f"{path} belongs to another user", hint=f"chown it to user id {os.geteuid()}")
        if facts.st_mode & 0o077:
            raise SigningError(f"{path} is open to other users", hint=f"chmod 600 {path}")
        content = os.read(descriptor, _MAX_FILE_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(content) > _MAX_FILE_BYTES:
        raise SigningError(f"{path} is too large for a key file")
    return content


def write_private(path: Path, content: bytes) -> None:
    """Writes a new file, mode 0600, whole or not at all, and never over another. Raises SigningError."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # unlike a rename, this fails where something is
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        _sync_directory(path.parent)
    except FileExistsError:
        raise SigningError(f"{path} exists", hint="a key file is never overwritten: choose another name") from None
    except OSError as error:
        raise SigningError(f"{path} cannot be written: {error.strerror}") from None


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
