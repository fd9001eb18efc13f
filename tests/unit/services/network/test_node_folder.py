"""The folder of a chain node: its files, their modes, and the start script."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path

import pytest

from millmark.ledger.errors import InputError
from millmark.ledger.keys import open_signer
from millmark.services.network import (
    GenesisSettings,
    NodeFolder,
    NodePlace,
    Peer,
    build_genesis,
    build_start_script,
    find_kind,
    write_node_folder,
)
from millmark.services.network.peers import public_key_of, write_node_key
from tests.support.local_network import unsafe_test_key

_SIGNERS = [unsafe_test_key(number) for number in range(4)]
_PEERS = [
    Peer(name, public_key_of(signer), f"10.0.0.{number + 1}", 30303)
    for number, (name, signer) in enumerate(zip(["Alder Forge", "Birch", "Cedar", "Dogwood"], _SIGNERS, strict=True))
]
_PLACE = NodePlace(_PEERS[0], _PEERS[1:], "127.0.0.1", 8545, 4711)


def _write(path: Path, kind: str) -> NodeFolder:
    folder = NodeFolder(path)
    folder.create()
    write_node_key(folder.key, _SIGNERS[0])
    settings = GenesisSettings(4711, [peer.address for peer in _PEERS])
    write_node_folder(folder, find_kind(kind), _PLACE, build_genesis(find_kind(kind), settings))
    return folder


def test_the_public_key_has_the_address_of_the_signer() -> None:
    assert [peer.address for peer in _PEERS] == [signer.address for signer in _SIGNERS]


def test_secrets_are_for_the_owner_alone(tmp_path: Path) -> None:
    folder = _write(tmp_path / "node", "geth")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    for file in (folder.key, folder.path / "password", folder.path / "keystore" / "key.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert _SIGNERS[0].unsafe_secret().hex() not in folder.script.read_text()


def test_geth_reads_its_peers_from_its_configuration(tmp_path: Path) -> None:
    folder = _write(tmp_path / "node", "geth")
    found = tomllib.loads((folder.path / "config.toml").read_text())["Node"]["P2P"]
    assert found == {"NoDiscovery": True, "StaticNodes": [peer.enode for peer in _PEERS[1:]]}
    uri, password = f"keystore:{folder.path / 'keystore' / 'key.json'}", folder.path / "password"
    assert open_signer(uri, passphrase_file=password).address == _SIGNERS[0].address


@pytest.mark.parametrize("kind", ["besu", "goquorum", "electroneum-sc"])
def test_the_others_read_them_from_a_list(tmp_path: Path, kind: str) -> None:
    folder = _write(tmp_path / "node", kind)
    assert json.loads((folder.path / "static-nodes.json").read_text()) == [peer.enode for peer in _PEERS[1:]]


def test_a_folder_can_be_written_again_and_keeps_its_key(tmp_path: Path) -> None:
    folder = _write(tmp_path / "node", "geth")
    before = (folder.path / "password").read_bytes()
    write_node_folder(folder, find_kind("geth"), NodePlace(_PEERS[0], _PEERS[1:3], "127.0.0.1", 8545, 4711), b"{}")
    assert (folder.path / "password").read_bytes() == before
    assert "10.0.0.4" not in (folder.path / "config.toml").read_text()


@pytest.mark.parametrize("kind", ["geth", "goquorum", "electroneum-sc"])
def test_nodes_of_the_geth_family_let_in_the_peers_alone(kind: str) -> None:
    script = build_start_script(find_kind(kind), _PLACE)
    assert "--netrestrict 10.0.0.1/32,10.0.0.2/32,10.0.0.3/32,10.0.0.4/32" in script
    assert "--nodiscover" in script


def test_besu_answers_its_own_machine_alone_unless_told_otherwise() -> None:
    script = build_start_script(find_kind("besu"), _PLACE)
    assert "--rpc-http-host=127.0.0.1" in script
    assert "--host-allowlist=localhost,127.0.0.1" in script
    assert "--discovery-enabled=false" in script
    assert "--data-storage-format=FOREST" in script  # the other format proves no old block


@pytest.mark.parametrize(
    ("name", "host", "port"),
    [("", "10.0.0.1", 1), ("a\nexec", "10.0.0.1", 1), ("Alder", "alder.example", 1), ("Alder", "10.0.0.1", 0)],
)
def test_what_cannot_be_a_peer_is_refused(name: str, host: str, port: int) -> None:
    with pytest.raises(InputError):
        Peer(name, _PEERS[0].public_key, host, port)


def test_an_address_of_version_6_is_bracketed() -> None:
    assert "@[2001:db8::1]:30303?" in Peer("Alder", _PEERS[0].public_key, "2001:db8::1", 30303).enode
