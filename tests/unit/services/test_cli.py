"""The command line: one line for every failure, the right exit code, nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import Runner

NOBODY = "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Runner:
    for name in ("MILLMARK_CHAIN_URL", "MILLMARK_DATABASE"):
        monkeypatch.delenv(name, raising=False)
    return Runner(tmp_path, monkeypatch, capsys)


def test_an_identifier_that_is_none_is_unusable_input(run: Runner) -> None:
    code, err = run.refused("trace", "engine:7")
    assert code == 2
    assert "engine:7" in err


def test_an_empty_index_says_that_nothing_is_indexed(run: Runner) -> None:
    code, err = run.refused("trace", NOBODY)
    assert code == 1
    assert "nothing is indexed yet" in err


@pytest.mark.parametrize("arguments", [(), ("--model", "1", "--lot", NOBODY)])
def test_a_recall_wants_one_thing(run: Runner, arguments: tuple[str, ...]) -> None:
    code, err = run.refused("recall", *arguments)
    assert code == 2
    assert "exactly one of model, lot and machine" in err


def test_a_damaged_database_is_named_with_the_way_out_and_left_alone(run: Runner) -> None:
    damaged = run.home / "millmark.sqlite"
    damaged.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)
    before = damaged.read_bytes()
    code, err = run.refused("trace", NOBODY)
    assert code == 1
    assert "move it away" in err
    assert damaged.read_bytes() == before


def test_no_database_is_made_in_a_home_that_had_one(run: Runner) -> None:
    """A disk that is not mounted must not pass for a home in which nothing was recorded."""
    (run.home / "audit").mkdir()
    assert "nothing is indexed yet" in run.refused("trace", NOBODY)[1], "an empty folder is made at the first start"
    for path in run.home.glob("millmark.sqlite*"):
        path.unlink()
    (run.home / "audit" / "audit-000000000001.jsonl").touch()
    code, err = run.refused("trace", NOBODY)
    assert code == 2
    assert "millmark.sqlite is missing, but there is an audit log" in err
    assert not list(run.home.glob("millmark.sqlite*"))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("bogus = 1\n", "bogus"),
        ('chain_url = "ftp://node"\n', "chain_url"),
        ("gateway_port = 0\n", "gateway_port"),
        ("not toml", "millmark.toml"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(run: Runner, text: str, named: str) -> None:
    run.settings(text)
    code, err = run.refused("status")
    assert code == 2
    assert named in err


def test_a_home_that_is_not_there_is_not_created(run: Runner) -> None:
    run.home = run.home / "missing"
    assert run.refused("status")[0] == 2
    assert not run.home.exists()


def test_a_chain_that_does_not_answer_leaves_the_answer_to_the_index(run: Runner) -> None:
    run.settings('chain_url = "http://127.0.0.1:9"\n')
    (run.home / "deployment.json").write_text(
        json.dumps(
            {
                "chain_id": 1,
                "registry": "0x" + "11" * 20,
                "ledger": "0x" + "22" * 20,
                "forwarder": "0x" + "33" * 20,
                "ledger_id": "0x" + "44" * 32,
                "block_number": 0,
                "genesis_hash": "0x" + "55" * 32,
                "created_number": 0,
                "created_hash": "0x" + "55" * 32,
            }
        )
    )
    code, out, err = run("trace", NOBODY)
    assert (code, out) == (1, "")
    assert "does not answer" in err.splitlines()[0]
    assert "nothing is indexed yet" in err.splitlines()[1]


@pytest.mark.parametrize("text", ["{", "[]", '{"chain_id": 1}', '{"chain_id": 1, "registry": "0x12", "ledger": "0x"}'])
def test_a_deployment_file_that_is_none_is_refused(run: Runner, text: str) -> None:
    run.settings('chain_url = "http://127.0.0.1:9"\n')
    (run.home / "deployment.json").write_text(text)
    code, err = run.refused("trace", NOBODY)
    assert code == 2
    assert "deployment.json" in err


def test_deploying_over_a_deployment_is_refused(run: Runner) -> None:
    (run.home / "deployment.json").write_text("{}")
    code, err = run.refused("deploy", run.keystore("owner.json"), f"--passphrase-file={run.home / 'secret'}")
    assert code == 2
    assert "exists already" in err
    assert (run.home / "deployment.json").read_text() == "{}"


def test_a_command_that_needs_a_chain_says_how_to_name_one(run: Runner) -> None:
    code, err = run.refused("deploy", run.keystore("owner.json"), f"--passphrase-file={run.home / 'secret'}")
    assert code == 2
    assert "chain_url" in err


def test_an_unknown_role_is_refused_before_any_key_is_opened(run: Runner) -> None:
    address = "0x" + "11" * 20
    code, err = run.refused("participants", "admit", "Forge", address, "--roles", "KING", "--signer", "keystore:none")
    assert code == 2
    assert "KING" in err
    assert "MANUFACTURER" in err


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_open_to_others_is_refused(run: Runner, mode: int) -> None:
    signer = run.keystore("owner.json")
    (run.home / "owner.json").chmod(mode)
    code, err = run.refused("keys", "show", signer, f"--passphrase-file={run.home / 'secret'}")
    assert code == 1
    assert "chmod 600" in err


def test_a_wrong_passphrase_is_one_line_without_the_passphrase(run: Runner) -> None:
    signer = run.keystore("owner.json")
    (run.home / "secret").write_text("canary-wrong\n")
    code, err = run.refused("keys", "show", signer, f"--passphrase-file={run.home / 'secret'}")
    assert code == 1
    assert "canary" not in err


def test_a_new_key_never_replaces_a_file(run: Runner) -> None:
    run.keystore("owner.json")
    before = (run.home / "owner.json").read_bytes()
    code, _ = run.refused("keys", "new", str(run.home / "owner.json"), f"--passphrase-file={run.home / 'secret'}")
    assert code == 1
    assert (run.home / "owner.json").read_bytes() == before


def test_status_without_a_chain_compares_nothing(run: Runner) -> None:
    code, out, err = run("status", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "format": "millmark.status/1",
        "chain": None,
        "index": None,
        "equal": None,
        "outbox": {},
        "handovers": {},
        "queue": {"oldest_age_s": {}, "oldest_waiting": None},
        "check": None,
        "book": None,
        "alarms": [],
        "warnings": [],
        "stopped": [],
        "models": [],
        "funds": [],
        "missing": [
            {
                "what": f"{run.home} is not a home yet",
                "hint": f"join with `millmark --home {run.home} join consortium.json`, or begin a consortium with "
                f"`millmark --home {run.home} init`",
            }
        ],
    }


def test_status_leaves_an_empty_folder_as_it_is(run: Runner) -> None:
    before = sorted(run.home.iterdir())
    assert run("status")[0] == 0
    assert sorted(run.home.iterdir()) == before


def test_a_new_key_is_shown_by_its_file(run: Runner) -> None:
    run.keystore("any.json")
    secret, path = f"--passphrase-file={run.home / 'secret'}", run.home / "new.json"
    code, address, err = run("keys", "new", str(path), secret)
    assert (code, err) == (0, "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert run("keys", "show", f"--signer=keystore:{path}", secret) == (0, address, "")
