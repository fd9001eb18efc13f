"""Properties of the contracts that halmos proves, and the mutants on which each of them must fail.

Each `check_` function in contracts/proofs states one property with its bounds and where it is promised. A proof
covers all values within the bounds; a mutant, one statement of contracts/src changed so that the promise is broken,
shows that the proof would notice.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import toolchain


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of the contracts that breaks a promise."""

    file: str
    """Below contracts/src."""
    text: str
    """What is replaced; occurs in the file exactly once."""
    replacement: str
    breaks: str
    """What the changed contract does wrong."""

    def apply(self, source: str) -> str:
        """The changed source. Raises ValueError unless the text occurs once."""
        if source.count(self.text) != 1:
            raise ValueError(f"{self.file}: {self.text!r} occurs {source.count(self.text)} times, not once")
        return source.replace(self.text, self.replacement)


@dataclass(frozen=True, slots=True)
class Property:
    """A `check_` function; its comment states property, bounds and source of the promise."""

    contract: str
    check: str
    mutant: Mutant


PROPERTIES = (
    Property(
        "AccessProof",
        "check_outsidersRecordNothing",
        Mutant(
            "history/Notes.sol",
            "if (sender != Ownable(address(registry)).owner())",
            "if (sender == Ownable(address(registry)).owner())",
            "anybody notes as if it were the owner",
        ),
    ),
    Property(
        "AccessProof",
        "check_outsidersAdministerNothing",
        Mutant(
            "registry/Members.sol",
            "function publish(uint16 kind, bytes32 digest) external onlyOwner {",
            "function publish(uint16 kind, bytes32 digest) external {",
            "anybody publishes",
        ),
    ),
    Property(
        "AccessProof",
        "check_suspendedCompaniesRecordNothing",
        Mutant(
            "registry/Members.sol",
            "        if (inactiveSince != 0) _requireActive(participant, company);\n",
            "",
            "a suspended company acts",
        ),
    ),
    Property(
        "RoleProof",
        "check_noAuthorityWithoutRole",
        Mutant(
            "registry/Members.sol",
            "        roles &= held;\n",
            "",
            "a key keeps rights that its company lost",
        ),
    ),
    Property(
        "ConservationProof",
        "check_splitConserves",
        Mutant(
            "history/Transformations.sol",
            "(tally.conserved - gone) * yieldOut == tally.made * yieldIn",
            "(tally.conserved - gone) * yieldOut <= tally.made * yieldIn",
            "more comes out than went in",
        ),
    ),
    Property(
        "ConservationProof",
        "check_mergeConserves",
        Mutant(
            "history/Lots.sol",
            "entry.quantity = held - quantity;",
            "entry.quantity = held;",
            "what is taken out of a lot stays in it",
        ),
    ),
    Property(
        "ConservationProof",
        "check_assemblyConserves",
        Mutant(
            "history/Transformations.sol",
            "        if (!input.component) {\n",
            "        {\n",
            "a component counts as conserved",
        ),
    ),
    Property(
        "ConservationProof",
        "check_scrapConserves",
        Mutant(
            "history/Lots.sol",
            "if (quantity == held) (entry.state",
            "if (quantity != held) (entry.state",
            "a lot is spent when something is left",
        ),
    ),
    Property(
        "CustodyProof",
        "check_onlyTheCustodianMovesALot",
        Mutant(
            "history/Book.sol",
            "if (holder != actor.participant) revert ILots.LotForeign(lot, uint32(holder));",
            "",
            "anybody acts as a lot's custodian",
        ),
    ),
    Property(
        "CustodyProof",
        "check_nothingIsForcedOnAnybody",
        Mutant(
            "history/Custody.sol",
            "        (entry.state, entry.counterparty) = (ILots.LotState.Offered, to);\n",
            "        (entry.state, entry.holder) = (ILots.LotState.Held, to);\n",
            "an offer hands over at once",
        ),
    ),
    Property(
        "CustodyProof",
        "check_acceptanceNamesTheOffer",
        Mutant(
            "history/Custody.sol",
            "        if (sequence != offer) revert CustodyOfferWrong(lot, offer, sequence);\n",
            "",
            "an acceptance of an earlier offer counts",
        ),
    ),
    Property(
        "HistoryProof",
        "check_theHeadCommitsToTheRecord",
        Mutant(
            "history/History.sol",
            "mstore(add(words, 64), key)",
            "mstore(add(words, 64), 0)",
            "the head does not say which key signed",
        ),
    ),
    Property(
        "MulticallProof",
        "check_multicallIsItsCallsOneByOne",
        Mutant(
            "history/History.sol",
            "ERC2771Context, Multicall {\n",
            "ERC2771Context, Multicall {\n    function multicall(bytes[] calldata data) external override "
            "returns (bytes[] memory results) {\n        results = new bytes[](data.length);\n        "
            "for (uint256 i; i < data.length; ++i) (, results[i]) = address(this).delegatecall(data[i]);\n    }\n\n",
            "a batch goes on after a call that failed",
        ),
    ),
    Property(
        "DeliveryProof",
        "check_deliveryNeedsTheQuantity",
        Mutant(
            "history/Orders.sol",
            "if (i != 0 && lots[i] <= lots[i - 1])",
            "if (i != 0 && lots[i] < lots[i - 1])",
            "a lot that is listed twice counts twice",
        ),
    ),
    Property(
        "GateProof",
        "check_theGateNeedsAPass",
        Mutant(
            "history/Custody.sol",
            "        if (gates != 0) _requireAlone(lot, entry, gates);\n",
            "        gates;\n",
            "the gate is not looked at when custody is accepted",
        ),
    ),
    Property(
        "CertificateProof",
        "check_onlyItsIssuerRevokes",
        Mutant(
            "history/Certificates.sol",
            "        if (issuer != actor.participant) revert CertificateForeign(certificate, issuer);\n",
            "",
            "any inspector revokes another's certificate",
        ),
    ),
    Property(
        "CertificateProof",
        "check_whatIsDemandedShutsTheGate",
        Mutant(
            "history/Certificates.sol",
            "if (reworks != of_.reworks) open = 0;",
            "if (reworks == of_.reworks) open = 0;",
            "a new certificate does away with a demand",
        ),
    ),
    Property(
        "CertificateProof",
        "check_aStolenKeyOpensNoGate",
        Mutant(
            "history/Verdicts.sol",
            "issuedAt >= known.countsFrom && issuedAt < known.countsBefore;",
            "issuedAt >= known.countsFrom;",
            "what a stolen key signed counts",
        ),
    ),
    Property(
        "CertificateProof",
        "check_aDefectiveModelOpensNoGate",
        Mutant(
            "Registry.sol",
            "if (state == ModelState.Approved || state == ModelState.Retired) standsBefore",
            "if (state != ModelState.None) standsBefore",
            "what was certified on a defective model counts",
        ),
    ),
    Property(
        "TransformationProof",
        "check_aGatedLotIsNotRenamed",
        Mutant(
            "history/Transformations.sol",
            "bool bound = tally.order == 0 || inspector != 0;",
            "bool bound = tally.order == 0;",
            "a lot leaves its gate for an order without one",
        ),
    ),
    Property(
        "TransformationProof",
        "check_aReworkVoidsOlderPasses",
        Mutant(
            "history/Transformations.sol",
            "entry.reworks = reworks + 1;",
            "entry.reworks = reworks;",
            "a pass outlives a rework",
        ),
    ),
    Property(
        "EvidenceProof",
        "check_streamsOnlyGrow",
        Mutant(
            "history/Evidence.sol",
            "if (size <= held)",
            "if (size < held)",
            "an anchor replaces the root of as many entries",
        ),
    ),
    Property(
        "WindowProof",
        "check_aWindowIsOfItsLot",
        Mutant(
            "libraries/EvidenceLeaf.sol",
            "bytes.concat(TAG, WINDOW, lot)",
            "bytes.concat(TAG, data[21], lot)",
            "an entry of any kind is taken for a window",
        ),
    ),
    Property(
        "BindingProof",
        "check_workIsFinishedByALaterEntry",
        Mutant(
            "history/Assignments.sol",
            "        if (leafIndex < least) revert AssignmentLeafTooOld(stream, leafIndex, least);\n",
            "",
            "work is finished by what was measured before it",
        ),
    ),
    Property(
        "BindingProof",
        "check_aCertificateNamesWhatIsAnchored",
        Mutant(
            "history/Book.sol",
            "        if (index >= size) revert IEvidence.EvidenceNotAnchored(stream, index, size);\n",
            "",
            "a certificate names an entry that is not anchored",
        ),
    ),
    Property(
        "NoteProof",
        "check_strangersNoteNothing",
        Mutant(
            "history/Notes.sol",
            "if (isLot ? !_isOfLot(subject, lot, ground, participant) :",
            "if (isLot ? false :",
            "anybody notes on a lot",
        ),
    ),
    Property(
        "KeyProof",
        "check_aRecoveryTakesItsTime",
        Mutant(
            "registry/Keys.sol",
            "        _requireDue(participant, recovery);\n        if (recovery.objected && !recovery.overruled)",
            "        if (recovery.objected && !recovery.overruled)",
            "a recovery counts at once",
        ),
    ),
    Property(
        "CouncilProof",
        "check_nothingIsDoneWithoutQuorumAndDelay",
        Mutant(
            "Council.sol",
            "if (--entry.approvals < neededFor(entry.data)) entry.approvedAt = 0;",
            "--entry.approvals;",
            "an approval that was taken back still counts",
        ),
    ),
)


