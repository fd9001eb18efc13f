"""An inspector lies about a part; whoever holds the measurement has the chain itself say so. All by commands."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import pytest

from millmark.ledger.chain import EmbeddedChain, HttpTransport, write_deployment
from millmark.ledger.errors import SubmitError
from millmark.ledger.evidence import build_inference_context
from millmark.ledger.keys import LocalSigner, create_keystore
from millmark.ledger.records import (
    AcceptKey,
    Admit,
    DemandOpening,
    IssueCertificate,
    Item,
    OfferCustody,
    RevokeCertificate,
    Role,
    Statement,
    Verdict,
    WaiveGate,
)
from millmark.ledger.store import Book
from millmark.ledger.submit import Submitter
from millmark.quality import Inspector, build_model
from millmark.quality.inference import Inference
from millmark.services.demo.consortium import NOTHING, Company, Consortium, found_consortium
from millmark.services.demo.plant import Plant, build_plant
from millmark.services.demo.production import Job, Line, make_parts, place_orders
from millmark.services.devchain import create_devchain
from millmark.services.store import open_store
from tests.support.command_line import run_millmark
from tests.support.loopback import serving
from tests.support.quality_samples import tiny_network

pytestmark = pytest.mark.integration

PASSPHRASE = "canary-71c2"
SICK, SOUND = (5, 2), (1, 2)
"""Windows whose logits are 11 and 3; the threshold is 10."""


@dataclass(slots=True)
class Commands:
    """A home folder, the consortium whose ledger it follows, and a line that made two parts."""

    home: Path
    engine: EmbeddedChain
    consortium: Consortium
    plant: Plant

    def sign(self, company: Company) -> list[str]:
        """Options with which a command signs for a company."""
        path = self.home / f"{company.number}.json"
        if not path.exists():
            create_keystore(path, PASSPHRASE, signer=company.signer, scrypt_cost=2)
        return [f"--signer=keystore:{path}", f"--passphrase-file={self.home / 'secret'}"]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = run_millmark("--home", self.home, *arguments)
        assert "Traceback" not in done.stderr
        assert PASSPHRASE not in done.stdout + done.stderr
        return done

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode != 0, done.stdout
        return done.stderr


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    home = tmp_path_factory.mktemp("desk")
    secret = home / "secret"
    secret.touch(mode=0o600)
    secret.write_text(PASSPHRASE)
    (home / "tiny.bin").write_bytes(build_model(tiny_network()))
    engine = EmbeddedChain()
    with serving(create_devchain(engine)) as url, open_store(f"sqlite:///{home / 'desk.sqlite'}") as store:
        (home / "millmark.toml").write_text(f'chain_url = "{url}"\ndatabase = "sqlite:///desk.sqlite"\n')
        consortium = found_consortium(store, HttpTransport(url))
        write_deployment(home / "deployment.json", consortium.chain.deployment)
        forda = (resources.files("millmark.quality") / "models" / "forda.bin").read_bytes()
        yield Commands(home, engine, consortium, build_plant(consortium, forda, "{}"))


@pytest.fixture(scope="module")
def line(commands: Commands) -> Line:
    """Four parts whose orders' gate is a published model; one lied about, three honestly passed."""
    printed = commands.ok(
        "quality", "publish", str(commands.home / "tiny.bin"), *commands.sign(commands.consortium.inspector)
    )
    commands.plant.model = int(printed.split()[1].rstrip(","))
    commands.plant.inspector = Inspector((commands.home / "tiny.bin").read_bytes())
    commands.ok("quality", "approve", str(commands.plant.model), *commands.sign(commands.consortium.auditor))
    line = place_orders(commands.consortium, commands.plant, 4, int(time.time()))
    make_parts(line)
    for job, window in zip(line.jobs, (SICK, SOUND, SOUND, SOUND), strict=True):
        certify_as_good(line, job, window)
    return line


def certify_as_good(line: Line, job: Job, window: tuple[int, int]) -> None:
    """States PASS, whatever the model says, and a digest that commits to that."""
    bench, consortium = line.plant.bench, line.consortium
    salt = secrets.token_bytes(32)
    entry = bench.cut(job.lot, window, salt)
    consortium.record(consortium.inspector, [bench.anchor()])
    context = build_inference_context(
        chain_id=consortium.chain.chain_id,
        ledger=consortium.chain.ledger,
        lot=job.lot,
        stream=bench.stream,
        leaf_index=entry.index,
        leaf=entry.leaf_hash,
    )
    true = line.plant.inspector.inspect(window, context=context, salt=salt)
    stated = Inference(context, true.model_digest, true.salt, true.window, true.logits, type(true.verdict).PASS)
    statement = Statement(
        items=(Item(job.lot, job.order.subject),),
        model=line.plant.model,
        verdict=Verdict.PASS,
        expires_at=int(time.time()) + 10**6,
        inference_digest=stated.digest,
        claims_root=NOTHING,
        stream=bench.stream,
        leaf_index=entry.index,
        leaf_hash=entry.leaf_hash,
    )
    [certificate] = consortium.record(consortium.inspector, [IssueCertificate(statement)])
    with consortium.store.transaction() as connection:
        Book(connection).put_inference(certificate, true.salt, true.window, true.logits)
        book = Book(connection)
        book.add_evidence(bench.stream, bench.log.entries[book.evidence_size(bench.stream) :])


