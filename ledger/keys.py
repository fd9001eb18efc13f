"""Signers: secp256k1 keys behind an interface, chosen by URI. No text that leaves this module contains a private key.

    keystore:PATH   an encrypted key file, "Web3 Secret Storage" version 3
    file:PATH       64 hexadecimal digits, unencrypted: for development
    pkcs11:...      a key in a token, which never reveals it (millmark.ledger.tokens)

All files, also those with a passphrase or PIN, must be owned by the user that runs the program and be accessible to
nobody else (mode 0600).
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

from millmark.ledger.canonical import Json, parse_json
from millmark.ledger.errors import CanonicalError, SigningError
from millmark.ledger.files import sync_folder, write_new
from millmark.ledger.names import NameKey
from millmark.ledger.recursion import bound_recursion
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
from millmark.ledger.tokens import TOKEN_SCHEME, create_token_key, open_token_signer

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
    """Generate a key in a token, if `place` is a `pkcs11:` URI, or else in a keystore file, and return its address.

    An existing key is never overwritten. The other parameters are those of `open_signer`. Raises SigningError.
    """
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
    from eth_keyfile.keyfile import create_keyfile_json  # noqa: PLC0415  # takes a second to import

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
        from eth_keyfile.keyfile import decode_keyfile_json  # noqa: PLC0415  # takes a second to import

        bound_recursion()

        secret = decode_keyfile_json(cast("dict[str, Any]", keystore), passphrase.encode())
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