HALMOS = toolchain.ROOT / ".venv-halmos" / "bin" / "halmos"
PROOFS = Path("proofs")
_COPIED = ("foundry.toml", "package.json", "src", "tools", "test/Base.sol", PROOFS)
_OPTIONS = (
    *("--default-array-lengths", "1"),  # of arguments that are drawn with the function; named in the bounds
    *("--default-bytes-lengths", "64"),
    *("--loop", "8"),  # more often than any loop goes round here; a proof that meets this bound does not count
    *(
        "--solver-timeout-branching",
        "200ms",
    ),  # at 1 ms, the default, infeasible paths are followed to where halmos fails
    *("--solver-timeout-assertion", "600s"),
    "--no-status",
)
_LONGEST = 1800
"""Seconds after which halmos is stopped on a property or on its mutant."""
_CONTRACT = re.compile(r"^contract (\w+) is \w*World \{", re.MULTILINE)
_PASSED, _REFUTED = 0, 1
_OUTCOMES = {2: "timeout", 3: "stuck", 4: "every path reverts", 5: "error"}


class NotProvedError(AssertionError):
    """A property was not proved, or its mutant not refuted."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What halmos said of one property."""

    exit_code: int
    paths: int
    seconds: float
    bounded_loops: int
    """Loops of unknown length that were followed to halmos's own bound only: the proof is not one of all paths then."""
    counterexample: str
    """The values for which the first assertion failed; empty when none did."""

    @property
    def name(self) -> str:
        """In words."""
        if self.exit_code == _PASSED:
            return "proved" if self.bounded_loops == 0 else "proved but for long loops"
        return "refuted" if self.exit_code == _REFUTED else _OUTCOMES.get(self.exit_code, "not run")


