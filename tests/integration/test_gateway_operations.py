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


class Company:
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
def company(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Company]:
    with serving(create_devchain(site.world.line.node)) as url:
        yield Company(site, url, tmp_path, Runner(tmp_path, monkeypatch, capsys))


def test_the_list_of_parts_is_what_a_backup_copies() -> None:
    rows = re.findall(r"^\| (.+) \| `(\S+)` \| (yes|no) \|$", PAGE, re.MULTILINE)
    assert rows == [(one.what, one.setting or one.name, "yes" if one.copied else "no") for one in PARTS]


def receive(site: Site, kind: str, count: int) -> None:
    for number in range(count):
        body = {"identifier": f"urn:example:{kind}-{number}", "quantity": 1, "unit": "H87"}
        assert site.post("/v1/lots/receive", body, f"request-{kind}-{number}").status_code == 202


def test_the_commands_of_the_page_as_printed(company: Company) -> None:
    site = company.site
    receive(site, "waiting", 2)
    with open_store(f"sqlite:///{company.home / 'ledger.db'}", company.home / "evidence") as store:
        add(store, count=300)
    away = company.folder / "away"
    for end in ("away", "empty"):
        (company.home / "evidence").rename(away)
        if end == "empty":
            (company.home / "evidence").mkdir()
        company.run.home = company.home
        assert (
            "is missing; set evidence_folder, and mount its disk"
            in company.run.refused("backup", str(company.folder / f"{end} backup"))[1]
        )
        refused = company.run.refused("backup", str(company.folder / f"{end} alone"), "--without-database")[1]
        assert f"has no {MARKER}; mount its disk" in refused
        if end == "empty":
            (company.home / "evidence").rmdir()
        away.rename(company.home / "evidence")
    lost, *_ = files_in(company.home / "evidence")
    lost.rename(away)
    assert (
        "is missing; set evidence_folder, and mount its disk"
        in company.run.refused("backup", str(company.folder / "lost"))[1]
    )
    away.rename(lost)
    (company.home / "products").mkdir()
    (company.home / "products" / "own.json").write_text("{}")
    said = company("backup BACKUP")
    assert "copied to" in said
    assert said.count(str(company.home / "secret")) == 1, "also if it is the passphrase of two keys"
    backup = Path(company.places["BACKUP"])
    assert set(json.loads((backup / "backup.json").read_text())["files"]) >= {"millmark.toml", "millmark.sqlite"}
    assert {path.stat().st_mode & 0o077 for path in backup.rglob("*")} == {0}
    site.send()
    receive(site, "later", 2)
    site.send()
    company("documents keys rotate")

    said = company("restore BACKUP")
    assert f"{company.folder / 'restored' / 'secret'}: its passphrase" in said
    assert (company.folder / "restored" / "products" / "own.json").read_text() == "{}"
    with open_store(
        f"sqlite:///{company.folder / 'restored' / 'ledger.db'}", company.folder / "restored/evidence"
    ) as kept:
        assert read_all(kept) == expected(300)
    code, err = company.run.refused("restore", str(backup))
    assert code == 2
    assert "exists already" in err
    company.places["ADDRESS"] = "0x" + site.signer.address.hex()
    code, told, _ = company.run("status", "--deep")
    assert (code, f"`millmark outbox adopt {company.places['ADDRESS']}`" in told) == (1, True)
    said = company("outbox adopt ADDRESS")
    assert "2 waiting records are final, 2 records were not known here" in said
    assert "0 transactions" in company("outbox adopt --relay ADDRESS")
    company("status --deep")
    with Store(build_engine(f"sqlite:///{company.folder / 'restored' / 'ledger.db'}")) as store:
        assert Outbox(store).counts() == {OutboxState.FINAL: len(Outbox(site.store).page(None, 99, None))}
        Follower(site.world.chain, store).follow()


def test_evidence_of_a_backup_that_was_changed_or_taken_is_refused(company: Company) -> None:
    with open_store(f"sqlite:///{company.home / 'ledger.db'}", company.home / "evidence") as store:
        add(store, count=1)
    company("backup BACKUP")
    backup = Path(company.places["BACKUP"])
    company.run.home = company.folder / "restored"
    [file] = files_in(backup / "evidence")
    content = file.read_bytes()
    file.write_bytes(content + b" ")
    assert "is not what was written" in company.run.refused("restore", str(backup))[1]
    file.unlink()
    assert "is missing" in company.run.refused("restore", str(backup))[1]
    assert not company.run.home.exists()
    file.write_bytes(content)
    assert company.run("restore", str(backup))[0] == 0


def test_a_backup_that_was_changed_or_not_finished_is_refused(company: Company) -> None:
    company("backup BACKUP")
    backup = Path(company.places["BACKUP"])
    with closing(sqlite3.connect(backup / "millmark.sqlite")) as database:
        database.execute("UPDATE identities SET identifier = 'urn:example:HEAT9'")
        database.execute("INSERT INTO participant_names VALUES (99, 'Somebody')")
        database.commit()
    company.run.home = company.folder / "restored"
    assert "was changed since the backup" in company.run.refused("restore", str(backup))[1]
    assert not company.run.home.exists()
    (backup / "backup.json").unlink()
    assert "is not a complete backup" in company.run.refused("restore", str(backup))[1]
    company.run.home = company.home
    assert "does not exist yet" in company.run.refused("backup", str(backup))[1]
