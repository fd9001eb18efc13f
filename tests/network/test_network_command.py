"""`millmark network` with real validators: set up by their companies, killed, and started again."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from millmark.services.cli import build_app
from millmark.services.network import (
    Consensus,
    NodeFolder,
    NodeProgram,
    NodeProgramError,
    find_program,
    identify_program,
)
from millmark.services.network.processes import FIRST_BLOCKS, is_running, stop_recorded
from tests.support.local_network import PortReservation
from tests.support.patience import MAX_S, wait_until

pytestmark = pytest.mark.integration
_PROGRAM_VARIABLE = "MILLMARK_TEST_NODE"
"""Environment variable with the path of a node program, of any kind that is known here."""
_BUILT = Path(__file__).parents[2] / ".geth"
"""Where scripts/test builds geth."""
_HALTS = 4
"""Longest time until QBFT makes blocks again, in lengths of the halt: each round lasts twice as long as the one
before, a validator that was started again begins with the first, and where it meets the others may be the turn of one
that is down."""
_APP = build_app(["millmark.services.commands.network"])
_NAMES = ["Alder", "Birch", "Cedar", "Dogwood", "Elm"]


def _run(home: Path, *arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(_APP, ["--home", str(home), "network", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def _ran(home: Path, *arguments: object) -> str:
    code, output = _run(home, *arguments)
    assert code == 0, output
    return output


@pytest.fixture(scope="module")
def program() -> NodeProgram:
    named = os.environ.get(_PROGRAM_VARIABLE)
    built = [Path(named)] if named else sorted(_BUILT.glob("*/geth"))
    if built:
        return identify_program(built[-1])
    try:
        return find_program()
    except NodeProgramError:
        pytest.skip(
            f"no node program: scripts/test builds geth where Go is installed; or {_PROGRAM_VARIABLE} names one"
        )


@pytest.fixture(autouse=True)
def _only_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands refuse variables that are not settings, such as the one that names the tests' node program."""
    monkeypatch.delenv(_PROGRAM_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def homes(program: NodeProgram, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """The homes of five companies (four with QBFT), whose chain nodes run."""
    folder = tmp_path_factory.mktemp("companies")
    names = _NAMES if program.kind.consensus is Consensus.CLIQUE else _NAMES[:4]
    reserved = PortReservation(2 * len(names))
    for place, name in enumerate(names):
        port, rpc_port = reserved.ports[2 * place : 2 * place + 2]
        _ran(folder / name, "join", "--name", name, "--host", "127.0.0.1", "--port", port, "--rpc-port", rpc_port)
    homes = [folder / name for name in names]
    requests = [home / "network" / "validator.json" for home in homes]
    _ran(folder / "operator", "init", *requests, "--kind", program.kind.name)
    file = folder / "operator" / "network" / "network.json"
    for home in homes:
        _ran(home, "join", file, "--program", program.path)
    try:
        for home in homes:
            said = _ran(home, "start", "--program", program.path)
            assert f"{home.name} answers at http://127.0.0.1:" in said
        yield homes
    finally:
        for home in homes:
            stop_recorded(NodeFolder(home / "network"))
        reserved.release()


def _status(home: Path) -> tuple[int, dict[str, Any]]:
    code, output = _run(home, "status", "--json")
    found = json.loads(output)
    assert isinstance(found, dict)
    return code, found


def _kill(home: Path) -> None:
    os.kill(int((home / "network" / "node.pid").read_text().rsplit("/", 2)[1]), signal.SIGKILL)


def _texts(home: Path) -> str:
    return "\n".join(finding["text"] for finding in _status(home)[1]["findings"])


def test_validators_are_killed_until_the_chain_halts_and_started_again(program: NodeProgram, homes: list[Path]) -> None:
    consensus, own = program.kind.consensus, homes[0]
    gone = homes[-(consensus.may_stop(len(homes)) + 1) :]
    # Clique's first block is made by a signer alone, and is old where the others start slowly: the chain stands then.
    wait_until(lambda: _status(own)[1]["block_number"] >= FIRST_BLOCKS)
    assert _status(own)[0] == 0  # too young for anybody to be silent
    for home in gone:
        _kill(home)
    stood = time.monotonic()
    wait_until(lambda: _status(own)[0] == 3)
    assert "HALTED" in _texts(own)
    assert all(home.name in _texts(own) for home in gone)
    halted = _status(own)[1]["block_number"]

    for home in gone[1:]:
        _ran(home, "start", "--program", program.path)
    # They seal again, and one is silent for two turns: at first perhaps another one too, which finds its peers late.
    told = f"is silent for {2 * len(homes)} blocks: {gone[0].name}; with one more, the chain"
    wait_until(lambda: told in _texts(own), MAX_S + _HALTS * (time.monotonic() - stood))
    code, output = _run(own, "status")
    assert code == 4
    assert told in output

    _ran(gone[0], "start", "--program", program.path)
    wait_until(lambda: _status(own)[0] == 0)
    assert _status(own)[1]["block_number"] > halted
    assert "all validators seal" in _ran(own, "status")


def test_a_vote_is_counted_until_there_are_enough(homes: list[Path]) -> None:
    newcomer = homes[0].parent / "Fir"
    _ran(newcomer, "join", "--name", "Fir", "--host", "127.0.0.1", "--port", 1, "--rpc-port", 2)
    operator = homes[0].parent / "operator"
    _ran(operator, "add", newcomer / "network" / "validator.json")
    for home in homes:
        _ran(home, "join", operator / "network" / "network.json")
    _ran(homes[0], "vote", "add", "Fir")
    wait_until(lambda: f"vote to add Fir: 1 of {len(homes) // 2 + 1} needed" in _texts(homes[-1]))
    _ran(homes[0], "vote", "withdraw", "Fir")


def test_what_was_started_is_stopped(homes: list[Path]) -> None:
    assert _ran(homes[1], "stop") == f"{homes[1].name} has stopped\n"
    assert not is_running(NodeFolder(homes[1] / "network"))
    assert _ran(homes[1], "stop") == f"{homes[1].name} did not run\n"
