"""The command line against a real devchain in another process: companies join, keys change, everything survives."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from millmark.ledger.chain import read_deployment
from millmark.ledger.ids import SubjectKind
from millmark.ledger.keys import LocalSigner, create_keystore, write_private
from millmark.ledger.names import NameKey, derive_identity
from millmark.ledger.signatures import to_checksum
from tests.support.command_line import run_millmark
from tests.support.processes import running_devchain

pytestmark = pytest.mark.integration

PASSPHRASE = "canary-9f3b"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home folder whose chain is a devchain process of its own."""
    with running_devchain() as url:
        (tmp_path / "millmark.toml").write_text(f'chain_url = "{url}"\n')
        secret = tmp_path / "secret"
        secret.touch(mode=0o600)
        secret.write_text(PASSPHRASE)
        yield tmp_path


def _key(home: Path, name: str) -> tuple[str, list[str]]:
    """Address, and the options with which a command signs."""
    path = home / f"{name}.json"
    address = create_keystore(path, PASSPHRASE, signer=LocalSigner.generate(), scrypt_cost=2)
    return to_checksum(address), [f"--signer=keystore:{path}", f"--passphrase-file={home / 'secret'}"]


def _run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = run_millmark("--home", home, *arguments)
    assert "Traceback" not in done.stderr
    assert PASSPHRASE not in done.stdout + done.stderr
    return done


def _ok(home: Path, *arguments: str) -> str:
    done = _run(home, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _refused(home: Path, *arguments: str) -> str:
    done = _run(home, *arguments)
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_a_company_joins_and_changes_its_keys(home: Path) -> None:
    (_, owner), (first, company), (second, successor) = (_key(home, name) for name in ("owner", "first", "second"))
    _ok(home, "deploy", *owner)
    assert _ok(home, "participants", "admit", "Alder", first, "--roles=MANUFACTURER,BUYER", *owner).startswith(
        "participant 1"
    )
    assert "RegistryKeyUnknown" in _refused(home, "keys", "revoke", first, *company)
    _ok(home, "keys", "accept", "1", *company)

    assert "RegistryLastAdminKey" in _refused(home, "keys", "revoke", first, *company)
    assert "OwnableUnauthorizedAccount" in _refused(home, "participants", "suspend", "1", *company)
    assert "RegistryKeyNotProposed" in _refused(home, "keys", "accept", "1", *successor)

    _ok(home, "keys", "propose", second, "--roles=MANUFACTURER", *company)
    _ok(home, "keys", "accept", "1", *successor)
    assert "RegistryKeyNotAdmin" in _refused(home, "keys", "revoke", first, *successor)
    _ok(home, "keys", "set", second, "--roles=MANUFACTURER", "--admin", *company)
    _ok(home, "keys", "revoke", first, *successor)
    assert "RegistryKeyRevoked" in _refused(home, "keys", "propose", "0x" + "ab" * 20, "--roles=BUYER", *company)

    [listed] = json.loads(_ok(home, "participants", "list", "--json"))["participants"]
    assert (listed["name"], listed["roles"]) == ("Alder", ["buyer", "manufacturer"])
    [key] = listed["keys"]
    assert (key["address"], key["roles"], key["admin"]) == (second.lower(), ["manufacturer"], True)
    _check_name_key(home, successor)

    _ok(home, "participants", "suspend", "1", *owner)
    assert "RegistryParticipantSuspended" in _refused(
        home, "keys", "propose", "0x" + "ab" * 20, "--roles=BUYER", *successor
    )
    _ok(home, "participants", "reinstate", "1", *owner)
    _ok(home, "participants", "leave", *successor)
    assert "departed" in _ok(home, "participants", "list")
    _ok(home, "participants", "reinstate", "1", *owner)

    third, heir = _key(home, "third")
    _ok(home, "participants", "recover", "1", third, *owner)
    assert "RegistryRecoveryEarly" in _refused(home, "keys", "accept-recovery", "1", *heir)
    _ok(home, "keys", "object", *successor)
    assert "RegistryRecoveryObjected" in _refused(home, "keys", "object", *successor)
    assert "RegistryRecoveryEarly" in _refused(home, "participants", "overrule", "1", *owner)
    [listed] = json.loads(_ok(home, "participants", "list", "--json"))["participants"]
    assert (listed["recovery"]["key"], listed["recovery"]["objected"]) == (third.lower(), True)

    status = json.loads(_ok(home, "status", "--json"))
    assert status["equal"] is True
    assert status["chain"]["registry_sequence"] == status["index"]["registry_sequence"] == 13
    assert "queued" not in status["outbox"]


def _check_name_key(home: Path, admin: Sequence[str]) -> None:
    """A name key is registered once, and names things as the library does."""
    names = home / "names.key"
    write_private(names, b"11" * 32)
    registered = _ok(home, "keys", "name", f"file:{names}", *admin)
    assert registered.strip() == f"the name key is 0x{NameKey(bytes([17]) * 32).hash.hex()}"
    assert "RegistryNameKeyUsed" in _refused(home, "keys", "name", f"file:{names}", *admin)
    options = ("--participant=1", f"--name-key=file:{names}")
    derived = json.loads(_ok(home, "keys", "derive", "lot", "URN:EXAMPLE:a", *options))
    named = derive_identity(
        read_deployment(home / "deployment.json"), [NameKey(bytes([17]) * 32)], SubjectKind.LOT, 1, "urn:example:a"
    )
    assert derived["salt"] == "0x" + named.salt.hex()
    assert derived["subject"] == "0x" + named.subject.hex()


def test_another_chain_behind_the_same_files_is_refused(home: Path) -> None:
    _, owner = _key(home, "owner")
    _ok(home, "deploy", *owner)
    deployment = json.loads((home / "deployment.json").read_text())

    (home / "deployment.json").write_text(json.dumps({**deployment, "chain_id": 1}))
    assert "is on chain 1" in _refused(home, "status")

    (home / "deployment.json").write_text(json.dumps({**deployment, "ledger": deployment["registry"]}))
    assert "is not that of TraceLedger" in _refused(home, "status")

    (home / "deployment.json").write_text(json.dumps({**deployment, "registry": "0x" + "00" * 19 + "07"}))
    assert f"this node has no contract at 0x{'00' * 19}07, address of Registry: it is of another network" in _refused(
        home, "status"
    )
