"""What comes in over HTTP and from folders: refusals, duplicates, limits, and what a crash leaves."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from millmark.ledger.errors import SettingsError
from millmark.services.node.config import FolderSource
from millmark.services.node.events import LogBusyError, LogError, LogFullError, parse_event
from millmark.services.node.evidence_recorder import leaf_of
from millmark.services.node.http_capture import MAX_BATCH_BYTES, MAX_EVENTS, create_capture
from millmark.services.node.intake import FolderCapture
from millmark.services.node.submission import ChainHead, Health
from millmark.services.serving.logs import build_logger
from tests.support.gateway_client import client_of
from tests.support.node_parts import Parts, open_parts
from tests.support.patience import MAX_S

TOKEN = "canary-token-0123456789-0123456789"
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    with open_parts(tmp_path, samples_field="samples") as opened:
        yield opened


@pytest.fixture
def client(parts: Parts) -> httpx.Client:
    return _client(parts)


def _client(parts: Parts) -> httpx.Client:
    app = create_capture(
        parts.intake, parts.metrics, lambda: Health([], True, ChainHead(), [], {}), TOKEN, build_logger()
    )
    return client_of(app, {"Authorization": f"Bearer {TOKEN}"})


def _event(number: int, **members: Any) -> dict[str, Any]:
    return {"id": f"e{number}", "data": {"force": number}, **members}


def test_a_batch_is_taken_and_a_second_one_is_recognised(client: httpx.Client, parts: Parts) -> None:
    events = [_event(number) for number in range(5)]
    first = client.post("/v1/events", json=[*events[:2], {"id": "bad"}, *events[2:]]).json()
    assert first["accepted"] == 5
    leaves = [(leaf["position"], leaf["stream"], leaf["leaf_index"]) for leaf in first["leaves"]]
    assert leaves == [(0, "press", 0), (1, "press", 1), (3, "press", 2), (4, "press", 3), (5, "press", 4)]
    stored = [entry for frame in parts.log.frames(parts.log.start) for entry in frame.entries]
    assert [leaf["leaf_hash"] for leaf in first["leaves"]] == ["0x" + leaf_of(entry).hex() for entry in stored]
    again = client.post("/v1/events", json=[*events, _event(5), _event(5)])
    assert (again.status_code, again.json()["accepted"], again.json()["duplicates"]) == (200, 1, 6)
    assert [(leaf["position"], leaf["leaf_index"]) for leaf in again.json()["leaves"]] == [(5, 5)]
    lines = "\n".join(json.dumps(_event(number)) for number in range(4, 8)) + "\n\n"
    assert client.post("/v1/events", content=lines, headers=LINES).json()["accepted"] == 2
    assert [json.loads(content)["id"] for content in parts.contents()] == [f"e{number}" for number in range(8)]


def test_an_event_comes_alone_as_an_object(client: httpx.Client, parts: Parts) -> None:
    assert client.post("/v1/events", json=_event(1)).json()["accepted"] == 1
    assert [json.loads(content)["id"] for content in parts.contents()] == ["e1"]


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (1, "not-an-object"),
        ({}, "id-missing"),
        ({"id": ""}, "id-malformed"),
        ({"id": "x" * 129}, "id-malformed"),
        ({"id": "a\nb"}, "id-malformed"),
        ({"id": 7}, "id-malformed"),
        ({"id": None}, "id-malformed"),
        ({"id": "a"}, "data-missing"),
        ({"id": "a", "data": []}, "data-missing"),
        ({"id": "a", "data": {}, "extra": 1}, "unknown-member"),
        ({"id": "a", "data": {}, "stream": "lathe"}, "stream-unknown"),
        ({"id": "a", "data": {}, "time": 5}, "time-malformed"),
        ({"id": "a", "data": {}, "order": "0x12"}, "order-malformed"),
        ({"id": "a", "data": {}, "order": "0x" + "AB" * 32}, "order-malformed"),
        ({"id": "a", "data": {}, "lot": "no uri"}, "lot-malformed"),
        ({"id": "a", "data": {}, "lot": "0x" + "ab" * 32}, "samples-malformed"),
        ({"id": "a", "data": {"samples": [1.5]}, "lot": "0x" + "ab" * 32}, "samples-malformed"),
        ({"id": "a", "data": {"samples": [True]}, "lot": "0x" + "ab" * 32}, "samples-malformed"),
        ({"id": "a", "data": {"x": "y" * 70_000}}, "too-large"),
    ],
)
def test_an_event_that_is_not_one_is_refused_with_its_reason_and_listed(
    client: httpx.Client, parts: Parts, event: object, reason: str
) -> None:
    answer = client.post("/v1/events", json=[event])
    assert answer.status_code == 422
    assert [one["reason"] for one in answer.json()["refused"]] == [reason]
    mixed = client.post("/v1/events", json=[_event(1), event])
    assert (mixed.status_code, mixed.json()["accepted"]) == (200, 1)
    assert mixed.json()["refused"][0]["position"] == 1
    assert len(parts.contents()) == 1
    assert [letter.reason for letter in parts.dead_letters()] == [reason, reason]


def test_a_refusal_is_listed_and_logged_under_the_request_s_id(
    parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    client = _client(parts)  # its logger writes to what is captured now
    for given, chosen in (("shift-7.1", "shift-7.1"), ("no id\t", ""), ("x" * 65, "")):
        answer = client.post(
            "/v1/events", json=[_event(1), {"id": "e1", "data": {}}, {}], headers={"X-Request-ID": given}
        )
        request_id = answer.json()["request_id"]
        assert request_id == (chosen or request_id)
        assert [letter.request_id for letter in parts.dead_letters()[-2:]] == [request_id] * 2
        assert f'"request_id": "{request_id}"' in capsys.readouterr().err
    assert len({letter.request_id for letter in parts.dead_letters()}) == 3


def test_an_id_with_another_content_is_refused(client: httpx.Client, parts: Parts) -> None:
    client.post("/v1/events", json=[_event(1)])
    other = client.post("/v1/events", json=[{"id": "e1", "data": {"force": 2}}])
    assert other.status_code == 422
    assert other.json()["refused"][0]["reason"] == "id-used"
    assert len(parts.contents()) == 1


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", {}, 422),
        (b"", {}, 400),
        (b"[1", {}, 400),
        (b'[{"id":"a","id":"b","data":{}}]', {}, 400),
        (b"\xff", {}, 400),
        (b"[" * 200, {}, 400),
        (b"[]", {"Content-Type": "text/plain"}, 415),
        (b"[]", {"Authorization": "Bearer wrong"}, 401),
        (b"[]", {"Authorization": ""}, 401),
        (b" " * (MAX_BATCH_BYTES + 1), {}, 413),
        (b"[" + b"1," * MAX_EVENTS + b"1]", {}, 413),
        (b"\n", LINES, 422),
        (b"[1\n", LINES, 422),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_whole(
    client: httpx.Client, parts: Parts, body: bytes, headers: dict[str, str], status: int
) -> None:
    given = {"Content-Type": "application/json", "X-Request-ID": "abc", **headers}
    answer = client.post("/v1/events", content=body, headers=given)
    assert answer.status_code == status
    assert answer.headers["X-Request-ID"] == "abc"
    assert TOKEN not in answer.text
    assert parts.contents() == []


def test_a_sender_that_is_gone_stops_nobody_elses_events(parts: Parts) -> None:
    """The server gives up on requests that are under way when it stops."""
    intake = parts.intake
    gone, kept = (intake.check(parse_event(json.dumps(_event(number)).encode()))[1] for number in (1, 2))
    intake.submit("press", [gone]).cancel()
    assert intake.submit("press", [kept]).result(timeout=MAX_S).accepted == 1


def test_a_full_disk_is_told_and_the_same_batch_goes_through_later(client: httpx.Client, parts: Parts) -> None:
    client.post("/v1/events", json=[_event(0)])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (parts.log.end.offset + 10, before[1]))
    try:
        full = client.post("/v1/events", json=[_event(1)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (full.status_code, full.json()["code"], full.headers["Retry-After"]) == (507, "disk-full", "1")
    assert client.post("/v1/events", json=[_event(0), _event(1)]).json()["accepted"] == 1
    assert len(parts.contents()) == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [(LogError("it fails"), 503), (LogFullError("no room"), 507), (LogBusyError("too much waits"), 429)],
)
def test_each_failure_of_the_log_has_its_status(
    client: httpx.Client, parts: Parts, monkeypatch: pytest.MonkeyPatch, error: LogError, status: int
) -> None:
    def submit(*_: object) -> None:
        raise error

    monkeypatch.setattr(parts.intake, "submit", submit)
    answer = client.post("/v1/events", json=[_event(0)])
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (status, error.code, "1")


def test_metrics_need_the_token_and_count(client: httpx.Client) -> None:
    client.post("/v1/events", json=[_event(0), _event(0), {}])
    assert client.get("/metrics", headers={"Authorization": ""}).status_code == 401
    told = client.get("/metrics").text
    assert 'millmark_node_events_total{fate="accepted",stream="press"} 1.0' in told
    assert 'millmark_node_refused_total{reason="id-missing",source="http"} 1.0' in told


# Folders


def _folder(parts: Parts, tmp_path: Path) -> FolderCapture:
    (tmp_path / "in").mkdir(exist_ok=True)
    source = FolderSource(path=tmp_path / "in", stream="press")
    return FolderCapture(source, parts.intake, tmp_path / "progress.json", build_logger())


def _ids(parts: Parts) -> list[str]:
    return [json.loads(content)["id"] for content in parts.contents()]


def _line(number: int) -> str:
    return json.dumps(_event(number)) + "\n"


def test_lines_are_taken_once_and_a_partial_one_waits_for_its_end(parts: Parts, tmp_path: Path) -> None:
    folder = _folder(parts, tmp_path)
    path = tmp_path / "in" / "a.jsonl"
    path.write_text(_line(0) + _line(1)[:9])
    folder.step()
    assert _ids(parts) == ["e0"]
    with path.open("a") as file:
        file.write(_line(1)[9:] + _line(2))
    assert folder.step() == 2
    assert folder.step() == 0
    assert _folder(parts, tmp_path).step() == 0  # a restart goes on where the last one was
    assert _ids(parts) == ["e0", "e1", "e2"]


def test_a_file_that_is_rotated_is_read_to_its_end_and_the_new_one_from_its_beginning(
    parts: Parts, tmp_path: Path
) -> None:
    folder = _folder(parts, tmp_path)
    path = tmp_path / "in" / "a.jsonl"
    path.write_text(_line(0))
    folder.step()
    with path.open("a") as file:
        file.write(_line(1))
    path.rename(path.with_name("a.jsonl.1"))
    path.write_text(_line(2))
    assert folder.step() == 2
    path.write_text(_line(3) + _line(4) + _line(5))  # emptied and written anew, longer than before
    assert folder.step() == 3
    assert sorted(_ids(parts)) == ["e0", "e1", "e2", "e3", "e4", "e5"]


def test_a_line_is_known_by_its_file_and_byte(parts: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = _folder(parts, tmp_path)
    path = tmp_path / "in" / "a.jsonl"
    path.write_text(_line(0) + "rubbish\n" + "\n" + _line(1))
    folder.step()
    with path.open("a") as file:
        file.write(_line(2) + json.dumps({"id": "e0", "data": {}}) + "\n" + _line(2))
    folder.step()
    begins = [len(_line(0)), len(_line(0)) * 3 + len("rubbish\n\n")]
    assert [letter.request_id for letter in parts.dead_letters()] == [f"a.jsonl:{begin}" for begin in begins]
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    taken = [(one["request_id"], one["last_line"], one["leaves"]) for one in told if one["event"] == "lines taken"]
    second = len(_line(0)) + len("rubbish\n\n")
    third = second + len(_line(1))
    last = path.stat().st_size - len(_line(2))
    assert taken == [("a.jsonl:0", second, {"press": [0, 1]}), (f"a.jsonl:{third}", last, {"press": [2, 2]})]


def test_lost_progress_doubles_nothing(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(_line(0) + _line(1))
    _folder(parts, tmp_path).step()
    (tmp_path / "progress.json").unlink()
    assert _folder(parts, tmp_path).step() == 2
    assert _ids(parts) == ["e0", "e1"]


def test_damaged_progress_is_told(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text("[1")
    with pytest.raises(SettingsError, match="remove it"):
        _folder(parts, tmp_path)


def test_links_are_not_followed(parts: Parts, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Or lines of any file that the node may read would be listed among the refused ones."""
    folder = _folder(parts, tmp_path)
    (tmp_path / "secret").write_text("hush\n")
    (tmp_path / "in" / "a.jsonl").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "b.jsonl").write_text(_line(0))
    (tmp_path / "in" / "gone.jsonl").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "in" / "pipe.jsonl")
    assert [folder.step() for _ in range(2)] == [1, 0]
    assert (_ids(parts), parts.dead_letters()) == (["e0"], [])
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert sorted(one["file"] for one in told if one["event"] == "link not followed") == ["a.jsonl", "gone.jsonl"]
    with pytest.raises(OSError, match="symbolic links"):  # put in the file's place between look and opening
        folder._take_file(tmp_path / "in" / "a.jsonl")


