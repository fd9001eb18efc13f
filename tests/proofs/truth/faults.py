"""Faults for the report's code, each of which the oracle must find."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.proofs.truth.cases import judge
from tests.support.installs import link_packages

__all__ = ["FAULTS", "Fault", "is_found", "plant"]

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Fault:
    """A text of a source file that is replaced by another one."""

    name: str
    file: str
    old: str
    new: str


def plant(fault: Fault, folder: Path) -> None:
    """Copies the library into a folder, with the fault."""
    link_packages(folder, ["quality", "services"])
    library = folder / "millmark" / "ledger"
    shutil.copytree(ROOT / "ledger", library, ignore=shutil.ignore_patterns("__pycache__"))
    source = library / "verify" / fault.file
    text = source.read_text()
    assert text.count(fault.old) == 1, f"{fault.name}: {fault.file} has it {text.count(fault.old)} times"
    source.write_text(text.replace(fault.old, fault.new))


def is_found(fault: Fault, cases: Path) -> bool:
    """Whether the report with the fault differs from the chain in one of the pickled cases, or cannot be made."""
    with tempfile.TemporaryDirectory() as folder:
        plant(fault, Path(folder))
        paths = os.pathsep.join([folder, str(ROOT)])
        command = [sys.executable, "-m", "tests.proofs.truth.faults", str(cases)]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, check=False, cwd=folder).returncode != 0


FAULTS = (
    Fault(
        "a failing certificate that was followed by a passing one is not told",
        "_attention.py",
        "bad = certificate.verdict is Verdict.FAIL or status in _NEVER_VALID",
        "bad = status in _NEVER_VALID",
    ),
    Fault("a refuted certificate is not told", "_attention.py", "    CertificateStatus.REFUTED,\n", ""),
    Fault("a revoked certificate is not told", "_attention.py", "    CertificateStatus.REVOKED,\n", ""),
    Fault("a fallen certificate is not told", "_attention.py", "    CertificateStatus.FALLEN,\n", ""),
    Fault(
        "an unmet demand looks as if there were time", "_attention.py", "            if due:", "            if True:"
    ),
    Fault(
        "a demand is told of refuted certificates",
        "_attention.py",
        "certificate.state in (CertificateState.DEMANDED, CertificateState.REVOKED)",
        "certificate.state in (CertificateState.DEMANDED, CertificateState.REFUTED)",
    ),
    Fault(
        "a measurement must be named three times before it is told",
        "_attention.py",
        "if len(found) > 1 and not _is_one_work",
        "if len(found) > 2 and not _is_one_work",
    ),
    Fault(
        "entries of different streams are taken for one",
        "_attention.py",
        "by_leaf.setdefault((leaf.stream, leaf.index), [])",
        'by_leaf.setdefault((b"", leaf.index), [])',
    ),
    Fault(
        "any operation may share its measurement with a certificate",
        "_attention.py",
        "return all(lot is not None and finished.assignment in",
        "return all(lot is None or finished.assignment or",
    ),
    Fault(
        "a finished operation without evidence is not told",
        "_bundle.py",
        "in verified.entries_with(AssignmentFinished)}",
        "in ()}",
    ),
    Fault(
        "a certificate without evidence is not told",
        "_bundle.py",
        "certified.keys() - with_evidence)",
        "{number for number in certified if number in with_evidence})",
    ),
    Fault("what was received looks made", "_parts.py", '"received" if lot.from_outside else "made"', '"made"'),
    Fault(
        "the part's machines are those of every lot",
        "_parts.py",
        "in lot.work:\n        done",
        "in [one for other in verified.line for one in other.work]:\n        done",
    ),
    Fault("what was converted looks merged", "_parts.py", 'CONVERSION: "converted"', 'CONVERSION: "merged"'),
    Fault(
        "what went into a lot by rework is not told",
        "_parts.py",
        "    if not lot.reworked:\n        return\n",
        "    return\n",
    ),
    Fault(
        "who holds the lot holds what is packed in it, however deep",
        "_parts.py",
        "holder=verified.party(outermost(verified.state, lot).custodian)",
        "holder=verified.party(lot.custodian)",
    ),
    Fault(
        "a failing verdict is told as a pass",
        "_parts.py",
        'code = "event_passed" if entry.event.statement.verdict is Verdict.PASS else "event_failed"',
        'code = "event_passed"',
    ),
    Fault("releases are not told", "_parts.py", "    LotReleased: _moved,\n", ""),
    Fault("rework in place is not told", "_parts.py", "    LotReworked: _reworked,\n", ""),
    Fault("openings that uphold are not told", "_parts.py", "    certificates.CertificateUpheld: _about,\n", ""),
    Fault(
        "reworking is not work",
        "_attention.py",
        "    if lot.reworked:\n",
        "    if False:\n",
    ),
    Fault(
        "making without an assignment is not work",
        "_attention.py",
        "    if is_work(verified, lot):\n",
        "    if lot.work:\n",
    ),
    Fault("components are no ancestors", "_state.py", "waiting += state.lots[name].inputs", "waiting += ()"),
    Fault(
        "suspended companies are not told",
        "_attention.py",
        "if company.suspended:",
        "if company.suspended and company.departed:",
    ),
    Fault(
        "only recall notices are told",
        "_attention.py",
        "in verified.entries_with(NoteRecorded):",
        "in (one for one in verified.entries_with(NoteRecorded) if one.event.kind_ == 2):",
    ),
    Fault("corrections are not told", "_attention.py", "in verified.state.corrected.items()", "in {}.items()"),
)


if __name__ == "__main__":
    for one in pickle.loads(Path(sys.argv[1]).read_bytes()):  # noqa: S301  # its own cases
        if any(judge(one)):
            sys.exit(1)
