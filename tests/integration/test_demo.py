"""The main job end to end, small, on windows made here; and the commands that it suggests."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from millmark.quality.audit import ESTABLISHED, audit, parse_extract
from millmark.quality.errors import AuditError
from millmark.services.settings import SETTINGS_FILE
from tests.support.patience import MAX_S

pytestmark = pytest.mark.integration
_NOBODY = "http://127.0.0.1:9"
"""Where no chain answers. Another one may at the demonstration's own port: the test of the guide serves there."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object], str]:
    """Home folder, JSON report and printed summary of a run with 7 orders."""
    folder = tmp_path_factory.mktemp("demo")
    random = np.random.default_rng(7)
    labels = np.array([-1, 1] * 20)
    hum = np.sin(2 * np.pi * 5 * np.arange(500) / 500)  # which the model passes; it fails silence
    values = np.where(labels[:, None] == 1, 0.0, hum) + random.normal(scale=0.001, size=(40, 500))
    rows = np.column_stack([labels, values])
    np.savetxt(folder / "windows.tsv", rows, delimiter="\t", fmt=["%d", *["%.6f"] * 500])
    done = _run(
        "demo",
        "--fast",
        "--orders=7",
        f"--out={folder / 'home'}",
        f"--data={folder / 'windows.tsv'}",
        f"--json={folder / 'out.json'}",
    )
    assert done.returncode == 0, done.stderr
    settings = folder / "home" / SETTINGS_FILE
    settings.write_text(settings.read_text().replace("http://127.0.0.1:8601", _NOBODY))
    return folder / "home", json.loads((folder / "out.json").read_text()), done.stdout


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "millmark.services.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=5 * MAX_S)


def test_companies_with_homes_and_gateways_of_their_own(
    demo: tuple[Path, dict[str, object], str], tmp_path: Path
) -> None:
    """The first command that people try, small. Nothing but gateways brings names and documents to others."""
    files = (f"--out={tmp_path / 'out'}", f"--data={demo[0].parent / 'windows.tsv'}", f"--json={tmp_path / 'out.json'}")
    done = _run("demo", "--orders=4", *files)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["sequences_equal"] is True
    assert report["delivered"] == 3, "one failed on its pallet"
    assert {"Suspend", "Reinstate", "ReturnLot"} <= report["records"].keys()


@pytest.mark.left_out
def test_another_product_is_made_by_its_own_routes(demo: tuple[Path, dict[str, object], str], tmp_path: Path) -> None:
    windows = demo[0].parent / "windows.tsv"
    files = (f"--out={tmp_path / 'home'}", f"--data={windows}", f"--json={tmp_path / 'out.json'}")
    done = _run("demo", "--fast", "--orders=4", "--product=implant", *files)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out.json").read_text())
    routes = {tuple(one["operations"]): one["orders"] for one in report["product"]["routes"]}
    assert len(routes) > 1, "routes differ by option"
    assert sum(routes.values()) == 4
    reworked = report["certificates"]["fail"] - report["records"]["ReturnLot"]
    finished = sum(len(route) * count for route, count in routes.items())
    assert finished <= report["records"]["FinishAssignment"] <= finished + reworked
    assert "hip stem, fitted to the patient, configured 4 times" in done.stdout
    assert report["sequences_equal"] is True
    machines = {one["machine"]["identifier"].rpartition("/8004/9506000")[2] for one in report["trace"]["assignments"]}
    assert {name.partition("-")[0] for name in machines} == {"MILL", "BATH", "PACK"}
    part = report["trace"]["lot"]["identifier"].rpartition("/")[2]
    assert re.search(rf"\(01\)09506000020013\(17\)\d{{6}}\(21\){part}", (tmp_path / "home" / "part.bundle").read_text())


def test_index_and_chain_are_equal(demo: tuple[Path, dict[str, object], str]) -> None:
    _, report, _ = demo
    assert report["sequences_equal"] is True
    assert report["chain_sequence"] == report["index_sequence"]
    assert sum(report["records"].values()) == sum(report["chain_sequence"].values())  # type: ignore[attr-defined]  # the report is JSON


def test_every_order_is_delivered_or_in_quarantine(demo: tuple[Path, dict[str, object], str]) -> None:
    _, report, _ = demo
    certificates = report["certificates"]
    assert isinstance(certificates, dict)
    assert report["delivered"] == report["records"]["ConfirmDelivery"]  # type: ignore[index]  # the report is JSON
    sent_back = report["records"]["ReturnLot"]  # type: ignore[index]  # the report is JSON
    assert report["delivered"] == certificates["pass"] - sent_back
    assert report["records"]["IssueCertificate"] == sum(certificates.values()) + 1  # type: ignore[index]  # the report is JSON


def test_a_sample_a_part_sent_back_and_a_coordinator_that_vanished_are_told(
    demo: tuple[Path, dict[str, object], str],
) -> None:
    _, report, printed = demo
    events = report["events"]
    assert isinstance(events, list)
    sampled, failed, vanished, sent_back = events
    assert all(event in printed for event in events)
    assert "8 bearings passed on a sample of 5 (ISO 2859-1, AQL 2.5, letter C); lots: 1" in sampled
    assert re.search(r"failed during turning: [1-9]\d* of 21 operations moved, all agreed", failed)
    assert "quarantined" in sent_back
    assert vanished.startswith("Kestrel Coordination vanished")
    records = report["records"]
    assert isinstance(records, dict)
    assert (records["ReturnLot"], records["Suspend"], records["AcceptRevision"]) == (1, 1, 1)