def test_a_file_that_is_moved_away_after_the_folder_was_listed_stops_nothing(
    parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _folder(parts, tmp_path)
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.jsonl").write_text(_line(ord(name)))
    look = Path.lstat

    def moved(path: Path) -> os.stat_result:
        if path.name == "a.jsonl":
            path.unlink(missing_ok=True)
        return look(path)

    monkeypatch.setattr(Path, "lstat", moved)
    assert folder.step() == 1


def test_rows_of_csv_are_events(parts: Parts, tmp_path: Path) -> None:
    folder = _folder(parts, tmp_path)
    text = 'id,time,force,note\r\na,2025,1.5,"x, y"\r\nb,,7,\r\nc,,1\r\nb,,8,\r\n"d,,1,1\r\n'
    (tmp_path / "in" / "a.csv").write_text(text, newline="")
    folder.step()
    assert [json.loads(content) for content in parts.contents()] == [
        {"id": "a", "time": "2025", "data": {"force": 1.5, "note": "x, y"}},
        {"id": "b", "data": {"force": 7, "note": ""}},
    ]
    assert sorted(letter.reason for letter in parts.dead_letters()) == ["cells-wrong", "id-used", "not-csv"]


@pytest.mark.parametrize("header", ["time,force", "id,force,force"])
def test_a_csv_file_without_usable_columns_is_refused(parts: Parts, tmp_path: Path, header: str) -> None:
    folder = _folder(parts, tmp_path)
    (tmp_path / "in" / "a.csv").write_text(f"{header}\n" + ",".join("1" for _ in header.split(",")) + "\n")
    folder.step()
    assert [letter.reason for letter in parts.dead_letters()] == ["columns-unusable"]


def test_a_line_without_end_cannot_fill_the_memory(parts: Parts, tmp_path: Path) -> None:
    folder = _folder(parts, tmp_path)
    (tmp_path / "in" / "a.jsonl").write_text("x" * 300_000 + "\n" + _line(0))
    folder.step()
    assert _ids(parts) == ["e0"]
    assert {letter.reason for letter in parts.dead_letters()} == {"not-json"}
