"""The commands: exit codes, one line for each refusal, and an environment that has only what verification needs."""

from __future__ import annotations

import importlib.metadata
import json
import re
import runpy
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millmark import ledger
from millmark.ledger.canonical import Json, canonical_json, to_hex
from millmark.ledger.records import ModelState
from millmark.ledger.trust import BelievedBlock, parse_trust
from millmark.ledger.verify import files
from millmark.ledger.verify.__main__ import main
from millmark.ledger.verify.files import Answer, verify_files
from millmark.ledger.verify.report import FormatRefused, ProofsRefused, StatusRefused
from millmark.services.cli import app
from tests.support.bundle_content import publish_bytes
from tests.support.bundle_vector import DATA, NEEDED, TRUST, vector_bytes, vector_content, vector_now

AGE = ["--max-age", "1000000"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(one) for one in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_true_bundle_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, DATA, "--trust", TRUST, *AGE)
    assert (code, err) == (0, "")
    assert out.startswith("VERIFIED\n")
    assert "urn:example:hip-1" in out


def test_the_module_is_a_program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "millmark.ledger.verify.__main__")
    for trust, code in ((TRUST, 0), (DATA, 2)):
        monkeypatch.setattr(sys, "argv", ["millmark.ledger.verify", str(DATA), "--trust", str(trust), *AGE])
        with pytest.raises(SystemExit) as left:
            runpy.run_module("millmark.ledger.verify", run_name="__main__")
        assert left.value.code == code
    assert capsys.readouterr().out.startswith("VERIFIED\n")


def test_the_answer_in_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, DATA, "--trust", TRUST, "--json", *AGE)
    answer = json.loads(out)
    assert (code, answer["verified"], answer["refused"]) == (0, True, None)
    assert next(iter(answer.items())) == ("format", "millmark.verify/1")
    said = answer["statements"]
    code, out, _ = run(capsys, DATA, "--trust", TRUST, *AGE)
    assert all(one["text"] in out for one in said)
    assert said[0]["code"] == "as_of"
    assert said[0]["values"]["time"].endswith("Z")


def test_a_changed_bundle_is_refused_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = vector_bytes()
    at = data.index(b'"value":') + 9
    changed = tmp_path / "changed.bundle"
    changed.write_bytes(data[:at] + (b"x" if data[at : at + 1] != b"x" else b"y") + data[at + 1 :])
    code, out, err = run(capsys, changed, "--trust", TRUST, *AGE)
    assert (code, out) == (1, "")
    assert err.startswith("millmark: REFUSED step ")
    assert err.count("\n") == 1
    code, out, _ = run(capsys, changed, "--trust", TRUST, "--json", *AGE)
    refused = json.loads(out)["refused"]
    assert (code, refused["name"] in err, refused["step"] > 0) == (1, True, True)


def test_a_refusal_in_json_has_its_step_cause_and_place(tmp_path: Path) -> None:
    refused = [
        ProofsRefused("the head is not there", subject=b"\1" * 32, sequence=7, hint="ask for a new bundle"),
        ProofsRefused("the head is not there"),
    ]
    assert [Answer(None, one).to_json()["refused"] for one in refused] == [
        {
            "step": 4,
            "name": "proofs",
            "subject": "0x" + "01" * 32,
            "sequence": 7,
            "cause": "the head is not there",
            "hint": "ask for a new bundle",
        },
        {
            "step": 4,
            "name": "proofs",
            "subject": None,
            "sequence": None,
            "cause": "the head is not there",
            "hint": refused[1].hint,
        },
    ]


def test_a_malformed_bundle_is_refused_and_another_kind_of_file_is_unusable() -> None:
    assert (FormatRefused("cut off").exit_code, FormatRefused("a picture", usable=False).exit_code) == (1, 2)


