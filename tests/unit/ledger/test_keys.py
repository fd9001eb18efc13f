"""Signers: what they sign, which files they refuse, and that a key never shows."""

from __future__ import annotations

import copy
import json
import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eth_keys.datatypes import PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from millmark.ledger.errors import SigningError
from millmark.ledger.keys import LocalSigner, create_keystore, open_signer
from millmark.ledger.signatures import Signature, parse_address, recover_address, to_checksum, verify_signature

CANARY = bytes.fromhex("c0ffee" * 10 + "c0fe")
PASSPHRASE = "open sesame 77"
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
CHEAP = 1 << 4


@pytest.fixture
def keystore(tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    create_keystore(path, PASSPHRASE, signer=LocalSigner.from_bytes(CANARY), scrypt_cost=CHEAP)
    return path


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@settings(deadline=None, max_examples=60)
@given(st.integers(1, ORDER - 1), st.binary(min_size=32, max_size=32))
def test_signatures_agree_with_another_implementation(number: int, digest: bytes) -> None:
    secret = number.to_bytes(32, "big")
    signer, peer = LocalSigner.from_bytes(secret), PrivateKey(secret)
    signature = signer.sign_digest(digest)
    theirs = peer.sign_msg_hash(digest)
    assert (signature.r, signature.s, signature.y_parity) == (theirs.r, theirs.s, theirs.v)
    assert to_checksum(signer.address) == peer.public_key.to_checksum_address()
    assert recover_address(digest, signature) == signer.address
    verify_signature(digest, signature, signer.address)
    assert Signature.from_bytes(signature.to_bytes()) == signature


def test_another_digest_or_key_does_not_verify() -> None:
    one, two = LocalSigner.generate(), LocalSigner.generate()
    signature = one.sign_digest(bytes(32))
    with pytest.raises(SigningError, match="signature is by"):
        verify_signature(bytes(32), signature, two.address)
    with pytest.raises(SigningError):
        verify_signature(bytes([1] * 32), signature, one.address)


@pytest.mark.parametrize(
    "parts",
    [(0, 1, 0), (1, 0, 0), (ORDER, 1, 0), (1, ORDER // 2 + 1, 0), (1, ORDER - 1, 1), (1, 1, 2), (-1, 1, 0), (1, 1, 27)],
)
def test_signatures_out_of_range_are_none(parts: tuple[int, int, int]) -> None:
    with pytest.raises(SigningError):
        Signature(*parts)


@pytest.mark.parametrize("data", [b"", bytes(65), bytes(64), b"\1" * 64 + b"\0", b"\1" * 66, "x" * 65])
def test_signature_bytes_that_are_none(data: Any) -> None:
    with pytest.raises(SigningError):
        Signature.from_bytes(data)


def test_a_signature_without_a_point_recovers_nothing() -> None:
    with pytest.raises(SigningError, match="no key"):
        recover_address(bytes(32), Signature(5, 1, 0))  # no curve point has x = 5


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33), "0" * 32, None])
def test_digests_are_32_bytes(digest: Any) -> None:
    with pytest.raises(SigningError):
        LocalSigner.generate().sign_digest(digest)


def test_addresses() -> None:
    text = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # ERC-55
    assert to_checksum(parse_address(text)) == text
    assert parse_address(text.lower()) == parse_address("0x" + text[2:].upper()) == parse_address(text)
    bad = ["", "0x", text[:-1], text + "0", text[2:], text.replace("5aA", "5AA"), "0x" + "g" * 40, "0X" + text[2:]]
    for wrong in bad:
        with pytest.raises(SigningError):
            parse_address(wrong)
    with pytest.raises(SigningError):
        to_checksum(bytes(19))


def test_a_keystore_opens_with_a_file_or_a_person(keystore: Path, tmp_path: Path) -> None:
    address = LocalSigner.from_bytes(CANARY).address
    passphrase = private(tmp_path / "passphrase", PASSPHRASE + "\n")
    assert open_signer(f"keystore:{keystore}", passphrase_file=passphrase).address == address
    assert open_signer(f"keystore://{keystore}", prompt=lambda _: PASSPHRASE).address == address
    with pytest.raises(SigningError, match="needs a passphrase"):
        open_signer(f"keystore:{keystore}")
    with pytest.raises(SigningError, match="does not open"):
        open_signer(f"keystore:{keystore}", prompt=lambda _: "wrong")


def test_a_keystore_is_written_whole_private_and_once(keystore: Path, tmp_path: Path) -> None:
    assert keystore.stat().st_mode & 0o777 == 0o600
    before = keystore.read_bytes()
    with pytest.raises(SigningError, match="exists already; key files are never overwritten"):
        create_keystore(keystore, PASSPHRASE, scrypt_cost=CHEAP)
    assert keystore.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["key.json"]
    with pytest.raises(SigningError, match="cannot be written"):
        create_keystore(tmp_path / "missing" / "key.json", PASSPHRASE, scrypt_cost=CHEAP)
    with pytest.raises(SigningError, match="empty"):
        create_keystore(tmp_path / "other.json", "", scrypt_cost=CHEAP)
    assert (
        create_keystore(tmp_path / "new.json", PASSPHRASE, scrypt_cost=CHEAP) != LocalSigner.from_bytes(CANARY).address
    )


def test_key_files(tmp_path: Path) -> None:
    address = LocalSigner.from_bytes(CANARY).address
    for number, text in enumerate((CANARY.hex(), "0x" + CANARY.hex() + "\n")):
        assert open_signer(f"file:{private(tmp_path / str(number), text)}").address == address
    for number, text in enumerate(("", "zz", CANARY.hex()[:-2], CANARY.hex() + "00", "00" * 32, f"{ORDER:064x}", "é")):
        with pytest.raises(SigningError):
            open_signer(f"file:{private(tmp_path / f'bad{number}', text)}")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o620, 0o610])
