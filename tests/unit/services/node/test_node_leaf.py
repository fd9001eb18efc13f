"""`millmark node leaf`: where an event is in the evidence, whatever source it came from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millmark.ledger.evidence import EvidenceLog
from millmark.ledger.store import Book
from millmark.services.store import open_store
from tests.support.command_line import Runner

STREAMS = {"press": "ab" * 32, "mill": "cd" * 32}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    streams = "".join(
        f'[[streams]]\nname = "{name}"\nmachine = {place}\nsubject = "0x{subject}"\n'
        for place, (name, subject) in enumerate(STREAMS.items(), 1)
    )
    (tmp_path / "data").mkdir()
    (tmp_path / "node.toml").write_text(
        f'data_folder = "data"\n[chain]\nurl = "http://127.0.0.1:1"\n[signer]\nuri = "keystore:key.json"\n{streams}'
    )
    return Runner(tmp_path, monkeypatch, capsys)


def test_an_event_is_found_in_each_stream(run: Runner, tmp_path: Path) -> None:
    config = ("node", "--config", str(tmp_path / "node.toml"), "leaf")
    logs = {name: EvidenceLog() for name in STREAMS}
    with open_store(f"sqlite:///{tmp_path / 'data' / 'millmark.sqlite'}") as store, store.transaction() as connection:
        for name, log in logs.items():
            for number in range(3):
                log.append({"id": f"{name}-{number}" if number else "same", "data": {}}, b"s" * 32)
            Book(connection).add_evidence(bytes.fromhex(STREAMS[name]), log.entries)
    second = "0x" + logs["mill"].entries[1].leaf_hash.hex()
    assert run(*config, "mill-1")[1] == f"stream mill: leaf_index 1, leaf_hash {second}\n"
    shown = json.loads(run(*config, "same", "--json")[1])["entries"]
    assert [(one["stream"], one["leaf_index"]) for one in shown] == [("press", 0), ("mill", 0)]
    assert json.loads(run(*config, "same", "--stream", "mill", "--json")[1])["entries"] == shown[1:]
    assert run.refused(*config, "mill-9") == (
        1,
        "millmark: no event 'mill-9' is in the node's database; wait until it is anchored\n",
    )
    assert "stream 'lathe' is not defined" in run.refused(*config, "same", "--stream", "lathe")[1]
