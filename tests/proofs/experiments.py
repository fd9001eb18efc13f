"""The experiments of two audits, on this code, as one table: `python -m tests.proofs.experiments [NAMES] [--json]`.

Each is a test that ends with its figures (fixture `judge`), or a command that prints them. What the audits saw, on
commit b50ec72, is repeated beside them. Exit code 1 if an experiment failed, gave no figures, or counted anything that
was lost, doubled, made up, or called failed although it is on the ledger.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from millmark.ledger.chain import Chain
from millmark.ledger.chain.codec import read_function
from millmark.ledger.events.lots import LotReceived
from millmark.ledger.ids import SubjectKind, subject
from millmark.ledger.records import Contract
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.store.outbox_records import OutboxState

__all__ = ["COUNTS", "EXPERIMENTS", "Experiment", "count_lots", "count_records", "main"]

ROOT = Path(__file__).parents[2]
COUNTS = ("acknowledged", "lost", "doubled", "made_up", "failed")
_HEAD = ("experiment", "expected", "audit", "observed", *COUNTS, "result")
_NODE, _NETWORK = "tests/integration/test_node.py", "tests/unit/ledger/test_submit_network.py"
_READY, _RESTORED = "tests/unit/services/test_gateway_readiness.py", "tests/unit/services/test_gateway_restored.py"
_ONCE = f"{_NETWORK}::test_whatever_a_node_shows_meanwhile_each_record_is_made_once"


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is done, what should happen, and what happened when it was done first."""

    name: str
    expected: str
    audit: str
    """What the audit of commit b50ec72 saw."""
    test: str = ""
    """A test, in pytest's notation; or else:"""
    command: tuple[str, ...] = ()
    read: Callable[[list[dict[str, Any]]], dict[str, Any]] = field(default=lambda found: found[0])
    """Makes figures of the objects that the command prints."""


def count_lots(chain: Chain, acknowledged: Sequence[bytes], since: int, failed: int = 0) -> dict[str, int]:
    """Compares the subjects of lots that were acknowledged with those that the ledger received after sequence `since`.
    `failed`: records that are called failed."""
    found: Counter[bytes] = Counter()
    for number in range(chain.head_number() + 1):
        for one in chain.recorded(chain.header(number)):
            if isinstance(one.event, LotReceived) and one.sequence > since:
                found[one.subject] += 1
    return {
        "acknowledged": len(acknowledged),
        "lost": sum(one not in found for one in acknowledged),
        "doubled": sum(count - 1 for count in found.values()),
        "made_up": sum(one not in set(acknowledged) for one in found),
        "failed": failed,
    }


def _lots_of(chain: Chain, outbox: Outbox, ids: Sequence[int]) -> list[bytes]:
    """The subjects of the lots that these records receive."""
    found = []
    for record in (outbox.record(number) for number in ids):
        call = read_function(Contract.LEDGER, record.payload)
        owner = chain.read(Contract.REGISTRY, "actorOf", record.signer)[0]
        assert call is not None
        assert isinstance(owner, int)
        assert isinstance(call[1][0], bytes)
        found.append(subject(SubjectKind.LOT, owner, call[1][0]))
    return found


def count_records(chain: Chain, outbox: Outbox, ids: Sequence[int], since: int) -> dict[str, int]:
    """As `count_lots`, for records of an outbox that each receive a lot."""
    failed = sum(outbox.record(number).state is OutboxState.FAILED for number in ids)
    return count_lots(chain, _lots_of(chain, outbox, ids), since, failed)


def _faults(name: str, count: int) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.faults", name, "--count", str(count), "--json")


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"tests.proofs.{name}", *arguments)


def _read_faults(found: list[dict[str, Any]]) -> dict[str, Any]:
    [report] = found
    observed = "; ".join(report["broken"]) or ", ".join(
        f"{name} {value}" for name, value in report.items() if name.endswith(("_ratio", "_refused", "leaders"))
    )
    names = {"doubled": "duplicate", "made_up": "phantom"}
    return {
        "observed": observed,
        **{one: report[names.get(one, one)] for one in COUNTS if one != "failed"},
        "failed": 0,
    }


def _read_frozen(found: list[dict[str, Any]]) -> dict[str, Any]:
    [one] = found
    reads = f"{one['reads']} reads, {one['failed_reads']} failed, slowest {one['slowest_read_s']} s"
    return {
        "observed": f"{reads}; first write after {one['first_write_s']} s, lease after {one['lease_taken_over_s']} s"
    }