@contextmanager
def copy_project(only: str = "") -> Iterator[Path]:
    """A copy of what the proofs need of contracts/, whose source may be changed; `only` names the one file of proofs to
    take."""
    with tempfile.TemporaryDirectory(prefix="millmark-proofs-") as folder:
        project = Path(folder)
        for name in _COPIED:
            source, target = toolchain.PROJECT / name, project / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copy(source, target)
        for path in (project / PROOFS).glob("*.sol"):
            if only not in ("", path.name) and _CONTRACT.search(path.read_text()):
                path.unlink()
        (project / "node_modules").symlink_to(toolchain.PROJECT / "node_modules")
        yield project


def find_file(contract: str) -> str:
    """Name of the file in which a contract of proofs is."""
    files = sorted((toolchain.PROJECT / PROOFS).glob("*.sol"))
    return next(path.name for path in files if contract in _CONTRACT.findall(path.read_text()))


def bounds_of(one: Property) -> str:
    """Within which bounds a property is proved, as its comment says."""
    text = (toolchain.PROJECT / PROOFS / find_file(one.contract)).read_text()
    comment = text.partition(f"function {one.check}(")[0].rpartition("/// @dev Bounds: ")[2]
    return " ".join(comment.replace("///", " ").split())


def _environment(*, optimised: bool) -> Mapping[str, str]:
    """Halmos calls forge by its name. What ships is optimised; a mutant that is not compiles in half the time."""
    native = toolchain.native_binary("forge").parent
    return os.environ | {
        "PATH": os.pathsep.join((str(native), str(HALMOS.parent), os.environ.get("PATH", ""))),
        "FOUNDRY_PROFILE": "proofs",
        "FOUNDRY_OPTIMIZER": str(optimised).lower(),
    }


