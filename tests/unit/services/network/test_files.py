"""The files that pass between companies, and the commands that write them."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from typer.testing import CliRunner, Result

from millmark.ledger.errors import MillmarkError
from millmark.services.cli import build_app
from millmark.services.commands.network import MOST_PERIOD_S
from millmark.services.network import NetworkError, NetworkFileError, Peer, read_network
from millmark.services.network.genesis import GenesisSettings
from millmark.services.network.peers import public_key_of
from millmark.services.network.setup import build_request, parse_network, parse_request
from millmark.services.text.outbox import STALL_S
from tests.support.local_network import unsafe_test_key
from tests.support.recorded_node import RecordedNode, recorded

_APP = build_app(["millmark.services.commands.network"])
_COMPANIES = ["alder", "birch", "cedar", "dogwood", "elm"]


def _run(home: Path, *arguments: object) -> Result:
    return CliRunner().invoke(_APP, ["--home", str(home), "network", *map(str, arguments)])


def _ran(home: Path, *arguments: object) -> str:
    result = _run(home, *arguments)
    assert result.exit_code == 0, result.output or result.exception
    return result.output


def _refused(home: Path, *arguments: object) -> str:
    result = _run(home, *arguments)
    assert isinstance(result.exception, MillmarkError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def requests(tmp_path: Path) -> list[Path]:
    """Five companies that have made their keys, each in a home of its own."""
    for number, name in enumerate(_COMPANIES):
        _ran(tmp_path / name, "join", "--name", name.title(), "--host", f"10.0.0.{number + 1}")
    return [tmp_path / name / "network" / "validator.json" for name in _COMPANIES]


def test_four_companies_found_a_network(tmp_path: Path, requests: list[Path]) -> None:
    said = _ran(tmp_path / "operator", "init", *requests[:4], "--chain-id", 4711)
    assert "4 validators: 1 may be down; with fewer than 3, no block comes" in said
    assert "a block is final at once, and stays so if at most 1 cheat" in said
    network = read_network(tmp_path / "operator" / "network" / "network.json")
    assert (network.chain_id, network.kind.name, [peer.name for peer in network.peers]) == (
        4711, "besu", ["Alder", "Birch", "Cedar", "Dogwood"],
    )  # fmt: skip
    assert all(peer.address.hex() in network.genesis.decode() for peer in network.peers)


def test_nothing_that_leaves_a_company_has_its_key(tmp_path: Path, requests: list[Path]) -> None:
    _ran(tmp_path / "operator", "init", *requests[:4])
    key = (tmp_path / "alder" / "network" / "key").read_text()
    for file in [requests[0], tmp_path / "operator" / "network" / "network.json"]:
        assert key not in file.read_text()
    assert stat.S_IMODE((tmp_path / "alder" / "network").stat().st_mode) == 0o700


def test_a_company_gets_all_that_its_node_needs(tmp_path: Path, requests: list[Path]) -> None:
    _ran(tmp_path / "operator", "init", *requests[:4])
    said = _ran(tmp_path / "alder", "join", tmp_path / "operator" / "network" / "network.json")
    assert "engine = 'besu-qbft'" in said
    folder = tmp_path / "alder" / "network"
    peers = json.loads((folder / "static-nodes.json").read_text())
    assert [enode.partition("@")[2] for enode in peers] == [f"10.0.0.{n}:30303?discport=0" for n in (2, 3, 4)]
    compose = yaml.safe_load((folder / "compose.yml").read_text())["services"]["chain-node"]
    assert compose["entrypoint"] == ["/bin/sh", "/node/start.sh"]
    assert compose["cap_drop"] == ["ALL"]
    [temporary] = compose["tmpfs"]
    assert "exec" in temporary.partition(":")[2].split(","), "Besu loads its libraries from there"
    unit = (folder / "millmark-chain-node.service").read_text()
    assert f'ExecStart=/bin/sh "{folder}/start.sh"' in unit
    assert "IPAddressDeny=any\nIPAddressAllow=localhost 10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4\n" in unit
    assert 'Environment="NODE_PROGRAM=/usr/local/bin/besu"' in unit


def test_a_company_that_comes_later_is_let_in_by_all(tmp_path: Path, requests: list[Path]) -> None:
    operator, file = tmp_path / "operator", tmp_path / "operator" / "network" / "network.json"
    _ran(operator, "init", *requests[:4])
    _ran(tmp_path / "alder", "join", file)
    assert "does not list the key" in _refused(tmp_path / "elm", "join", file)
    said = _ran(operator, "add", requests[4])
    assert f"millmark network vote add 0x{parse_request(requests[4].read_bytes()).address.hex()}" in said.lower()
    _ran(tmp_path / "elm", "join", file)
    _ran(tmp_path / "alder", "join", file)
    assert "10.0.0.5" in (tmp_path / "alder" / "network" / "static-nodes.json").read_text()
    _ran(operator, "remove", "Birch")
    _ran(tmp_path / "alder", "join", file)
    assert "10.0.0.2" not in (tmp_path / "alder" / "network" / "static-nodes.json").read_text()
    assert "no node 'Birch'" in _refused(operator, "remove", "Birch")


def test_a_network_of_another_genesis_is_not_joined_in_the_same_folder(tmp_path: Path, requests: list[Path]) -> None:
    for operator in ("one", "two"):
        _ran(tmp_path / operator, "init", *requests[:4])
    _ran(tmp_path / "alder", "join", tmp_path / "one" / "network" / "network.json")
    said = _refused(tmp_path / "alder", "join", tmp_path / "two" / "network" / "network.json")
    assert "another genesis" in said  # each chose a chain id of its own


def test_too_few_and_even_numbers_are_refused_unless_allowed(tmp_path: Path, requests: list[Path]) -> None:
    said = _refused(tmp_path / "o", "init", *requests[:3])
    assert said.startswith("3 validators tolerate no company that cheats; take 4 or more"), "one may be down"
    assert said.endswith("give --allow-few")
    for few, arguments, least in ((2, (), 4), (3, ("--kind", "geth"), 5)):
        said = _refused(tmp_path / "o", "init", *requests[:few], *arguments)
        assert said.startswith(f"{few} validators tolerate no company that fails or cheats; take {least} or more")
    assert "give --allow-even" in _refused(tmp_path / "o", "init", *requests[:4], "--kind", "geth")
    said = _refused(tmp_path / "o", "init", requests[0])
    assert said.startswith("1 validator tolerates no company that fails or cheats; take 4 or more")
    assert not (tmp_path / "o").exists()
    said = _ran(tmp_path / "o", "init", *requests[:4], "--kind", "geth", "--allow-even")
    assert "geth is for trials" in said
    _ran(tmp_path / "p", "init", *requests[:3], "--allow-few")


def test_a_network_begins_once(tmp_path: Path, requests: list[Path]) -> None:
    _ran(tmp_path / "operator", "init", *requests[:4])
    assert "exists already" in _refused(tmp_path / "operator", "init", *requests[:4])


def test_blocks_are_never_so_far_apart_that_waiting_for_one_is_an_alarm(tmp_path: Path, requests: list[Path]) -> None:
    timeout_s = GenesisSettings(1, [], period_s=MOST_PERIOD_S).request_timeout_s
    assert MOST_PERIOD_S + timeout_s + 5 <= STALL_S, "not even while one validator is down, and the others are slow"
    assert _run(tmp_path / "slow", "init", *requests[:4], "--period-s", MOST_PERIOD_S + 1).exit_code == 2
    _ran(tmp_path / "slow", "init", *requests[:4], "--period-s", MOST_PERIOD_S)


def test_the_same_company_twice_is_refused(tmp_path: Path, requests: list[Path]) -> None:
    assert "each may be named only once" in _refused(tmp_path / "operator", "init", *requests[:4], requests[0])


def test_a_local_network_is_complete(tmp_path: Path) -> None:
    _ran(tmp_path, "init", "--local", 4, "--kind", "electroneum-sc", "--fund", "0x" + "11" * 20)
    for number in range(1, 5):
        folder = tmp_path / "network" / f"validator-{number}"
        assert (folder / "start.sh").exists()
        assert f"--http.port {8544 + number}" in (folder / "start.sh").read_text()
    network = read_network(tmp_path / "network" / "network.json")
    assert [key.lower() for key in json.loads(network.genesis)["alloc"]] == ["0x" + "11" * 20]


def test_a_network_on_which_nobody_could_pay_is_told(tmp_path: Path) -> None:
    for kind, has_fees in (("besu", False), ("goquorum", False), ("geth", True), ("electroneum-sc", True)):
        said = _ran(tmp_path / kind, "init", "--local", 5, "--kind", kind)
        assert ("no key has money there: to record, begin anew with --fund" in said) is has_fees, kind
    said = _ran(tmp_path / "funded", "init", "--local", 5, "--kind", "geth", "--fund", "0x" + "11" * 20)
    assert "no key has money" not in said


@pytest.mark.parametrize(
    "arguments",
    [
        ("init",),
        ("init", "--local", 4, "request.json"),
        ("init", "--local", 4, "--kind", "nethermind"),
        ("init", "--local", 4, "--fund", "0x12"),
        ("join",),
        ("join", "--name", "Alder"),
        ("join", "--name", "Alder", "--host", "alder.example"),
        ("start",),
        ("stop",),
        ("status",),
        ("vote", "add", "Elm"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path, arguments: tuple[object, ...]) -> None:
    _refused(tmp_path, *arguments)


def test_start_names_the_program_that_is_missing(tmp_path: Path) -> None:
    _ran(tmp_path, "init", "--local", 4)
    assert _refused(tmp_path, "start") == "there is no besu on the PATH; name the executable with --program"


def test_a_local_network_is_of_the_program_on_this_machine(
    tmp_path: Path, requests: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --kind. Companies that set a network up get Besu, whatever this machine has."""
    said = {"etn-sc": "Etn-Sc\nVersion: Aurelius-6.0.0\n", "quorum": "Geth\nVersion: 1.10.3\nQuorum Version: 24.4.1\n"}
    for name in said:
        (tmp_path / name).touch(mode=0o755)
    monkeypatch.setattr("millmark.services.network.processes._ask", lambda path, _: said[path.name])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "of goquorum, genesis" in _ran(tmp_path / "one", "init", "--local", 4), "the first that is known"
    assert "of besu, genesis" in _ran(tmp_path / "two", "init", "--local", 4, "--kind", "besu")
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / "millmark.toml").write_text(f'node_program = "{tmp_path / "etn-sc"}"\n')
    assert "of electroneum-sc, genesis" in _ran(tmp_path / "three", "init", "--local", 4)
    assert "of besu, genesis" in _ran(tmp_path / "companies", "init", *requests[:4])