def test_the_orders_are_planned_with_a_proof_and_both_sides_agree(demo: tuple[Path, dict[str, object], str]) -> None:
    _, report, printed = demo
    plan, records = report["plan"], report["records"]
    assert isinstance(plan, dict)
    assert isinstance(records, dict)
    assert (plan["operations"], plan["offers"]) == (21, 42)
    assert 0 <= plan["first"]["gap_per_mille"] < 1000
    reworked = records["FinishAssignment"] - 21
    assert records["ProposeAssignment"] == records["AcceptAssignment"] == 21 + reworked + plan["last"]["moved"]
    assert records["CancelAssignment"] == plan["last"]["moved"] > 0
    assert "% cheaper, checked" in printed


def test_demand_is_forecast_and_an_earlier_forecast_scored(demo: tuple[Path, dict[str, object], str]) -> None:
    _, report, printed = demo
    demand = report["demand"]
    assert isinstance(demand, dict)
    earlier, coming = demand["earlier"], demand["coming"]
    assert (demand["orders"], earlier["weeks"], coming["weeks"]) == (62, 10, 13)
    assert f"forecast recorded 10 weeks ago: {earlier['forecast_pieces']} pieces; {earlier['came']} came" in printed
    assert f"{coming['pieces']} pieces" in printed


def test_the_traced_part_names_everything(demo: tuple[Path, dict[str, object], str]) -> None:
    _, report, _ = demo
    trace = report["trace"]
    assert isinstance(trace, dict)
    names = {assignment["owner"]["name"] for assignment in trace["assignments"]}
    assert names == {"Alder Forge", "Birch Machining", "Cedar Assembly"}
    assert {trace["order"]["buyer"]["name"], trace["order"]["coordinator"]["name"]} == {
        "Nordwind Mobility",
        "Kestrel Coordination",
    }
    assert all(assignment["machine"]["identifier"] for assignment in trace["assignments"])
    assert trace["certificates"][0]["model"]["digest"].startswith("0x322f3f6d")
    assert len(trace["upstream"]) == 4
    assert trace["lot"]["holder"]["name"] == "Nordwind Mobility"


def test_the_commands_of_companies_work_without_the_gateway(demo: tuple[Path, dict[str, object], str]) -> None:
    """They answer from the index, and say that the chain does not."""
    _, report, printed = demo
    lines = (
        printed.split("from the command line, as a company:")[1].split("next, in a browser:")[0].strip().splitlines()
    )
    suggested = [line.split() for line in lines]
    for line, name in zip(suggested, ("trace", "recall"), strict=True):
        assert name in line
        done = _run(*line[1:], "--json")
        assert done.returncode == 0, done.stderr
        assert _NOBODY in done.stderr
        assert json.loads(done.stdout)["as_of"]["digest"] == report["index_digest"]


def test_the_written_proof_verifies(demo: tuple[Path, dict[str, object], str]) -> None:
    home, _, _ = demo
    done = _run("verify", str(home / "part.bundle"), f"--trust={home / 'trust.json'}", "--json")
    assert json.loads(done.stdout)["verified"], done.stderr
    codes = {one["code"] for one in json.loads(done.stdout)["statements"]}
    assert "checkpoint_sealed" in codes, "believed by its validators alone"
    assert not {"checkpoint_named", "checkpoint_cosigned"} & codes
    believed = json.loads((home / "trust.json").read_text())["checkpoint"]
    assert (believed["kind"], len(believed["validators"]), believed["cosigners"]) == ("sealed", 4, None)


def test_ten_tamperings_are_refused_each_at_its_step(demo: tuple[Path, dict[str, object], str]) -> None:
    _, report, printed = demo
    refused = report["bundle"]["refused"]  # type: ignore[index]  # the report is JSON
    assert [one["step"] for one in refused] == [5, 4, 7, 7, 8, 9, 10, 3, 3, 2]
    assert all(one["reason"] in printed for one in refused)


def test_an_auditor_re_executes_the_traced_parts_certificate(
    demo: tuple[Path, dict[str, object], str], tmp_path: Path
) -> None:
    home, report, _ = demo
    lot = report["trace"]["lot"]["subject"]  # type: ignore[index]  # the report is JSON
    done = _run("--home", str(home), "bundle", lot, "--audit", "-o", str(tmp_path / "extract.json"))
    assert done.returncode == 0, done.stderr
    content = (tmp_path / "extract.json").read_bytes()
    assert audit(parse_extract(content)) == ESTABLISHED
    changed = re.sub(rb'"logits":\[-?\d', rb"\g<0>9", content)
    with pytest.raises(AuditError, match="logits"):
        audit(parse_extract(changed))


def test_windows_of_the_wrong_width_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "narrow.tsv").write_text("1\t0.5\t0.25\n-1\t0.5\t0.25\n")
    done = _run("demo", "--fast", "--orders=2", f"--out={tmp_path / 'home'}", f"--data={tmp_path / 'narrow.tsv'}")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("millmark: ")
