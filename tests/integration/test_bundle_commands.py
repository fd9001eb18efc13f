"""From a devchain to a partner's desk by the command line alone: status, checkpoint, trust, bundle, verify."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from millmark.ledger.bundle import parse_bundle
from millmark.ledger.chain import write_deployment
from millmark.ledger.index import Follower
from millmark.ledger.keys import LocalSigner
from millmark.ledger.store import Store
from millmark.services.devchain import create_devchain
from tests.support.bundle_world import BundleWorld, copy_bundle_world, keep_secrets
from tests.support.command_line import Runner
from tests.support.loopback import serving
from tests.support.stores import copy_database, new_store

pytestmark = pytest.mark.integration

PART = "urn:example:hip-1"


@dataclass
class Company:
    """A home folder of a company that keeps the world's book, on a devchain."""

    run: Runner
    world: BundleWorld

    def path(self, name: str) -> str:
        return str(self.run.home / name)

    def json(self, *arguments: str, code: int = 0) -> dict[str, object]:
        exit_code, out, err = self.run(*arguments, "--json")
        assert exit_code == code, err
        found: dict[str, object] = json.loads(out)
        return found

    def signed(self, place: int) -> str:
        key = self.run.home / f"key-{place}"
        key.touch(mode=0o600)
        signer = self.world.consortium.companies[place].signer
        assert isinstance(signer, LocalSigner)
        key.write_text(signer.unsafe_secret().hex())
        output = self.path(f"signed-{place}.json")
        self.json("checkpoint", "sign", self.path("block.json"), f"--signer=file:{key}", "-o", output)
        return output

    def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.path("ledger.db"))) as database:
            assert database.execute(statement).rowcount
            database.commit()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BundleWorld, Store, str]]:
    with new_store(tmp_path_factory.mktemp("source")) as store:
        world, engine = copy_bundle_world(store)
        keep_secrets(world, store)
        Follower(world.consortium.chain, store).follow()
        with serving(create_devchain(engine)) as url:
            yield world, store, url


@pytest.fixture
def company(
    source: tuple[BundleWorld, Store, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Company:
    world, store, url = source
    with new_store(tmp_path) as copy:
        copy_database(store, copy)
    (tmp_path / "millmark.toml").write_text(f'chain_url = "{url}"\ndatabase = "sqlite:///ledger.db"\n')
    write_deployment(tmp_path / "deployment.json", world.consortium.chain.deployment)
    return Company(Runner(tmp_path, monkeypatch, capsys), world)


def test_a_partner_with_a_node_verifies_a_bundle(company: Company) -> None:
    bundle, trust = company.path("part.bundle"), company.path("trust.json")
    made = company.json("bundle", PART, "-o", bundle, "--disclose", "names")
    assert (made["bytes"], made["withheld_records"]) == (Path(bundle).stat().st_size, 1)
    company.json("trust", "-o", trust, "--block", str(made["block_number"]))
    assert company.json("verify", bundle, "--trust", trust)
    code, out, _ = company.run("bundle", PART, "-o", bundle)
    assert code == 0
    assert "1 more withheld" in out
    # With the block: on a chain that goes on, a later one would not lead to the bundle's.
    assert f"next: millmark trust -o trust.json --block {made['checkpoint_number']}, and" in out


def test_a_partner_without_a_node_verifies_what_companies_signed(company: Company) -> None:
    bundle, trust, point = (company.path(name) for name in ("part.bundle", "trust.json", "checkpoint.json"))
    company.json("trust", "-o", trust, "--quorum", "2")
    company.json("checkpoint", "fetch", "-o", company.path("block.json"))
    company.json("checkpoint", "combine", company.signed(0), company.signed(1), "-o", point, "--trust", trust)
    company.json("bundle", PART, "-o", bundle, "--checkpoint", point)
    assert company.json("verify", bundle, "--trust", trust)
    company.json("bundle", PART, "-o", bundle, "--checkpoint", company.signed(1))
    code, _, err = company.run("verify", bundle, "--trust", trust)
    assert code == 1
    assert "1 of the 2 required participants" in err


def test_what_is_disclosed_is_chosen_on_the_command_line(company: Company) -> None:
    bundle = company.path("part.bundle")
    company.json("bundle", PART, "-o", bundle, "--disclose", "/supplier", "--disclose", "inferences", "--unrelated")
    found = parse_bundle(Path(bundle).read_bytes())
    assert b"Heath Steel" in Path(bundle).read_bytes()
    assert len(found.identities) == 1
    assert found.inferences
    assert all(isinstance(link, int) for history in found.histories for link in history.records)


def test_a_regulator_verifies_a_recall(company: Company) -> None:
    """Of a model, whose lots only the index knows; and of a lot, of which the bundle proves all that came of it."""
    bundle, trust = company.path("recall.bundle"), company.path("trust.json")
    company.json("trust", "-o", trust)
    for asked in (("--model", str(company.world.model)), ("--lot", "urn:example:bar")):
        found: Any = company.json("recall", *asked, "--bundle", bundle)
        assert [file["file"] for file in found["bundles"]] == [bundle]
        assert company.run("verify", bundle, "--trust", trust)[0] == 1
        answer: Any = company.json("verify", bundle, "--trust", trust, "--any-status")
        said = answer["statements"]
        assert {one["subject"] for one in said if one["code"] == "part"} == {lot["subject"] for lot in found["lots"]}
        assert {one["values"].get("certificate") for one in said} >= {
            one["certificate"] for one in found["certificates"]
        }
    code, out, _ = company.run("recall", "--model", str(company.world.model), "--bundle", bundle)
    assert code == 0
    assert "not proved: that these are all lots of that model" in out
    code, out, _ = company.run("recall", "--lot", "urn:example:bar", "--bundle", bundle)
    assert code == 0
    assert "not proved" not in out


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--checkpoint", "{home}/block.json"), "--checkpoint needs --bundle"),
        (("--bundle", "{home}/none/x"), "cannot be written"),
        (("--bundle", "{home}/x", "--checkpoint", "{home}/none"), "cannot be read"),
    ],
)
def test_a_recall_that_cannot_be_proved_says_why(company: Company, arguments: tuple[str, ...], why: str) -> None:
    asked = ("recall", "--lot", "urn:example:bar", *(part.format(home=company.run.home) for part in arguments))
    code, err = company.run.refused(*asked)
    assert (code, why in err) == (2, True), err


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("urn:example:hip-1", "-o", "{home}/none/x"), 2, "cannot be written"),
        (("urn:example:hip-1", "-o", "{home}/x", "--disclose", "all"), 2, "anything that can be disclosed"),
        (("urn:example:hip-1", "-o", "{home}/x", "--checkpoint", "{home}/none"), 2, "cannot be read"),
        (("urn:example:hip-1", "-o", "{home}/x", "--checkpoint", "{home}/millmark.toml"), 2, "checkpoint file"),
        (("hip 1", "-o", "{home}/x"), 2, "percent-encode"),
        (("urn:example:nobody", "-o", "{home}/x"), 1, "not known here"),
    ],
)
def test_other_uses_write_nothing(company: Company, arguments: tuple[str, ...], code: int, why: str) -> None:
    found, err = company.run.refused("bundle", *(part.format(home=company.run.home) for part in arguments))
    assert (found, why in err) == (code, True), err
    assert not Path(company.path("x")).exists()