def _name(job: Job) -> str:
    assert job.part is not None
    return job.part.identifier


def test_a_lie_is_found_by_the_auditor_and_refuted_on_chain(commands: Commands, line: Line) -> None:
    job, auditor = line.jobs[0], commands.sign(commands.consortium.auditor)
    extract = commands.home / "extract.json"
    commands.ok("quality", "extract", _name(job), "-o", str(extract))
    audited = subprocess.run(
        [sys.executable, "-m", "millmark.quality", "audit", str(extract)],
        capture_output=True,
        text=True,
        env=os.environ,
    )
    assert (audited.returncode, audited.stderr) == (1, "error: verdict mismatch: stated PASS, computed FAIL\n")

    asked = commands.run("quality", "challenge", _name(job), f"--extract={extract}", *auditor)
    assert "becomes public permanently" in asked.stderr
    assert "verdict mismatch" in asked.stderr
    assert asked.returncode == 130  # nobody said yes
    assert json.loads(commands.ok("trace", _name(job), "--json"))["certificates"][0]["status"] == "valid"

    assert "is refuted" in commands.ok("quality", "challenge", _name(job), f"--extract={extract}", "--yes", *auditor)
    found = json.loads(commands.ok("trace", _name(job), "--json"))
    assert found["certificates"][0]["status"] == "refuted"
    assert found["lot"]["state"] == "quarantined"
    with pytest.raises(SubmitError, match="Lot"):
        commands.consortium.record(
            commands.consortium.makers[2],
            [OfferCustody((Item(job.lot, job.order.subject),), commands.consortium.buyer.number, NOTHING)],
        )
    assert "CertificateStateWrong" in commands.refused("quality", "challenge", _name(job), "--yes", *auditor)


def test_a_demand_is_met_by_opening_and_an_honest_certificate_is_upheld(commands: Commands, line: Line) -> None:
    job, buyer = line.jobs[1], commands.consortium.buyer
    inspector = commands.sign(commands.consortium.inspector)
    demand = _demand(commands, job)
    commands.consortium.record(buyer, [demand])
    with pytest.raises(SubmitError, match="CertificateStateWrong"):
        commands.consortium.record(buyer, [demand])
    assert "is valid" in commands.ok("quality", "challenge", _name(job), "--yes", *inspector)
    [certificate] = json.loads(commands.ok("trace", _name(job), "--json"))["certificates"]
    assert (certificate["status"], certificate["executed"]) == ("valid", "pass")


def _demand(commands: Commands, job: Job) -> DemandOpening:
    [certificate] = json.loads(commands.ok("trace", _name(job), "--json"))["certificates"]
    return DemandOpening(job.lot, job.order.subject, certificate["certificate"])


def test_a_demand_that_nobody_meets_leaves_the_certificate_unopened(commands: Commands, line: Line) -> None:
    """A week passes by the chain's clock, which no node lets anybody set from outside."""
    job, consortium = line.jobs[2], commands.consortium
    demand = _demand(commands, job)
    with pytest.raises(SubmitError, match="CertificateDemandTooSoon"):
        consortium.record(consortium.buyer, [demand])
    consortium.record(consortium.auditor, [demand])
    chain = consortium.chain
    commands.engine._tester.time_travel(chain.header(chain.final_number()).timestamp + 7 * 86_400)
    line.plant.bench.note("balance", {"window": list(SOUND)})
    consortium.record(consortium.inspector, [line.plant.bench.anchor()])
    [certificate] = json.loads(commands.ok("trace", _name(job), "--json"))["certificates"]
    assert certificate["status"] == "unopened"
    inspector = commands.sign(consortium.inspector)
    assert "CertificateOpeningLate" in commands.refused("quality", "challenge", _name(job), "--yes", *inspector)
    offer = OfferCustody((Item(job.lot, job.order.subject),), consortium.buyer.number, NOTHING)
    with pytest.raises(SubmitError, match="GateClosed"):
        consortium.record(consortium.makers[2], [offer])


def test_one_parts_measurement_does_not_open_anothers_certificate(commands: Commands, line: Line) -> None:
    extract = commands.home / "other.json"
    commands.ok("quality", "extract", _name(line.jobs[1]), "-o", str(extract))
    said = commands.refused(
        "quality",
        "challenge",
        _name(line.jobs[0]),
        f"--extract={extract}",
        "--yes",
        *commands.sign(commands.consortium.buyer),
    )
    assert "does not open certificate" in said