def _read_rotations(found: list[dict[str, Any]]) -> dict[str, Any]:
    observed = "; ".join(f"{one['rotations']} rotations, {one['keys']} key left" for one in found)
    lost, documents = (sum(one[name] for one in found) for name in ("lost", "documents"))
    return {"observed": observed, "acknowledged": documents, "lost": lost, "doubled": 0, "made_up": 0, "failed": 0}


def _line(name: str, fault: str, audit: str) -> Experiment:
    return Experiment(name, "each record once, whatever the node shows", audit, f"{_ONCE}[{fault}]")


EXPERIMENTS = (
    Experiment(
        "log-reader-node",
        "recording goes on, an alarm tells",
        "thread dead, nothing anchored, no word",
        f"{_NODE}::test_a_dead_log_reader_stops_no_recording",
    ),
    Experiment(
        "log-reader-gateway",
        "requests and index go on, an alarm tells",
        "follower dead, suspended company let in",
        f"{_READY}::test_a_dead_log_keeps_nobody_in[dead_standard_error]",
    ),
    Experiment(
        "disk-full-with-log",
        "503, and on by itself",
        "500, follower dead until a restart",
        "tests/integration/test_full_disk.py::test_a_disk_that_is_full_with_the_log_on_it_is_a_503_and_passes",
    ),
    Experiment(
        "sockets",
        "others wait, and cost CPU, at most 3 times as much as undisturbed, block by block",
        "503 for everybody",
        command=_faults("sockets", 260),
        read=_read_faults,
    ),
    Experiment(
        "lock-holder-stopped",
        "reads go on, writes within 20 s (PostgreSQL, 60 s)",
        "500 for reads and writes, 30 to 154 s",
        command=_module("frozen_writer", "60"),
        read=_read_frozen,
    ),
    Experiment(
        "rotations-at-once",
        "no document lost, on both databases, 200 times",
        "3 documents of one pair in 41 lost",
        command=_module("rotations", "200"),
        read=_read_rotations,
    ),
    Experiment(
        "backup-gateway",
        "5 waiting and 10 later records: recognised",
        "10 doubled, 5 called failed",
        f"{_RESTORED}::test_nothing_is_doubled_or_called_failed_after_an_older_backup",
    ),
    Experiment(
        "backup-record-under-way",
        "made once",
        "not tried",
        f"{_RESTORED}::test_a_record_that_was_under_way_and_went_out_again_is_not_made_twice",
    ),
    Experiment(
        "backup-relay",
        "refused, told, and clients go on after `outbox adopt`",
        "not tried",
        "tests/integration/test_relay_restored.py::test_a_relays_clients_go_on_after_its_older_backup_was_restored",
    ),
    Experiment(
        "chain-set-back",
        "recording halts and says so; records go out again once",
        "late halt; went out again only with something new",
        "tests/unit/services/test_gateway_set_back.py::test_final_records_that_the_chain_lost_go_out_again_once",
    ),
    Experiment(
        "node-folder-copied",
        "told before its next anchor",
        "13 of 28 anchors failed unnoticed",
        f"{_NODE}::test_copies_of_a_nodes_folder_are_told_within_one_anchor",
    ),
    Experiment(
        "clock-sign-in",
        "+20 min, back, -1 day: nothing replayed, nothing stale accepted",
        "replay taken, expired credentials live again",
        "tests/unit/services/test_access_signin.py::test_what_has_expired_stays_so_when_the_clock_is_set_back[1200]",
    ),
    Experiment(
        "clock-records",
        "clocks jump, leaders stop: each record once",
        "held",
        command=_faults("clock", 5),
        read=_read_faults,
    ),
    Experiment(
        "index-stale",
        "a company suspended meanwhile is kept out (503)",
        "let in",
        f"{_READY}::test_a_suspended_company_is_kept_out_although_the_index_stands",
    ),
    _line("l-receipts-null", "no_receipts", "6 of 23 doubled (Besu), 10 of 35 (geth)"),
    _line("l-receipts-null-9-in-10", "few_receipts", "1 of 28 doubled, 2 of 37"),
    _line("l-receipts-of-another-node", "receipts_of_another_node", "12 of 51 doubled"),
    _line("l-two-nodes-in-turn", "two_nodes_in_turn", "held"),
    _line("l-everything-old", "everything_old", "held"),
    _line("l-block-number-old", "old_head", "held"),
    _line("l-sends-swallowed", "sends_swallowed", "held"),
    _line("l-no-answer", "no_answer", "held"),
    _line("l-receipts-are-an-error", "receipts_unavailable", "held"),
    _line("l-block-receipts-empty", "no_receipts_at_all", "held"),
    Experiment(
        "j2-network-without-contracts",
        "nothing signed for it",
        "signed and sent there, 2 out of order",
        f"{_NETWORK}::test_a_live_submitter_signs_nothing_for_another_network[no contracts]",
    ),
    Experiment(
        "j3-network-with-same-addresses",
        "nothing signed for it",
        "18 lost, 18 made up",
        f"{_NETWORK}::test_a_live_submitter_signs_nothing_for_another_network[same addresses]",
    ),
    Experiment(
        "e2-node-cut-off",
        "its records wait",
        "21 called failed in one step",
        f"{_NETWORK}::test_a_node_that_is_cut_off_fails_no_record",
    ),
    Experiment(
        "i3-node-syncing",
        "its records wait, and it is told",
        "12 called failed",
        f"{_NETWORK}::test_a_node_in_sync_again_only_in_part_fails_no_record",
    ),
    Experiment(
        "g-key-in-two-places",
        "the transaction that took the nonce is named",
        "30 s for each, order lost",
        f"{_NETWORK}::test_the_transaction_that_used_a_nonce_is_named",
    ),
)


