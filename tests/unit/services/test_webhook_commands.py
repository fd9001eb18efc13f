"""`millmark webhooks` and `millmark keys credential`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from millmark.services.interop.credentials.keys import read_credential_key
from tests.support.command_line import Runner

URL = "https://erp.example/hook"


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(tmp_path, monkeypatch, capsys)


def test_a_webhook_from_adding_to_removing(runner: Runner) -> None:
    code, out, _ = runner("webhooks", "add", URL, "--participant", "3", "--kind", "LotReceived", "--json")
    assert code == 0
    made = json.loads(out)
    id_ = made["webhook"]["id"]
    assert (made["webhook"]["participant"], made["webhook"]["kinds"]) == (3, ["LotReceived"])
    code, out, _ = runner("webhooks", "list", "--json")
    assert json.loads(out) == {"format": "millmark.webhooks.list/1", "webhooks": [made["webhook"]]}
    assert made["secret"] not in out
    code, out, _ = runner("webhooks", "secret", id_, "--json")
    assert json.loads(out)["secret"] != made["secret"]
    assert runner("webhooks", "resume", id_)[1] == f"{id_} continues after 0.0\n"
    assert runner("webhooks", "remove", id_)[1] == f"removed {id_}\n"
    assert runner.refused("webhooks", "remove", id_)[1].startswith(f"millmark: webhook '{id_}' not found")


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://erp.example/"],
        ["https://10.0.0.1/"],
        ["http://127.0.0.1:5000/"],
        [URL, "--kind", "lot"],
        [URL, "--subject", "urn:example:hip-1"],
        [URL, "--after", "now"],
    ],
)
def test_webhooks_that_are_refused(runner: Runner, arguments: list[str]) -> None:
    assert runner.refused("webhooks", "add", *arguments)[0] == 2
    assert json.loads(runner("webhooks", "list", "--json")[1])["webhooks"] == []


def test_this_machine_only_where_the_operator_says_so(runner: Runner) -> None:
    runner.settings("webhook_loopback = true\n")
    assert runner("webhooks", "add", "http://127.0.0.1:5000/")[0] == 0


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_a_key_that_signs_credentials(runner: Runner, kind: str) -> None:
    path = runner.home / "vc.pem"
    code, out, _ = runner("keys", "credential", str(path), "--kind", kind)
    assert (code, out.strip()) == (0, read_credential_key(path).public.multikey)
    assert runner.refused("keys", "credential", str(path))[0] != 0