def run_check(project: Path, one: Property, *, mutated: bool) -> Outcome:
    """Runs halmos on one property in `project`, of a mutant until the first counterexample. Raises NotProvedError when
    there is no answer."""
    report = project / "report.json"
    report.unlink(missing_ok=True)
    command = [
        *(str(HALMOS), "--root", str(project), *_OPTIONS),
        *("--contract", one.contract, "--function", one.check, "--json-output", str(report)),
        *(["--early-exit"] if mutated else []),
    ]
    output = _run(command, project, _environment(optimised=not mutated))
    results = json.loads(report.read_text())["test_results"] if report.exists() else {}
    found = [result for suite in results.values() for result in suite if _is_of(result, one)]
    if len(found) != 1:
        raise NotProvedError(f"halmos did not run {one.contract}.{one.check}:\n{output[-4000:]}")
    return _parse(found[0], output)


def _run(command: Sequence[str], project: Path, environment: Mapping[str, str]) -> str:
    """What a command prints. With all that it started it is stopped when it takes too long: solvers go on by
    themselves."""
    with subprocess.Popen(
        command,
        cwd=project,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as process:
        try:
            return process.communicate(timeout=_LONGEST)[0]
        except subprocess.TimeoutExpired:
            raise NotProvedError(f"no answer in {_LONGEST} s") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _is_of(result: Mapping[str, Any], one: Property) -> bool:
    return str(result["name"]).partition("(")[0] == one.check


def _parse(result: Mapping[str, Any], output: str) -> Outcome:
    lines = output.splitlines()
    start = next((number for number, line in enumerate(lines) if "Counterexample:" in line), len(lines))
    values = []
    for line in lines[start + 1 :]:
        if " = " not in line:
            break
        values.append(line.replace("\x1b[0m", "").strip())
    return Outcome(
        exit_code=result["exitcode"],
        paths=(result["num_paths"] or [0])[0],  # absent where halmos failed
        seconds=(result["time"] or [0.0])[0],
        bounded_loops=result["num_bounded_loops"] or 0,
        counterexample=", ".join(values),
    )


def refute(one: Property) -> Outcome:
    """Runs halmos on a property's mutant."""
    with copy_project(find_file(one.contract)) as project:
        path = project / "src" / one.mutant.file
        path.write_text(one.mutant.apply(path.read_text()))
        return run_check(project, one, mutated=True)


def prove(one: Property, project: Path) -> tuple[Outcome, Outcome]:
    """Proves a property and refutes it on its mutant. Raises NotProvedError unless both succeed."""
    proof, refutation = run_check(project, one, mutated=False), refute(one)
    if (proof.name, refutation.name) != ("proved", "refuted"):
        raise NotProvedError(f"{one.check}: {proof.name}; on its mutant: {refutation.name}")
    return proof, refutation


def main(names: Sequence[str]) -> int:
    """Returns 1 unless every property named, all without names, is proved and its mutant refuted; 2 for an unknown
    name."""
    unknown = set(names) - {one.check for one in PROPERTIES}
    if unknown:
        sys.stderr.write(f"properties: there is no {', '.join(sorted(unknown))}; see contracts/proofs\n")
        return 2
    chosen = [one for one in PROPERTIES if not names or one.check in names]
    rows = []
    with copy_project() as project:
        for one in chosen:
            row = _judge(one, project)
            rows.append(row)
            sys.stdout.write(row.told)
            sys.stdout.flush()
    sys.stdout.write("\n" + "".join(f"{row.summary}\n" for row in rows))
    failed = sum(not row.good for row in rows)
    sys.stdout.write(f"{len(rows) - failed} of {len(rows)} proved, and refuted on their mutants\n")
    return 1 if failed else 0


@dataclass(frozen=True, slots=True)
class Row:
    good: bool
    told: str
    summary: str


def _judge(one: Property, project: Path) -> Row:
    try:
        proof, refutation = prove(one, project)
    except NotProvedError as error:
        return Row(good=False, told=f"FAILED {one.check}: {error}\n", summary=f"{one.check:44}  FAILED")
    told = (
        f"{one.check}: proved on {proof.paths} paths in {proof.seconds:.1f} s\n"
        f"    where {one.mutant.breaks} ({one.mutant.file}): refuted in {refutation.seconds:.1f} s by"
        f" {refutation.counterexample or 'every value'}\n"
    )
    summary = (
        f"{one.check:44}  proved {proof.seconds:6.1f} s {proof.paths:5} paths, refuted {refutation.seconds:6.1f} s\n"
        f"    bounds: {bounds_of(one)}\n"
        f"    mutant: {one.mutant.breaks} ({one.mutant.file})"
    )
    return Row(good=True, told=told, summary=summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