def _run_tests(chosen: Sequence[Experiment], folder: Path) -> dict[str, dict[str, Any] | None]:
    """Figures by the experiment's name; None for a test that failed, empty for one that was skipped."""
    if not chosen:
        return {}
    report, tests = folder / "report.xml", [one.test for one in chosen]
    options = ("-n0", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "-o", "junit_family=xunit1")
    command = (sys.executable, "-m", "pytest", *options, *tests)
    subprocess.run(command, cwd=ROOT, check=False, stdout=sys.stderr)
    cases = {_case(one): one for one in ElementTree.parse(report).iter("testcase")}  # noqa: S314  # written by pytest
    return {one.name: _figures(cases.get(one.test)) for one in chosen}


def _case(case: ElementTree.Element) -> str:
    return f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"


def _figures(case: ElementTree.Element | None) -> dict[str, Any] | None:
    if case is None or case.find("failure") is not None or case.find("error") is not None:
        return None
    told = [one.get("value", "") for one in case.iter("property") if one.get("name") == "experiment"]
    if case.find("skipped") is not None:
        return {"observed": "skipped: " + str((case.find("skipped") or case).get("message", ""))}
    found: dict[str, Any] = json.loads(told[-1]) if told else {}
    return found


def _run_command(one: Experiment) -> dict[str, Any] | None:
    done = subprocess.run(one.command, cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    try:
        found = one.read(_objects(done.stdout))
    except (ValueError, KeyError, IndexError):
        return None
    return found if done.returncode == 0 else {**found, "broken": True}


def _objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects in what a command printed, whatever stands around them."""
    found, decoder, at = [], json.JSONDecoder(), 0
    while (at := text.find("{", at)) >= 0:
        value, at = decoder.raw_decode(text.replace("'", '"'), at)
        found.append(value)
    return found


def _row(one: Experiment, found: Mapping[str, Any] | None) -> list[str]:
    figures = found or {}
    wrong = found is None or not figures.get("observed") or figures.get("broken")
    wrong = wrong or any(figures.get(name) for name in COUNTS[1:])
    counts = [str(figures.get(name, "-")) for name in COUNTS]
    return [one.name, one.expected, one.audit, str(figures.get("observed", "-")), *counts, "FAILED" if wrong else "ok"]


def main(arguments: Sequence[str]) -> int:
    """Runs the named experiments, or all. Returns the exit code."""
    names = [one for one in arguments if not one.startswith("-")]
    chosen = [one for one in EXPERIMENTS if not names or one.name in names]
    if len(chosen) < len(names):
        sys.stderr.write(f"experiments are {', '.join(one.name for one in EXPERIMENTS)}\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        found = _run_tests([one for one in chosen if one.test], Path(folder))
    rows = [_row(one, found[one.name] if one.test else _run_command(one)) for one in chosen]
    if "--json" in arguments:
        sys.stdout.write(json.dumps([dict(zip(_HEAD, row, strict=True)) for row in rows], indent=1) + "\n")
    else:
        sys.stdout.writelines(f"| {' | '.join(row)} |\n" for row in (list(_HEAD), ["---"] * len(_HEAD), *rows))
    return int(any(row[-1] != "ok" for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