def test_files_open_to_others_are_refused(keystore: Path, tmp_path: Path, mode: int) -> None:
    keystore.chmod(mode)
    with pytest.raises(SigningError, match=f"chmod 600 {keystore}"):
        open_signer(f"keystore:{keystore}", prompt=lambda _: PASSPHRASE)
    keystore.chmod(0o600)
    passphrase = private(tmp_path / "passphrase", PASSPHRASE)
    passphrase.chmod(mode)
    with pytest.raises(SigningError, match=f"chmod 600 {passphrase}"):
        open_signer(f"keystore:{keystore}", passphrase_file=passphrase)


def test_files_of_another_user_are_refused(keystore: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: keystore.stat().st_uid + 1)
    with pytest.raises(SigningError, match="another user"):
        open_signer(f"keystore:{keystore}", prompt=lambda _: PASSPHRASE)


def test_other_things_than_files_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    private(tmp_path / "large", "0" * 70_000)
    for name in ("pipe", ".", "absent", "large", "nul\0"):
        with pytest.raises(SigningError):
            open_signer(f"file:{tmp_path / name}")


def _without(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        del document[keys[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        _without("crypto"),
        _without("crypto", "mac"),
        _without("crypto", "kdfparams"),
        _without("crypto", "cipherparams", "iv"),
        _without("version"),
        lambda document: document.update(version=4),
        lambda document: document.update(address="00" * 20),
        lambda document: document["crypto"].update(kdf="md5"),
        lambda document: document["crypto"].update(ciphertext="zz"),
        lambda document: document["crypto"]["kdfparams"].update(n=1 << 40),
        lambda document: document["crypto"]["kdfparams"].update(n=3),
        lambda document: document["crypto"]["kdfparams"].update(p=1 << 30),
        lambda document: document["crypto"]["kdfparams"].update(n="16"),
    ],
)
def test_damaged_keystores_are_refused(keystore: Path, change: Callable[[dict[str, Any]], None]) -> None:
    document = json.loads(keystore.read_text())
    change(document)
    keystore.write_text(json.dumps(document))
    with pytest.raises(SigningError):
        open_signer(f"keystore:{keystore}", prompt=lambda _: PASSPHRASE)


@pytest.mark.parametrize("much", [{"n": 1 << 40}, {"p": 1 << 30}, {"r": 1 << 24}, {"c": 10**9}])
def test_a_keystore_does_not_choose_our_work(keystore: Path, much: dict[str, int]) -> None:
    document = json.loads(keystore.read_text())
    document["crypto"]["kdfparams"].update(much)
    keystore.write_text(json.dumps(document))
    with pytest.raises(SigningError, match="more memory or time"):
        open_signer(f"keystore:{keystore}", prompt=lambda _: PASSPHRASE)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"crypto":1,"crypto":1}', "1", "null"])
def test_files_that_are_no_keystores(tmp_path: Path, text: str) -> None:
    path = private(tmp_path / "key.json", text)
    with pytest.raises(SigningError, match="not a keystore"):
        open_signer(f"keystore:{path}", prompt=lambda _: PASSPHRASE)


def test_no_text_shows_a_key_or_passphrase(keystore: Path, tmp_path: Path) -> None:
    """Everything that can fail near a key, with a planted key and passphrase, and what it says."""
    signer = LocalSigner.from_bytes(CANARY)
    hexadecimal = CANARY.hex()
    attempts: list[Callable[[], object]] = [
        lambda: LocalSigner.from_bytes(CANARY + b"\0"),
        lambda: LocalSigner.from_bytes(CANARY[:-1]),
        lambda: open_signer(hexadecimal),
        lambda: open_signer(f"0x{hexadecimal}"),
        lambda: open_signer(f"hex:{hexadecimal}"),
        lambda: open_signer(f"file:{private(tmp_path / 'long', hexadecimal + '0')}"),
        lambda: open_signer(f"file:{private(tmp_path / 'odd', hexadecimal[:-1])}"),
        lambda: open_signer(f"keystore:{keystore}", prompt=lambda _: PASSPHRASE + "x"),
        lambda: create_keystore(keystore, PASSPHRASE, signer=signer, scrypt_cost=CHEAP),
        lambda: create_keystore(tmp_path / "x" / "y", PASSPHRASE, signer=signer, scrypt_cost=CHEAP),
        lambda: signer.sign_digest(CANARY[:-1]),
        lambda: pickle.dumps(signer),
        lambda: copy.copy(signer),
        lambda: copy.deepcopy({"key": signer}),
    ]
    texts = [repr(signer), str(signer), f"{signer!s}", repr([signer]), keystore.read_text()]
    for attempt in attempts:
        with pytest.raises(SigningError) as caught:
            attempt()
        texts += [str(caught.value), repr(caught.value), "".join(traceback.format_exception(caught.value))]
    for text in texts:
        for secret in (
            hexadecimal,
            hexadecimal[:16],
            repr(CANARY)[2:20],
            str(int.from_bytes(CANARY, "big")),
            PASSPHRASE,
        ):
            assert secret not in text
    assert repr(signer) == f"LocalSigner({to_checksum(signer.address)})"
    assert not hasattr(signer, "__dict__")


@pytest.mark.parametrize("uri", ["", "keystore", "keystore:", "file:", "pkcs11:", "PKCS11:x", "KEYSTORE:x", "./key"])
def test_uris_that_name_no_signer(uri: str) -> None:
    with pytest.raises(SigningError, match="neither"):
        open_signer(uri)
