"""The command line of those who own the registry together, against a devchain served on loopback."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millmark.ledger.errors import ContractRefusedError, NotFoundError, SubmitError
from millmark.ledger.keys import LocalSigner, write_private
from millmark.ledger.signatures import to_checksum
from millmark.services.cli import app
from millmark.services.devchain.server import create_devchain
from tests.support.loopback import serving

pytestmark = pytest.mark.integration

SUCCESSOR = "0x" + "51" * 20


@dataclass(frozen=True)
class Founded:
    """A ledger with five companies: the owner's option to sign, and theirs."""

    home: Path
    owner: str
    keys: list[str]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Founded]:
    home = tmp_path_factory.mktemp("council")
    with serving(create_devchain()) as url:
        (home / "millmark.toml").write_text(f'chain_url = "{url}"\n')
        yield _found(home)


def _key(home: Path, name: str) -> tuple[str, str]:
    """Address, and the option with which a command signs."""
    secret, path = secrets.token_bytes(32), home / f"{name}.key"
    write_private(path, secret.hex().encode())
    return to_checksum(LocalSigner.from_bytes(secret).address), f"--signer=file:{path}"


def _ok(home: Path, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["--home", str(home), *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def _refused(home: Path, *arguments: str) -> str:
    with pytest.raises((ContractRefusedError, NotFoundError, SubmitError)) as refused:
        CliRunner().invoke(app, ["--home", str(home), *arguments], catch_exceptions=False)
    return str(refused.value)


def _found(home: Path) -> Founded:
    _, owner = _key(home, "owner")
    _ok(home, "deploy", owner)
    keys = []
    for number, name in enumerate(("Alder", "Birch", "Cedar", "Dogwood", "Elm"), start=1):
        address, key = _key(home, name)
        _ok(home, "participants", "admit", name, address, "--roles=COORDINATOR,BUYER", owner)
        _ok(home, "keys", "accept", str(number), key)
        keys.append(key)
    return Founded(home, owner, keys)


def test_four_companies_propose_approve_and_wait(founded: Founded) -> None:
    home, owner, (first, second, third, fourth, stranger) = founded.home, founded.owner, founded.keys
    assert "council" in _refused(home, "council", "status")
    assert "CouncilSizeWrong" in _refused(home, "council", "install", "--members=1,2,3", "--quorum=2", owner)
    _ok(home, "council", "install", "--members=1,2,3,4", "--quorum=3", owner)
    assert "is offered the registry" in _ok(home, "council", "status")

    assert "CouncilNotMember" in _refused(home, "council", "propose", "accept-ownership", stranger)
    assert _ok(home, "council", "propose", "accept-ownership", first).startswith("motion 1: accept-ownership")
    assert _ok(home, "council", "propose", "entrust", "5", "4", second).startswith("motion 2: entrust 5 4")
    _ok(home, "council", "approve", "1", second)
    _ok(home, "council", "approve", "1", third)
    assert "CouncilMotionEarly" in _refused(home, "council", "execute", "1", fourth)
    _ok(home, "council", "approve", "2", third)
    _ok(home, "council", "retract", "2", third)

    status = json.loads(_ok(home, "council", "status", "--json"))
    assert (status["owns"], status["members"], status["quorum"]) == (False, [1, 2, 3, 4], 3)
    latest, oldest = status["motions"]
    assert (latest["call"], latest["state"], latest["approvals"]) == ("entrust 5 4", "open", [2])
    assert (oldest["call"], oldest["state"], oldest["approvals"]) == ("accept-ownership", "waiting", [1, 2, 3])


def test_a_company_names_a_key_and_the_owner_closes(founded: Founded) -> None:
    home, owner, first = founded.home, founded.owner, founded.keys[0]
    names = home / "names.key"
    write_private(names, b"11" * 32)
    _ok(home, "keys", "name", f"file:{names}", first)
    _ok(home, "participants", "close", SUCCESSOR, "--yes", owner)
    assert "RegistryClosed" in _refused(home, "participants", "close", SUCCESSOR, "--yes", owner)
    assert json.loads(_ok(home, "status", "--json"))["equal"] is True
