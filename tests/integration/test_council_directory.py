"""The directory of a consortium whose registry a council owns: signed by a member, published by a motion, believed by
the others."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millmark.ledger.chain import EmbeddedChain
from millmark.ledger.errors import MillmarkError
from millmark.ledger.keys import LocalSigner, write_private
from millmark.ledger.signatures import to_checksum
from millmark.services.cli import app
from millmark.services.devchain.server import create_devchain
from tests.support.loopback import serving

pytestmark = pytest.mark.integration

NAMES = ("Alder", "Birch", "Cedar", "Dogwood", "Elm")
DAY_S = 86_400


@dataclass(frozen=True)
class Governed:
    """Five companies, of which the first four are the council that owns the registry. All sign in one home."""

    engine: EmbeddedChain
    home: Path
    keys: list[str]
    """Options with which commands sign."""
    addresses: list[str]

    def ok(self, *arguments: str, home: Path | None = None) -> str:
        done = CliRunner().invoke(app, ["--home", str(home or self.home), *arguments], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    def refused(self, *arguments: str, home: Path | None = None) -> MillmarkError:
        with pytest.raises(MillmarkError) as refused:
            CliRunner().invoke(app, ["--home", str(home or self.home), *arguments], catch_exceptions=False)
        return refused.value

    def decide(self, *words: str) -> None:
        """Has a motion proposed, approved by two more, and executed after the council's delay."""
        found = re.match(r"motion (\d+): ", self.ok("council", "propose", *words, self.keys[0]))
        assert found
        for key in self.keys[2:4]:
            self.ok("council", "approve", found[1], key)
        head = self.engine._tester.get_block_by_number("latest")
        self.engine._tester.time_travel(int(head["timestamp"]) + DAY_S)  # no node lets its clock be set from outside
        self.ok("council", "execute", found[1], self.keys[3])

    def publish(self, key: str, output: Path) -> str:
        """`directory publish` of a member, with the motion that it asks for."""
        asked = self.refused("directory", "publish", key)
        assert asked.cause == "the directory is signed, and a council owns the registry"
        found = re.fullmatch(r"run `millmark council propose (publish 1 0x[0-9a-f]{64})`, then this again", asked.hint)
        assert found
        self.decide(*found[1].split())
        return self.ok("directory", "publish", key, f"--output={output}")


@pytest.fixture
def governed(tmp_path: Path) -> Iterator[Governed]:
    engine, home = EmbeddedChain(), tmp_path / "home"
    home.mkdir()
    with serving(create_devchain(engine)) as url:
        (home / "millmark.toml").write_text(f'chain_url = "{url}"\n')
        secrets = [bytes([place]) * 32 for place in range(1, len(NAMES) + 2)]
        for place, secret in enumerate(secrets):
            write_private(home / f"{place}.key", secret.hex().encode())
        owner, *keys = (f"--signer=file:{home / f'{place}.key'}" for place in range(len(secrets)))
        addresses = [to_checksum(LocalSigner.from_bytes(secret).address) for secret in secrets[1:]]
        one = Governed(engine, home, keys, addresses)
        one.ok("deploy", owner)
        for place, name in enumerate(NAMES):
            one.ok("participants", "admit", name, addresses[place], "--roles=COORDINATOR,BUYER", owner)
            one.ok("keys", "accept", str(place + 1), keys[place])
        one.ok("council", "install", "--members=1,2,3,4", "--quorum=3", "--delay-days=1", owner)
        one.decide("accept-ownership")
        yield one


def _join(governed: Governed, folder: Path) -> Path:
    """The home of a company that only reads the ledger."""
    folder.mkdir()
    for name in ("millmark.toml", "deployment.json"):
        shutil.copy(governed.home / name, folder / name)
    return folder


def test_a_council_publishes_what_a_member_signed_and_the_others_believe_it(governed: Governed, tmp_path: Path) -> None:
    file, elm, late = tmp_path / "directory.json", _join(governed, tmp_path / "elm"), _join(governed, tmp_path / "late")
    assert governed.refused("directory", "publish", governed.keys[4]).cause == "the key does not own the registry"
    assert governed.publish(governed.keys[1], file).startswith("directory of 5 companies published: 0x")
    # What is published says all there is: another member signs and proposes nothing.
    assert "unchanged" in governed.ok("directory", "publish", governed.keys[2])

    assert governed.ok("directory", "import", str(file), home=elm) == "5 companies have names\n"
    shown = json.loads(governed.ok("directory", "show", "--json", home=elm))
    assert (shown["signer"], shown["latest"]) == (governed.addresses[1], True)
    assert [one["name"] for one in shown["entries"]] == list(NAMES)

    # Birch signed it, and leaves the council: who has not taken it over until then does not any more, so another signs.
    governed.decide("set-members", "1,3,4,5", "3")
    assert "not by the operator" in governed.refused("directory", "import", str(file), home=late).cause
    assert "published" in governed.publish(governed.keys[2], file)
    for home in (elm, late):
        assert governed.ok("directory", "import", str(file), home=home) == "5 companies have names\n"