def test_a_bundle_that_is_too_old_is_refused_by_the_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    if time.time() > vector_now():
        code, _, err = run(capsys, DATA, "--trust", TRUST, "--max-age", "0")
        assert code == 1
        assert "step 3 (checkpoint)" in err


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n", b"[1,2]", b'{"a":1}', b"\xff" * 99])
def test_what_is_no_bundle_is_unusable(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    code, out, err = run(capsys, path, "--trust", TRUST)
    assert (code, out) == (2, "")
    assert "this is not a bundle" in err


def test_what_cannot_be_read_is_unusable(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for bundle, trust in ((tmp_path / "none", TRUST), (tmp_path, TRUST), (DATA, tmp_path / "none"), (DATA, DATA)):
        code, out, err = run(capsys, bundle, "--trust", trust)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("millmark: ")


@pytest.mark.parametrize(
    "arguments",
    [[], ["x"], ["x", "--trust", "y", "-q"]]
    + [["x", "--trust", "y", "--max-age", text] for text in ("-1", "1000001", "much")]
    + [["x", "--trust", "y", "--max-behind", text] for text in ("-1", "257", "1.5")],
)
def test_a_wrong_call_is_unusable_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("limits", [("0", "0"), ("1000000", "256")])
def test_the_least_and_the_most_are_limits(capsys: pytest.CaptureFixture[str], limits: tuple[str, str]) -> None:
    code, _, err = run(capsys, DATA, "--trust", TRUST, "--max-age", limits[0], "--max-behind", limits[1])
    assert (code, "Traceback" in err) in ((0, False), (1, False))


def test_a_bundle_of_a_bad_part_is_refused_with_its_report(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    content = vector_content()
    for number, model in content.models.items():
        content.models[number] = replace(model, state=ModelState.WITHDRAWN, withdrawn_at=content.time)
    data, trust = publish_bytes(content)
    (tmp_path / "bundle").write_bytes(data)
    assert isinstance(trust.checkpoint, BelievedBlock)
    believed: Json = {
        "block_hash": to_hex(trust.checkpoint.hash),
        "block_number": trust.checkpoint.number,
        "kind": "block",
    }
    (tmp_path / "trust").write_bytes(canonical_json({**json.loads(TRUST.read_bytes()), "checkpoint": believed}))
    code, out, err = run(capsys, tmp_path / "bundle", "--trust", tmp_path / "trust", *AGE)
    assert (code, err.startswith("millmark: REFUSED step 11 (status)")) == (1, True)
    assert "urn:example:hip-1" in out
    code, out, err = run(capsys, tmp_path / "bundle", "--trust", tmp_path / "trust", "--any-status", *AGE)
    assert (code, out.startswith("VERIFIED"), err) == (0, True, "")
    unless_asked = verify_files(tmp_path / "bundle", tmp_path / "trust", now_s=content.time, max_age_days=1)
    assert isinstance(unless_asked.refusal, StatusRefused)


def test_on_a_terminal_how_things_stand_is_coloured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "is_coloured", lambda _: True)
    assert "\x1b[" in run(capsys, DATA, "--trust", TRUST, *AGE)[1]
    assert "\x1b[" not in run(capsys, DATA, "--trust", TRUST, "--json", *AGE)[1]


def test_millmark_verify_answers_alike(tmp_path: Path) -> None:
    runner = CliRunner()
    good = runner.invoke(app, ["verify", str(DATA), "--trust", str(TRUST), *AGE])
    assert (good.exit_code, good.output.startswith("VERIFIED")) == (0, True)
    cut = tmp_path / "cut.bundle"
    cut.write_bytes(vector_bytes()[:-1])
    bad = runner.invoke(app, ["verify", str(cut), "--trust", str(TRUST), "--json", *AGE])
    assert bad.exit_code == 1
    other = runner.invoke(app, ["verify", str(TRUST), "--trust", str(TRUST), *AGE])
    assert other.exit_code == 2


def test_the_page_of_commands_installs_what_the_verifier_needs_and_no_more() -> None:
    page = (Path(ledger.__file__).parents[1] / "services" / "COMMANDS.md").read_text(encoding="utf-8")
    [install] = re.findall(r"^    pip install --no-deps \.\n    pip install (.+)$", page, re.MULTILINE)
    assert tuple(install.split()) == NEEDED


def test_what_the_verifier_needs_needs_nothing_else() -> None:
    """No package of the three asks for another one."""
    for name in NEEDED:
        wanted = importlib.metadata.requires(name) or []
        assert [one for one in wanted if "extra ==" not in one] == []


def test_the_vectors_trust_file_is_one() -> None:
    assert parse_trust(TRUST.read_bytes()).participants[3] == "Alder Forge"
