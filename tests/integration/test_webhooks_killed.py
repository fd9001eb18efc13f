"""A gateway that is killed while it tells receivers, again and again: nothing is left out, nothing overtakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from itertools import groupby
from pathlib import Path

import pytest

from millmark.services.store import open_store
from millmark.services.webhooks.subscriptions import Filter, RecordFeed, parse_position
from tests.support.fake_world import build_world
from tests.support.patience import MAX_S, wait_until
from tests.support.ports import pick_port
from tests.support.processes import command_of
from tests.support.receiver import Receiver

pytestmark = pytest.mark.integration


def millmark(home: Path, *arguments: str) -> str:
    done = subprocess.run(command_of("--home", home, *arguments), capture_output=True, text=True, timeout=MAX_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start(home: Path) -> subprocess.Popen[str]:
    command = command_of("--home", home, "gateway")
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)


def test_killed_in_the_middle_and_started_again(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'millmark.sqlite'}") as store:
        build_world(store)
        entries, _ = RecordFeed(store).after(parse_position("0.0"), 1000, None, Filter())
    expected = [(one.event["id"], one.event["position"]) for one in entries]
    (tmp_path / "millmark.toml").write_text(f"webhook_loopback = true\ngateway_port = {pick_port()}\n")
    with Receiver() as receiver:
        added = json.loads(millmark(tmp_path, "webhooks", "add", receiver.url, "--after", "0.0", "--json"))
        kill_at = [4, 21]
        for number in kill_at:
            process = start(tmp_path)
            try:
                wait_until(lambda number=number: len(receiver.taken) >= number, 40)  # type: ignore[misc]  # bound early
            finally:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
        process = start(tmp_path)
        try:
            wait_until(lambda: bool(receiver.taken) and receiver.taken[-1]["id"] == expected[-1][0], 40)
        finally:
            process.terminate()
            assert process.wait(MAX_S) in (0, -signal.SIGTERM)
    told = [(one["id"], one["position"]) for one in receiver.taken]
    assert [one for one, _ in groupby(told)] == expected  # at most the delivery that was under way came twice
    assert len(told) - len(expected) <= len(kill_at)
    [listed] = json.loads(millmark(tmp_path, "webhooks", "list", "--json"))["webhooks"]
    assert (listed["id"], listed["position"], listed["state"]) == (added["webhook"]["id"], expected[-1][1], "active")
    millmark(tmp_path, "webhooks", "resume", listed["id"])
    renewed = json.loads(millmark(tmp_path, "webhooks", "secret", listed["id"], "--json"))
    assert renewed["secret"] != added["secret"]
    assert "whsec_" not in millmark(tmp_path, "webhooks", "list", "--json")
    millmark(tmp_path, "webhooks", "remove", listed["id"])
    assert json.loads(millmark(tmp_path, "webhooks", "list", "--json"))["webhooks"] == []