def test_a_revoked_certificate_cannot_be_challenged_and_opens_no_gate(commands: Commands, line: Line) -> None:
    job, consortium = line.jobs[3], commands.consortium
    [certificate] = json.loads(commands.ok("trace", _name(job), "--json"))["certificates"]
    assert (certificate["status"], certificate["revoked_at"]) == ("valid", None)
    revocation = RevokeCertificate((job.lot,), certificate["certificate"], NOTHING)
    for company, error in (
        (consortium.auditor, "HistoryRoleMissing"),
        (_admit_inspector(commands), "CertificateForeign"),
    ):
        with pytest.raises(SubmitError, match=error):
            consortium.record(company, [revocation])
    consortium.record(consortium.inspector, [revocation])
    [found] = json.loads(commands.ok("trace", _name(job), "--json"))["certificates"]
    assert found["status"] == "revoked"

    inspector = commands.sign(consortium.inspector)
    assert "CertificateStateWrong" in commands.refused("quality", "challenge", _name(job), "--yes", *inspector)
    with pytest.raises(SubmitError, match="CertificateStateWrong"):
        consortium.record(consortium.buyer, [_demand(commands, job)])
    with pytest.raises(SubmitError, match="CertificateStateWrong"):
        consortium.record(consortium.inspector, [revocation])
    offer = OfferCustody((Item(job.lot, job.order.subject),), consortium.buyer.number, NOTHING)
    with pytest.raises(SubmitError, match="GateClosed"):
        consortium.record(consortium.makers[2], [offer])


def test_the_buyer_waives_a_gate(commands: Commands, line: Line) -> None:
    job, consortium = line.jobs[3], commands.consortium
    waiver = WaiveGate(job.lot, job.order.subject, consortium.inspector.number, NOTHING)
    with pytest.raises(SubmitError, match="HistoryRoleMissing"):
        consortium.record(consortium.auditor, [waiver])
    with pytest.raises(SubmitError, match="GateUnknown"):
        consortium.record(consortium.buyer, [replace(waiver, inspector=8)])
    consortium.record(consortium.buyer, [waiver])
    found = json.loads(commands.ok("trace", _name(job), "--json"))
    [shown] = found["waivers"]
    assert (shown["holds"], shown["certificate"]) == (True, found["certificates"][-1]["certificate"])
    assert "gates waived" in commands.ok("trace", _name(job))
    offer = OfferCustody((Item(job.lot, job.order.subject),), consortium.buyer.number, NOTHING)
    consortium.record(consortium.makers[2], [offer])


def _admit_inspector(commands: Commands) -> Company:
    """Another inspector than the one that certifies."""
    consortium, signer = commands.consortium, LocalSigner.generate()
    consortium.chain.node.fund(signer.address, 10**20)
    consortium.record(consortium.owner, [Admit(int(Role.INSPECTOR), signer.address, NOTHING)])
    submitter = Submitter(consortium.chain, consortium.outbox, signer)
    company = Company("Penumbra Inspection", len(consortium.companies) + 1, signer, submitter, consortium.store)
    consortium.record(company, [AcceptKey(company.number)])
    return company


def test_models_are_listed_with_what_became_of_their_parts(commands: Commands, line: Line) -> None:
    commands.ok("quality", "finding", _name(line.jobs[0]), "--defect")
    commands.ok("quality", "finding", _name(line.jobs[1]), "--sound")
    by_digest, published = json.loads(commands.ok("quality", "monitor", "--json"))["models"]
    assert (by_digest["on_chain"], published["on_chain"]) == (False, True)
    assert (published["certificates"], published["field"]["misses"], published["field"]["sound"]) == (4, 1, 1)
    assert published["field"]["recall"]["value"] == 0
    assert published["why_no_drift"] == "model and card are not stored here"


def test_models_that_the_chain_cannot_execute_are_sent_to_their_digest(commands: Commands) -> None:
    forda = str(resources.files("millmark.quality") / "models" / "forda.bin")
    said = commands.refused("quality", "publish", forda, *commands.sign(commands.consortium.inspector))
    assert "register" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["quality", "approve", "0", "--signer=file:none"], 2),
        (["quality", "publish", "none.bin", "--signer=file:none"], 2),
        (["quality", "extract", "0x" + "00" * 32, "-o", "x"], 1),
        (["quality", "extract", "nothing", "-o", "x"], 1),
        (["quality", "finding", "0x" + "00" * 32, "--defect"], 1),
    ],
)
def test_what_cannot_be_done_is_one_line(commands: Commands, arguments: list[str], code: int) -> None:
    done = commands.run(*arguments)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_that_is_withdrawn_takes_its_certificates_with_it(commands: Commands, line: Line) -> None:
    """All that were ever issued on it, unless a time is named since when it was defective."""
    by_digest, published = json.loads(commands.ok("quality", "monitor", "--json"))["models"]
    inspector = commands.sign(commands.consortium.inspector)

    def status() -> str:
        [certificate] = json.loads(commands.ok("trace", _name(line.jobs[1]), "--json"))["certificates"]
        return str(certificate["status"])

    assert status() == "valid"
    said = commands.ok("quality", "withdraw", str(by_digest["model"]), "--since=1700000000", *inspector)
    assert "those issued since 2023-11-14T22:13:20Z are invalid, earlier ones stand" in said
    assert status() == "valid", "it is on the other model"
    said = commands.ok("quality", "withdraw", str(published["model"]), *inspector)
    assert "of its certificates, all are invalid" in said
    assert status() == "fallen"
