"""`millmark keys sign-in`: signs what the portal shows, says so first, and signs nothing else."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from millmark.ledger.signatures import to_checksum
from millmark.services.access import SignIn
from millmark.services.access.siwe import recover_signer
from tests.support.command_line import Runner
from tests.support.gateway_client import build_linked_world
from tests.support.sign_in import NOW_S, ORIGIN
from tests.support.stores import new_store


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, monkeypatch, capsys)


@pytest.fixture
def signing(runner: Runner) -> list[str]:
    """Options that unlock a key."""
    return [runner.keystore("own.json"), f"--passphrase-file={runner.home / 'secret'}"]


@pytest.fixture
def message(runner: Runner, signing: list[str], tmp_path: Path) -> str:
    """As the site hands it out to that key."""
    _, address, _ = runner("keys", "show", *signing)
    with new_store(tmp_path) as store:
        build_linked_world(store)
        return SignIn(store, ORIGIN).new_message(bytes.fromhex(address.strip()[2:]), NOW_S).to_text()


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_a_file_is_signed_as_it_was_shown(runner: Runner, signing: list[str], message: str, end: str) -> None:
    path = runner.home / "message.txt"
    shown = message.replace("\n", "\r\n") if "\r" in end else message
    path.write_bytes((shown + end).encode())
    code, out, err = runner("keys", "sign-in", *signing, f"--message={path}")
    assert code == 0, err
    signer = recover_signer(message, bytes.fromhex(out.strip()[2:]))
    assert to_checksum(signer) in err
    assert "gateway.example" in err


def test_standard_input_is_signed_too(
    runner: Runner, signing: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(message.encode() + b"\n")))
    code, out, _ = runner("keys", "sign-in", *signing)
    assert code == 0
    assert len(out.strip()) == 2 + 130


@pytest.mark.parametrize(
    "other",
    [b"", b"give everything to Mallory", b"\xff\xfe", b"x" * 100_000, b"\x19Ethereum Signed Message:\n32" + bytes(32)],
)
def test_nothing_but_a_sign_in_message_is_signed(runner: Runner, signing: list[str], other: bytes) -> None:
    path = runner.home / "other.txt"
    path.write_bytes(other)
    code, _ = runner.refused("keys", "sign-in", *signing, f"--message={path}")
    assert code in (1, 2)


def test_a_message_for_another_key_is_not_signed(runner: Runner, signing: list[str], message: str) -> None:
    path = runner.home / "message.txt"
    path.write_text(message)
    other = [runner.keystore("other.json"), signing[1]]
    code, out, err = runner("keys", "sign-in", *other, f"--message={path}")
    assert (code, out) == (2, "")
    assert "the message is not for the key" in err


def test_a_file_that_is_not_there_is_told(runner: Runner, signing: list[str]) -> None:
    code, _ = runner.refused("keys", "sign-in", *signing, f"--message={runner.home / 'none'}")
    assert code == 2
