"""A node that would be unsafe, or that does not fit together, does not start: one line each, with the hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.chain import write_deployment
from millmark.ledger.chain.deploying import Deployment
from millmark.ledger.errors import SettingsError, SigningError
from millmark.ledger.keys import LocalSigner, create_keystore
from millmark.ledger.records import Contract
from millmark.services.node.agent import lock_folder, open_agent, verify_registered
from millmark.services.node.config import NodeConfig, read_config, read_secret
from millmark.services.node.inspection import load_inspector
from tests.support.loopback import closed_url

SUBJECT = "0x" + "ab" * 32
GOOD = f"""
data_folder = "data"
[chain]
url = "http://127.0.0.1:1"
[signer]
uri = "keystore:key.json"
[[streams]]
name = "press"
machine = 3
subject = "{SUBJECT}"
"""
OPCUA = """
[[opcua]]
url = "opc.tcp://127.0.0.1:4840"
stream = "press"
[[opcua.nodes]]
node = "ns=2;s=Force"
name = "force_mn"
"""
MODEL = 'file = "m.bin"\nnumber = 1\nfield = "s"\nwidth = 5\nhop = 5\nstream = "press"\n'


def _read(folder: Path, text: str) -> NodeConfig:
    (folder / "node.toml").write_text(text)
    return read_config(folder / "node.toml")


def test_relative_paths_start_at_the_file(tmp_path: Path) -> None:
    config = _read(tmp_path, GOOD)
    assert config.data_folder == tmp_path / "data"
    assert config.chain.deployment == tmp_path / "deployment.json"
    assert config.signer.uri == f"keystore:{tmp_path / 'key.json'}"
    assert _read(tmp_path, GOOD.replace("key.json", "/etc/key.json")).signer.uri == "keystore:/etc/key.json"
    assert config.database_url == f"sqlite:///{tmp_path}/data/millmark.sqlite"
    assert (config.http.host, config.http.token_file) == ("127.0.0.1", None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "data_folder: Field required"),
        ("x = [", "not valid TOML"),
        (GOOD + "[more]\n", "more: Extra inputs"),
        (GOOD.replace("machine = 3", 'machine = "3x"'), "streams.0.machine"),
        (GOOD.replace("machine = 3", "machine = 0"), "streams.0.machine"),
        (GOOD.replace(SUBJECT, SUBJECT.upper()), "streams.0.subject"),
        (GOOD.replace('"press"', '"../up"'), "streams.0.name"),
        (GOOD.replace("http://127.0.0.1:1", "ftp://x"), "chain.url"),
        (GOOD.replace("keystore:key.json", "0123456789abcdef" * 4), "signer.uri"),
        (GOOD + '[http]\nhost = "0.0.0.0"\n', "without a token"),
        (GOOD + '[http]\nhost = "::"\n', "without a token"),
        (GOOD + "[http]\nport = 70000\n", "http.port"),
        (GOOD + "[anchor]\ncount = 0\n", "anchor.count"),
        (GOOD + "[anchor]\nseconds = 0\n", "anchor.seconds"),
        (GOOD + '[[folders]]\npath = "in"\nstream = "lathe"\n', "stream 'lathe' is not defined"),
        (GOOD + '[[mqtt]]\ntopic = "t"\nstream = "lathe"\n', "stream 'lathe' is not defined"),
        (GOOD + '[[mqtt]]\ntopic = "t"\nstream = "press"\nhost = "broker.example"\n', "unencrypted"),
        (GOOD + OPCUA.replace('"press"', '"lathe"'), "stream 'lathe' is not defined"),
        (GOOD + OPCUA.replace("127.0.0.1", "press.example"), "unencrypted"),
        (GOOD + OPCUA.replace("opc.tcp", "http"), "opcua.0.url"),
        (GOOD + OPCUA.replace("opc.tcp://", "opc.tcp://user:secret@"), "opcua.0.url"),
        (GOOD + OPCUA.replace("ns=2;s=Force", "Force"), "opcua.0.nodes.0.node"),
        (GOOD + OPCUA.replace('"force_mn"', '"opcua"'), "choose another name"),
        (GOOD + OPCUA + "decimals = 0.5\n", "opcua.0.nodes.0.decimals"),
        (GOOD + OPCUA.replace("[[opcua.n", 'lot_node = "ns=2;s=Force"\n[[opcua.n'), "a node is named twice"),
        (GOOD + OPCUA.replace("[[opcua.n", 'username = "u"\n[[opcua.n'), "go together"),
        (GOOD + OPCUA.replace("[[opcua.n", 'key_file = "k"\n[[opcua.n'), "go together"),
        (GOOD + "[model]\n" + MODEL, "or neither"),
        ('record = "certificates"\n' + GOOD, "or neither"),
        ('record = "all"\n' + GOOD, "record"),
        (
            GOOD + f'[[streams]]\nname = "press"\nmachine = 4\nsubject = "0x{"cd" * 32}"\n',
            "same name or the same subject",
        ),
        (GOOD + f'[[streams]]\nname = "other"\nmachine = 4\nsubject = "{SUBJECT}"\n', "same name or the same subject"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        _read(tmp_path, text)
    line = str(caught.value)
    assert told in line
    assert "\n" not in line
    assert caught.value.hint


def test_a_key_given_by_mistake_is_not_repeated(tmp_path: Path) -> None:
    secret = "c0ffee" * 10 + "1234"
    with pytest.raises(SettingsError) as caught:
        _read(tmp_path, GOOD.replace("keystore:key.json", secret))
    assert secret not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text("t" * 40)
    path.chmod(mode)
    with pytest.raises(SettingsError, match="open to other users; chmod 600"):
        read_secret(path)


def test_a_short_token_is_refused_and_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text("canary\n")
    with pytest.raises(SettingsError, match="fewer than 32") as caught:
        read_secret(path)
    assert "canary" not in str(caught.value)


def _home(folder: Path, text: str = GOOD) -> NodeConfig:
    create_keystore(folder / "key.json", "pass", signer=LocalSigner.generate(), scrypt_cost=2)
    (folder / "pass").touch(mode=0o600)
    (folder / "pass").write_text("pass\n")
    write_deployment(
        folder / "deployment.json",
        Deployment(1, b"r" * 20, b"l" * 20, b"i" * 32, b"f" * 20, 0, b"g" * 32, 0, b"g" * 32),
    )
    uri = f'uri = "keystore:{folder / "key.json"}"\npassphrase_file = "pass"'
    text = text.replace('uri = "keystore:key.json"', uri).replace("http://127.0.0.1:1", closed_url())
    return _read(folder, text)


@pytest.mark.parametrize("name", ["key.json", "pass"])
def test_a_node_whose_key_or_passphrase_others_can_read_does_not_start(tmp_path: Path, name: str) -> None:
    config = _home(tmp_path)
    (tmp_path / name).chmod(0o640)
    with pytest.raises(SigningError, match=f"{name} is open to other users; chmod 600"), open_agent(config):
        pass


def test_a_node_starts_without_its_chain(tmp_path: Path) -> None:
    with open_agent(_home(tmp_path)) as agent:
        assert agent.health().ready


def test_two_nodes_do_not_work_in_one_folder(tmp_path: Path) -> None:
    config = _home(tmp_path)
    with open_agent(config), pytest.raises(SettingsError, match="another node is using"), open_agent(config):
        pass


def test_a_data_folder_that_others_can_look_into_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(0o750)
    with pytest.raises(SettingsError, match="chmod 700"), lock_folder(folder):
        pass


def test_windows_that_the_model_does_not_read_are_refused(tmp_path: Path) -> None:
    model = Path(__file__).parents[4] / "quality" / "models" / "forda.bin"
    config = _read(tmp_path, 'record = "certificates"\n' + GOOD + "[model]\n" + MODEL.replace("m.bin", str(model)))
    assert config.model is not None
    with pytest.raises(SettingsError, match="width is 5, but the model reads 500 samples"):
        load_inspector(config.model)


class _Chain:
    """A ledger on which participant 4 owns one stream of machine 3."""

    def __init__(self, **stream: Any) -> None:
        self._stream = {"sequence": 9, "owner": 4, "machine": 3, **stream}

    def read(self, contract: Contract, function: str, *_: object) -> tuple[int, int]:
        assert (contract, function) == (Contract.REGISTRY, "actorOf")
        return 4, 1

    def read_struct(self, contract: Contract, function: str, *values: object) -> dict[str, Any]:
        assert (contract, function, values) == (Contract.LEDGER, "streamOf", (bytes.fromhex(SUBJECT[2:]),))
        return self._stream


@pytest.mark.parametrize(
    ("stream", "told"),
    [
        ({"sequence": 0}, "not on the ledger"),
        ({"owner": 5}, "belongs to participant 5, but the key acts for 4"),
        ({"machine": 7}, "belongs to machine 7, not 3"),
    ],
)
def test_a_stream_that_is_not_this_participants_is_refused(tmp_path: Path, stream: dict[str, int], told: str) -> None:
    config = _read(tmp_path, GOOD)
    verify_registered(_Chain(), config, bytes(20), None)  # type: ignore[arg-type]  # the two reads are all that is asked
    with pytest.raises(SettingsError, match=told) as caught:
        verify_registered(_Chain(**stream), config, bytes(20), None)  # type: ignore[arg-type]  # as above
    assert caught.value.hint
