"""Long versions of what `scripts/test` runs briefly: `scripts/prove` lists them, `scripts/prove NAME` runs one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import toolchain

__all__ = ["PROOFS", "Proof", "main"]

ROOT = Path(__file__).parents[2]
_BENCH = (sys.executable, "-m", "tests.bench")
_FAULTS = (sys.executable, "-m", "tests.faults")
_STORIES = tuple(f"tests/browser/test_{name}_browser.py" for name in ("planning", "stories", "demanded", "recall"))
"""Buyer, coordinator and owner; carrier, auditor and operator; inspector; whoever recalls a lot."""
_IN_VIEWS = 'for views in second other; do MILLMARK_TEST_VIEWS=$views "$0" -m pytest -n0 -q "$@"; done'
_VECTOR = ("tests/vectors/bundle/part.bundle", "tests/vectors/bundle/trust.json")
_WITH_HALMOS = 'source scripts/_setup; install_apart halmos; exec "$0" -m tests.proofs.properties "$@"'
_ON_NETWORK = 'source scripts/_setup; PATH=$ROOT/.geth/$GETH:$PATH exec "$0" -m tests.bench network "$@"'
_WITH_SUPPLY = 'source scripts/_setup; install_apart supply; exec "$0" -m "$@"'
_ON_LOWEST = 'source scripts/_setup; prepare lowest; exec "$VENV/bin/python" -m pytest tests/unit "$@"'
_ON_POSTGRESQL = (
    'cd tests/unit/services; exec "$0" -m pytest -n 0 -q -p tests.proofs.on_postgresql --rootdir ../../.. '
    'test_gateway_*.py test_webhooks_*.py documents "$@"'
)


@dataclass(frozen=True, slots=True)
class Proof:
    """A command that exits with 0 if the proof succeeds."""

    name: str
    shows: str
    takes: str
    """Duration on two otherwise idle cores."""
    command: tuple[str, ...]
    """Arguments of `scripts/prove` are appended. If an option occurs twice, the last one counts."""
    folder: Path = ROOT
    environment: dict[str, str] = field(default_factory=dict)


def _fault_run(name: str, shows: str, count: int, seed: int, takes: str) -> Proof:
    options = ("--count", str(count), "--seed", str(seed), "--json")
    return Proof(f"faults-{name}", shows, takes, (*_FAULTS, name, *options))


PROOFS = (
    Proof(
        "forge-long",
        "the Solidity suite with 10,000 runs of each fuzz test and 1,024 of each invariant",
        "10 minutes",
        (str(toolchain.native_binary("forge")), "test", "--force"),
        folder=toolchain.PROJECT,
        environment={"FOUNDRY_PROFILE": "long"},
    ),
    Proof(
        "check",
        "22,000 forgeries of a bundle refused by the browser page's verifier, by the same step and for the same reason",
        "an hour",
        (sys.executable, "-m", "tests.support.check_page"),
    ),
    Proof(
        "check-tests",
        "the verifier's tests in the browser page's Python, under Node, but those that sign or need hypothesis",
        "2 minutes",
        (sys.executable, "-m", "tests.proofs.check_tests"),
    ),
    Proof(
        "model",
        "a model of the state machines, searched and walked a million times: no dead end; the contracts do as it does. "
        "Append --large for two lots at once, up to hundreds of millions of states",
        "an hour",
        (sys.executable, "-m", "tests.proofs.model"),
    ),
    Proof(
        "properties",
        "what the contracts promise, proved by a solver within stated bounds, and refuted on a mutant each",
        "20 minutes",
        ("bash", "-euo", "pipefail", "-c", _WITH_HALMOS, sys.executable),
    ),
    Proof(
        "stories",
        "the day of each role, from work list to final record, in the languages and widths that the suite leaves out",
        "12 minutes",
        ("bash", "-euo", "pipefail", "-c", _IN_VIEWS, sys.executable, *_STORIES),
        environment={"MILLMARK_TEST_REST": "1"},
    ),
    Proof(
        "rest",
        "the tests that scripts/test leaves out, since they take long for what shorter ones show in part",
        "10 minutes",
        (sys.executable, "-m", "pytest", "-q", "-m", "left_out", "--numprocesses", "2", "--dist", "loadfile"),
        environment={"MILLMARK_TEST_REST": "1"},
    ),
    Proof(
        "links",
        "every link of every page of the finished demonstration leads somewhere, for each role; --folder DIR opens one "
        "that is there, whose invitations nobody took",
        "an hour",
        (sys.executable, "-m", "tests.proofs.links"),
    ),
    Proof(
        "first-use",
        "from `millmark demo open` to six people signed in by passkey in one Chromium profile, and to the first proof "
        "checked in it, at most 90 s each. Append DIR, a finished demonstration whose invitations nobody took, and "
        "--pictures FOLDER for the six pages",
        "1 minute",
        (sys.executable, "-m", "tests.proofs.first_use"),
    ),
    Proof(
        "process",
        "100 disturbed runs of proposed setpoints leave no limit; 10,000 random states settle",
        "2 minutes",
        (*_BENCH, "process"),
    ),
    Proof(
        "forgeries",
        "2,000 forged bundles for each step of the verifier, 2,000 with forged seals, and 100,000 mutations",
        "15 minutes",
        (sys.executable, "-m", "tests.proofs.forgeries", *_VECTOR),
    ),
    Proof(
        "handovers",
        "100,000 mutated hand-overs, on their way or before they were sealed: none is taken",
        "10 minutes",
        (sys.executable, "-m", "tests.support.handover_mutations"),
    ),
    Proof(
        "footprint",
        "100,000 random register logs with overlaps, resets, rollovers and gaps: every Wh is allocated once",
        "1 minute",
        (sys.executable, "-m", "tests.proofs.register_logs"),
    ),
    Proof(
        "plans",
        "100,000 forged plans and bound proofs with a false claim: none is accepted",
        "15 minutes",
        (sys.executable, "-m", "tests.support.plan_forgeries", "--count", "100000"),
    ),
    Proof(
        "truth",
        "1,000 random worlds: what reports say is what the chain says, and each of 26 faults in their code is found",
        "30 minutes",
        (sys.executable, "-m", "tests.proofs.truth"),
    ),
    Proof(
        "network-throughput",
        "one key on a network of validators writes at least 35 % of what transactions signed beforehand do",
        "8 minutes",
        (
            *("bash", "-euo", "pipefail", "-c", _ON_NETWORK, sys.executable),
            *("--seconds", "180", "--rounds", "6", "--json"),
        ),
    ),
    Proof("faults", "any kind of fault, with its own --count and --seed: append NAME", "as asked", _FAULTS),
    _fault_run("rpc", "answers of the node lost, late, doubled or wrong, 5,000 times", 5000, 1, "3 minutes"),
    _fault_run("kill", "200 kills (-9) at every step of a record's way", 200, 1, "3 minutes"),
    _fault_run("reorg", "200 reorganisations, up to 12 blocks deep", 200, 1, "1 minute"),
    _fault_run("nonce", "1,000 dropped transactions and skipped nonces", 1000, 2, "4 minutes"),
    _fault_run("disk", "a disk that is full or fails, 200 times", 200, 2, "3 minutes"),
    _fault_run("clock", "50 stopped leaders, and clocks that jump", 50, 2, "3 minutes"),
    _fault_run("offline", "a backlog of 50,000 events, killed on the way", 50_000, 1, "2 minutes"),
    _fault_run("rotate", "20 keys replaced under load", 20, 20, "1 minute"),
    _fault_run(
        "handover",
        "200 kills (-9) of either side of a hand-over: none lost, doubled or kept in part",
        200,
        1,
        "5 minutes",
    ),
    _fault_run("failover", "PostgreSQL's primary lost 54 times, between all states of the outbox", 54, 0, "6 minutes"),
    _fault_run("node", "60 kills (-9) of the demonstration's own node", 60, 1, "6 minutes"),
    _fault_run(
        "sockets",
        "260 silent connections at node and gateway; others wait, and cost CPU, at most 3 times as much",
        260,
        1,
        "1 minute",
    ),
    _fault_run("soak", "30 minutes of steady work; memory and files stay level", 1800, 1, "31 minutes"),
    Proof(
        "network",
        "220 faults of a network of validators, under records of four companies; goes on where it stopped",
        "an hour",
        (*_FAULTS, "network", "--count", "220", "--seed", "1", "--keep", "build/network-faults.jsonl"),
    ),
    Proof(
        "api",
        "10,000 generated requests to a real gateway, held against its OpenAPI document",
        "12 minutes",
        (*_BENCH, "api", "--cases", "10000", "--seed", "1", "--json"),
    ),
    Proof(
        "api-postgresql",
        "the same with the gateway's database on PostgreSQL",
        "12 minutes",
        (*_BENCH, "api", "--cases", "10000", "--seed", "1", "--postgresql", "--json"),
    ),
    Proof(
        "experiments",
        "each experiment of the audits of services and network, in a table: expected, observed, lost, doubled, made up",
        "12 minutes",
        (sys.executable, "-m", "tests.proofs.experiments"),
    ),
    Proof(
        "frozen",
        "a process stopped within a write on PostgreSQL for 60 s: others read on, and write within 20 s",
        "2 minutes",
        (sys.executable, "-m", "tests.proofs.frozen_writer", "60"),
    ),
    Proof(
        "rotations",
        "200 rotations of document keys side by side on each database: no document is lost",
        "3 minutes",
        (sys.executable, "-m", "tests.proofs.rotations", "200"),
    ),
    Proof(
        "postgresql",
        "all tests of API, documents and webhooks, with every store on PostgreSQL instead of SQLite",
        "4 minutes",
        ("bash", "-euo", "pipefail", "-c", _ON_POSTGRESQL, sys.executable),
    ),
    Proof(
        "growth",
        "500,000 records beside 50,000, on each database: traces, recalls and record rate within 20 %",
        "15 minutes",
        (sys.executable, "-m", "tests.proofs.growth", "50000", "500000"),
    ),
    Proof(
        "executions",
        "10,000 inputs of each network: contract, numpy, Python and Torch give one verdict",
        "2 minutes",
        (*_BENCH, "executions", "--inputs", "10000", "--json"),
    ),
    Proof(
        "dictionary",
        "a million guesses at all published hashes: none is hit, and without salts all are",
        "1 minute",
        (*_BENCH, "dictionary", "--guesses", "1000000", "--json"),
    ),
    Proof("forda", "accuracy on UCR FordA; needs --data DIR", "minutes", (*_BENCH, "forda")),
    Proof("steel", "macro F1 on UCI Steel Plates Faults; needs --data DIR", "minutes", (*_BENCH, "steel")),
    Proof("ai4i", "F1 on AI4I 2020; needs --data DIR", "minutes", (*_BENCH, "ai4i")),
    Proof(
        "digest",
        "one digest over evaluators, batches, threads and instruction sets; needs --model FILE",
        "minutes",
        (*_BENCH, "digest"),
    ),
    Proof(
        "long",
        "how far the longest runs are, in parts that add up in tests/long_runs.jsonl; NAME goes on with one of them",
        "hours",
        (sys.executable, "-m", "tests.proofs.long_runs"),
    ),
    Proof(
        "mutants",
        "code changed in one place at a time: at least 95 % of the changes are noticed by a test; PACKAGE is verify, "
        "submit, plans or contracts, without one the counts so far",
        "hours",
        (sys.executable, "-m", "tests.proofs.mutation.command"),
    ),
    Proof(
        "joined",
        "outbox, chain and index in 1,000 random histories of two keys: nothing lost, doubled, phantom or misordered",
        "5 minutes",
        (sys.executable, "-m", "tests.proofs.joined_model"),
    ),
    Proof(
        "builds",
        "two builds of wheel, contracts and bills of materials, in other places and at other times: equal bytes",
        "2 minutes",
        ("bash", "-euo", "pipefail", "-c", _WITH_SUPPLY, sys.executable, "tests.proofs.builds"),
    ),
    Proof(
        "advisories",
        "known vulnerabilities of every locked package; needs the databases of PyPI (or -s osv) and npm",
        "5 minutes",
        ("bash", "-euo", "pipefail", "-c", _WITH_SUPPLY, sys.executable, "tests.proofs.advisories"),
    ),
    Proof(
        "lowest",
        "the unit tests on the lowest versions that pyproject.toml allows, in .venv-lowest",
        "10 minutes",
        ("bash", "-euo", "pipefail", "-c", _ON_LOWEST, "prove"),
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Returns the proof's exit code; 0 for the list, 2 for an unknown name."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_list())
        return 0
    proof = next((one for one in PROOFS if one.name == arguments[0]), None)
    if proof is None:
        sys.stderr.write(f"prove: nothing is called {arguments[0]!r}; scripts/prove lists the names\n")
        return 2
    sys.stderr.write(f"{proof.shows}; takes {proof.takes}\n")
    command = [*proof.command, *arguments[1:]]
    return subprocess.run(command, cwd=proof.folder, env=os.environ | proof.environment, check=False).returncode


def _list() -> str:
    width = max(len(one.name) for one in PROOFS)
    rows = [f"    {one.name:{width}}  {one.takes:10}  {one.shows}\n" for one in PROOFS]
    return "".join(["scripts/prove NAME [ARGS]    ARGS go to the command behind the name\n\n", *rows])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
