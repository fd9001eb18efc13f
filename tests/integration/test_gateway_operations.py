"""gateway/OPERATIONS.md: its commands run as printed, and its list is what makes up a home."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from millmark import services
from millmark.ledger.chain import write_deployment
from millmark.ledger.index import Follower
from millmark.ledger.store import Store
from millmark.ledger.store.database import build_engine
from millmark.ledger.store.evidence_files import MARKER
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState
from millmark.services.backup import PARTS
from millmark.services.devchain import create_devchain
from millmark.services.store import open_store
from tests.support.command_line import Runner
from tests.support.company_site import Site, open_site
from tests.support.loopback import serving
from tests.unit.ledger.test_evidence_files import add, expected, files_in, read_all

pytestmark = pytest.mark.integration

PAGE = (Path(services.__file__).parent / "gateway" / "OPERATIONS.md").read_text()
COMMANDS = re.findall(r"^    millmark (.+)$", PAGE, re.MULTILINE)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "home").mkdir()
    yield from open_site(tmp_path / "home")


class Office:
    """A home with a gateway's database, whose chain is served, and the commands of the page."""

    def __init__(self, site: Site, url: str, folder: Path, run: Runner) -> None:
        self.site, self.folder, self.run = site, folder, run
        self.home, self.places = folder / "home", {"BACKUP": str(folder / "monday"), "ADDRESS": ""}
        settings = f'chain_url = "{url}"\ndatabase = "sqlite:///ledger.db"\ngateway_passphrase_file = "secret"\n'
        settings += 'gateway_name_passphrase_file = "secret"\nevidence_folder = "evidence"\n'
        (self.home / "evidence").mkdir()
        (self.home / "secret").write_text("of both keys")
        (self.home / "millmark.toml").write_text(settings)
        write_deployment(self.home / "deployment.json", site.world.chain.deployment)

    def __call__(self, start: str) -> str:
        """Runs the first command of the page that begins so, as printed, with the names replaced."""
        printed = next(one for one in COMMANDS if re.sub(r"^--home \w+ ", "", one).startswith(start))
        words = [self.places.get(word, word) for word in shlex.split(printed)]
        assert words[0] == "--home"
        self.run.home = self.folder / words[1].lower()
        code, out, err = self.run(*words[2:])
        assert code == 0, out + err
        return out


@pytest.fixture
def office(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Office]:
    with serving(create_devchain(site.world.line.node)) as url:
        yield Office(site, url, tmp_path, Runner(tmp_path, monkeypatch, capsys))


def test_the_list_of_parts_is_what_a_backup_copies() -> None:
    rows = re.findall(r"^\| (.+) \| `(\S+)` \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert rows == [(one.what, one.setting or one.name, "yes" if one.copied else "no") for one in PARTS]


def receive(site: Site, kind: str, count: int) -> None:
    for number in range(count):
        body = {"identifier": f"urn:example:{kind}-{number}", "quantity": 1, "unit": "H87"}
        assert site.post("/v1/lots/receive", body, f"request-{kind}-{number}").status_code == 202


def test_the_commands_of_the_page_as_printed(office: Office) -> None:
    site = office.site
    receive(site, "waiting", 2)
    with open_store(f"sqlite:///{office.home / 'ledger.db'}", office.home / "evidence") as store:
        add(store, count=300)
    away = office.folder / "away"
    for end in ("away", "empty"):
        (office.home / "evidence").rename(away)
        if end == "empty":
            (office.home / "evidence").mkdir()
        office.run.home = office.home
        assert (
            "is missing; set evidence_folder, and mount its disk"
            in office.run.refused("backup", str(office.folder / f"{end} backup"))[1]
        )
        refused = office.run.refused("backup", str(office.folder / f"{end} alone"), "--without-database")[1]
        assert f"has no {MARKER}; mount its disk" in refused
        if end == "empty":
            (office.home / "evidence").rmdir()
        away.rename(office.home / "evidence")
    lost, *_ = files_in(office.home / "evidence")
    lost.rename(away)
    assert (
        "is missing; set evidence_folder, and mount its disk"
        in office.run.refused("backup", str(office.folder / "lost"))[1]
    )
    away.rename(lost)
    (office.home / "products").mkdir()
    (office.home / "products" / "own.json").write_text("{}")
    said = office("backup BACKUP")
    assert "copied to" in said
    assert said.count(str(office.home / "secret")) == 1, "also if it is the passphrase of two keys"
    backup = Path(office.places["BACKUP"])
    assert set(json.loads((backup / "backup.json").read_text())["files"]) >= {"millmark.toml", "millmark.sqlite"}
    assert {path.stat().st_mode & 0o077 for path in backup.rglob("*")} == {0}
    site.send()
    receive(site, "later", 2)
    site.send()
    office("documents keys rotate")

    said = office("restore BACKUP")
    assert f"{office.folder / 'restored' / 'secret'}: its passphrase" in said
    assert (office.folder / "restored" / "products" / "own.json").read_text() == "{}"
    with open_store(
        f"sqlite:///{office.folder / 'restored' / 'ledger.db'}", office.folder / "restored/evidence"
    ) as kept:
        assert read_all(kept) == expected(300)
    code, err = office.run.refused("restore", str(backup))
    assert code == 2
    assert "exists already" in err
    office.places["ADDRESS"] = "0x" + site.signer.address.hex()
    code, told, _ = office.run("status", "--deep")
    assert (code, f"`millmark outbox adopt {office.places['ADDRESS']}`" in told) == (1, True)
    said = office("outbox adopt ADDRESS")
    assert "2 waiting records are final, 2 records were not known here" in said
    assert "0 transactions" in office("outbox adopt --relay ADDRESS")
    office("status --deep")
    with Store(build_engine(f"sqlite:///{office.folder / 'restored' / 'ledger.db'}")) as store:
        assert Outbox(store).counts() == {OutboxState.FINAL: len(Outbox(site.store).page(None, 99, None))}
        Follower(site.world.chain, store).follow()


def test_evidence_of_a_backup_that_was_changed_or_taken_is_refused(office: Office) -> None:
    with open_store(f"sqlite:///{office.home / 'ledger.db'}", office.home / "evidence") as store:
        add(store, count=1)
    office("backup BACKUP")
    backup = Path(office.places["BACKUP"])
    office.run.home = office.folder / "restored"
    [file] = files_in(backup / "evidence")
    content = file.read_bytes()
    file.write_bytes(content + b" ")
    assert "is not what was written" in office.run.refused("restore", str(backup))[1]
    file.unlink()
    assert "is missing" in office.run.refused("restore", str(backup))[1]
    assert not office.run.home.exists()
    file.write_bytes(content)
    assert office.run("restore", str(backup))[0] == 0


def test_a_backup_that_was_changed_or_not_finished_is_refused(office: Office) -> None:
    office("backup BACKUP")
    backup = Path(office.places["BACKUP"])
    with closing(sqlite3.connect(backup / "millmark.sqlite")) as database:
        database.execute("UPDATE identities SET identifier = 'urn:example:HEAT9'")
        database.execute("INSERT INTO participant_names VALUES (99, 'Somebody')")
        database.commit()
    office.run.home = office.folder / "restored"
    assert "was changed since the backup" in office.run.refused("restore", str(backup))[1]
    assert not office.run.home.exists()
    (backup / "backup.json").unlink()
    assert "is not a complete backup" in office.run.refused("restore", str(backup))[1]
    office.run.home = office.home
    assert "does not exist yet" in office.run.refused("backup", str(backup))[1]