def test_nobody_is_voted_in_whose_node_cannot_connect(tmp_path: Path) -> None:
    _ran(tmp_path, "init", "--local", 4)
    assert "let it connect first" in _refused(tmp_path, "vote", "add", "0x" + "11" * 20)


def test_an_embedded_chain_is_not_judged_as_a_network(tmp_path: Path) -> None:
    (tmp_path / "millmark.toml").write_text('chain_url = "http://127.0.0.1:1"\n')
    assert "without validators that run; see `millmark status`" in _refused(tmp_path, "status")


def test_a_node_of_another_chain_at_the_homes_port_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All may seal there, and nobody here."""
    node, _ = recorded("clique")
    chain_id = int(node.answers["eth_chainId []"], 16)
    monkeypatch.setattr("millmark.services.commands.network.HttpTransport", lambda *_: node)
    for home, number in (("same", chain_id), ("other", chain_id + 1)):
        _ran(tmp_path / home, "init", "--local", 5, "--kind", "geth", "--chain-id", number)
    assert f"chain {chain_id} (Clique)" in _run(tmp_path / "same", "status").output
    said = _refused(tmp_path / "other", "status")
    assert f"answers for chain {chain_id}, and this home's network is chain {chain_id + 1}" in said
    asked = _run(tmp_path / "other", "status", "--chain-url", "http://192.0.2.1:8545")
    assert f"chain {chain_id} (Clique)" in asked.output, "that was asked for by its address"


def test_a_node_whose_api_is_off_is_not_to_be_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node, _ = recorded("clique")
    off = {"error": {"code": -32601, "message": "the method clique_getSigners does not exist"}}
    answers = {**node.answers, "clique_getSigners []": off}
    monkeypatch.setattr("millmark.services.commands.network.HttpTransport", lambda *_: RecordedNode(answers))
    said = _refused(tmp_path, "status", "--chain-url", "http://192.0.2.1:8545")
    assert "refuses clique_getSigners: the method" in said
    assert said.endswith("see the flags in the node's start.sh")
    _ran(tmp_path / "five", "init", "--local", 5, "--kind", "geth")
    said = _refused(tmp_path / "five", "status")
    assert "refuses clique_getSigners: the method" in said, "though all five are so"


def _request() -> dict[str, Any]:
    signer = unsafe_test_key(0)
    found = json.loads(build_request(Peer("Alder", public_key_of(signer), "10.0.0.1", 30303), signer))
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("name", "Birch"),
        ("host", "10.0.0.2"),
        ("port", 30304),
        ("port", True),
        ("public_key", "0x" + public_key_of(unsafe_test_key(1)).hex()),
        ("public_key", "0x12"),
        ("signature", "0x" + "11" * 65),
        ("version", 2),
        ("format", "millmark-network"),
        ("more", 1),
    ],
)
def test_a_request_that_was_changed_is_refused(member: str, value: object) -> None:
    with pytest.raises(NetworkFileError):
        parse_request(json.dumps({**_request(), member: value}).encode())
    assert parse_request(json.dumps(_request()).encode()).name == "Alder"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("program", "nethermind"),
        ("genesis", "{"),
        ("genesis", "[]"),
        ("genesis", '{"gasLimit": "0x1"}'),
        ("genesis", '{"config": {"chainId": "one"}, "gasLimit": "0x1"}'),
        ("genesis", '{"config": {"chainId": 1}, "gasLimit": -1}'),
        ("peers", [{"name": "Alder"}]),
        ("peers", {}),
        ("version", 2),
    ],
)
def test_a_network_file_that_is_malformed_is_refused(tmp_path: Path, member: str, value: object) -> None:
    _ran(tmp_path, "init", "--local", 4)
    good = json.loads((tmp_path / "network" / "network.json").read_text())
    with pytest.raises(NetworkFileError):
        parse_network(json.dumps({**good, member: value}).encode())
    with pytest.raises(NetworkError, match="the same name"):
        parse_network(json.dumps({**good, "peers": [good["peers"][0]] * 2}).encode())
