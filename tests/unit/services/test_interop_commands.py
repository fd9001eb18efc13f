"""`millmark digital-link` and `millmark epcis`: answers, exit codes, one line for every failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Runner

GTIN = "https://example.com/01/09506000013459"
EVENT: dict[str, Any] = {
    "type": "ObjectEvent",
    "eventTime": "2020-03-04T11:00:30+01:00",
    "eventTimeZoneOffset": "+01:00",
    "epcList": ["urn:epc:id:sgtin:4012345.011111.987"],
    "action": "ADD",
}
BAD = {**EVENT, "bizStep": "transforming"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, monkeypatch, capsys)


def document(run: Runner, *events: Any, name: str = "events.jsonld") -> str:
    shell = {"@context": ["https://a.example/c"], "type": "EPCISDocument", "schemaVersion": "2.0"}
    path = run.home / name
    path.write_text(json.dumps({**shell, "creationDate": EVENT["eventTime"], "epcisBody": {"eventList": list(events)}}))
    return str(path)


def test_a_link_is_answered_as_json_and_drawn(run: Runner) -> None:
    code, out, err = run("digital-link", f"{GTIN}/21/A?17=271231", "--qr", str(run.home / "code.svg"))
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "format": "millmark.digital-link/1",
        "ai": {"01": "09506000013459", "21": "A", "17": "271231"},
        "canonical": "https://id.gs1.org/01/09506000013459/21/A",
        "unmet": [],
    }
    assert (run.home / "code.svg").read_text().startswith("<svg")


@pytest.mark.parametrize("uri", ["", "engine-7", f"{GTIN[:-1]}8", f"{GTIN}?17=271331", f"{GTIN}/10/%", "-x"])
def test_a_link_that_is_none_is_unusable(run: Runner, uri: str) -> None:
    code, out, err = run("digital-link", "--", uri)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_a_code_that_cannot_be_written_leaves_no_answer(run: Runner) -> None:
    code, out, err = run("digital-link", GTIN, "--qr", str(run.home / "missing" / "code.svg"))
    assert (code, out) == (2, "")
    assert "cannot write" in err


def test_one_hash_a_line(run: Runner) -> None:
    code, out, _ = run("epcis", "hash", document(run, EVENT, BAD, EVENT))
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == lines[2] != lines[1]
    assert all(line.startswith("ni:///sha-256;") and line.endswith("?ver=CBV2.0") for line in lines)


@pytest.mark.parametrize("command", ["hash", "capture"])
@pytest.mark.parametrize("text", ["", "{}", "[]", "<a", "x"])
def test_a_file_of_something_else_is_unusable(run: Runner, command: str, text: str) -> None:
    path = run.home / "file"
    path.write_text(text)
    for name in (path, run.home / "missing", run.home):
        code, out, err = run("epcis", command, str(name))
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
    assert not (run.home / "epcis-events.jsonl").exists()


def test_captured_once_and_a_duplicate_after(run: Runner) -> None:
    path = document(run, EVENT)
    for expected in ("accepted", "duplicate"):
        code, out, err = run("epcis", "capture", path)
        assert (code, err) == (0, "")
        assert json.loads(out)["status"] == expected
    assert len((run.home / "epcis-events.jsonl").read_text().splitlines()) == 1


def test_one_bad_event_is_named_and_the_others_are_kept(run: Runner) -> None:
    code, out, _ = run("epcis", "capture", document(run, BAD, EVENT))
    said = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [one["status"] for one in said] == ["rejected", "accepted"]
    assert said[0]["reasons"][0]["pointer"] == "/epcisBody/eventList/0/bizStep"
    assert said[1]["records"] == []
    assert "is named by its company's gateway" in said[1]["evidence_only"][0]
    assert (run.home / "epcis-events.jsonl").exists()


def test_a_log_that_cannot_be_opened_is_unusable(run: Runner) -> None:
    (run.home / "epcis-events.jsonl").mkdir()
    code, out, err = run("epcis", "capture", document(run, EVENT))
    assert (code, out) == (2, "")
    assert "cannot open" in err