def test_a_tampered_index_writes_nothing_and_a_rebuild_mends_it(company: Company) -> None:
    company.execute("UPDATE records SET block_time = block_time + 1 WHERE kind = 'CertificateIssued'")
    code, _, err = company.run("bundle", PART, "-o", company.path("x"))
    assert code == 1
    assert err.count("\n") == 1
    assert not Path(company.path("x")).exists()
    assert company.run("rebuild")[0] == 0
    assert company.run("status")[0] == 0
    company.json("bundle", PART, "-o", company.path("x"))


def test_status_says_that_the_index_is_the_chain_s(company: Company) -> None:
    status = company.json("status")
    check, chain = status["check"], status["chain"]
    assert isinstance(check, dict)
    assert isinstance(chain, dict)
    assert (check["differences"], check["findings"]) == (0, [])
    code, out, _ = company.run("status")
    assert code == 0
    assert "heads equal the chain's at block" in out
    # What a node does not tell is in the JSON alone.
    assert chain["highest_block"] is None
    assert "late_rounds 0" in out
    assert "None" not in out


def test_at_each_checkpoint_the_index_is_compared_with_the_chain(company: Company) -> None:
    def err_of(*arguments: str) -> str:
        code, _, err = company.run("checkpoint", *arguments)
        assert code == 0, err
        return err

    assert err_of("fetch", "-o", company.path("block.json")) == ""
    company.signed(0)
    company.execute("UPDATE records SET participant = participant + 1 WHERE kind = 'CertificateIssued'")
    told = err_of("fetch", "-o", company.path("block.json"))
    assert (told.count("\n"), "the index differs from the chain" in told) == (1, True)
    assert "the index differs" in err_of(
        "sign", company.path("block.json"), f"--signer=file:{company.path('key-0')}", "-o", company.path("again.json")
    )
    code, out, err = company.run("status")
    assert (code, err, "`millmark rebuild`" in out) == (1, "", True)
    assert company.run("rebuild")[0] == 0
    assert err_of("fetch", "-o", company.path("block.json")) == ""


def test_status_names_what_differs(company: Company) -> None:
    company.execute("UPDATE heads SET length = length + 1 WHERE subject = (SELECT min(subject) FROM heads)")
    code, out, _ = company.run("status")
    assert code == 1
    assert "the stored head of 0x" in out
    assert "1 differences; `millmark rebuild`" in out


def test_the_deep_status_finds_what_follows_from_records_alone(company: Company) -> None:
    company.execute("UPDATE lots SET quantity = quantity + 1 WHERE subject = (SELECT min(subject) FROM lots)")
    assert company.run("status")[0] == 0
    found = company.json("status", "--deep", code=1)["check"]
    assert isinstance(found, dict)
    assert found["differences"] == 1
    assert found["findings"][0].startswith("lot 0x")
