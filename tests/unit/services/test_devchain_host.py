"""A journal's chain beside another program: where it may answer, and what stops it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from millmark.ledger.errors import SettingsError
from millmark.services.devchain import JournaledChain, discard_journal, host_journal
from millmark.services.settings import read_settings


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "http://127.0.0.1",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:8601/rpc",
        "https://127.0.0.1:8601",
        "http://0.0.0.0:8601",
        "http://chain.example:8601",
        "http://user@127.0.0.1:8601",
    ],
)
def test_it_answers_on_a_port_of_this_machine_alone(tmp_path: Path, url: str | None) -> None:
    path = tmp_path / "chain.journal"
    JournaledChain(path).close()
    with pytest.raises(SettingsError, match="chain_url is not a port of this machine"), host_journal(path, url):
        pass


def test_a_journal_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "chain.journal"
    with pytest.raises(SettingsError, match="does not exist"), host_journal(path, "http://127.0.0.1:8601"):
        pass
    assert not path.exists()


def test_a_taken_port_is_said_and_the_journal_is_free_again(tmp_path: Path) -> None:
    path = tmp_path / "chain.journal"
    JournaledChain(path).close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match="cannot listen on"), host_journal(path, url):
            pass
    JournaledChain(path).close()


def test_a_journal_in_use_is_not_discarded(tmp_path: Path) -> None:
    path = tmp_path / "chain.journal"
    chain = JournaledChain(path)
    with pytest.raises(SettingsError, match="no other devchain uses it"):
        discard_journal(path)
    chain.close()
    discard_journal(path)
    assert not path.exists()
    discard_journal(path)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("file:keys/own.key", "file:HOME/keys/own.key"),
        ("keystore:own.json", "keystore:HOME/own.json"),
        ("keystore:/etc/own.json", "keystore:/etc/own.json"),
        ("keystore:///etc/own.json", "keystore:///etc/own.json"),
        ("pkcs11:token=A;object=B", "pkcs11:token=A;object=B"),
        ("file:", "file:"),
        ("0xabc", "0xabc"),
    ],
)
def test_the_signers_file_is_found_from_the_home_folder(tmp_path: Path, given: str, found: str) -> None:
    settings = read_settings(tmp_path, gateway_signer=given)
    assert settings.gateway_signer_uri == found.replace("HOME", str(tmp_path))
    named = read_settings(tmp_path, gateway_name_keys=(given,))
    assert named.gateway_name_key_uris == [settings.gateway_signer_uri]


def test_no_signer_is_none(tmp_path: Path) -> None:
    assert read_settings(tmp_path).gateway_signer_uri is None
