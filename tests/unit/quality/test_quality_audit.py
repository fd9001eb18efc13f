"""Anybody who has an extract can re-execute it; the error names the first quantity that differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millmark.ledger.evidence import build_inference_context
from millmark.quality import Decision, Verdict, build_model, model_digest, parse_model
from millmark.quality.__main__ import main
from millmark.quality.audit import (
    ESTABLISHED,
    Binding,
    Extract,
    audit,
    build_context,
    build_extract,
    build_window_leaf_data,
    parse_extract,
)
from millmark.quality.errors import AuditError, InputError
from millmark.quality.inference import build_input_commitment, pack_window
from millmark.quality.inspection import Inspector
from tests.support.quality_samples import build_random_network, build_random_rocket, tiny_network

SALT = bytes(range(32))
BINDING = Binding(31337, b"\x11" * 20, b"\x22" * 32, b"\x33" * 32, 7, b"\x44" * 32, b"\x55" * 32)


def open_inference(model: bytes, window: tuple[int, ...], binding: Binding = BINDING) -> Extract:
    """The extract of an honest inspection of a window."""
    commitment = build_input_commitment(SALT, pack_window(window))
    leaf = hashlib.sha256(b"\0" + build_window_leaf_data(binding, commitment)).digest()
    binding = replace(binding, leaf=leaf)
    inference = Inspector(model).inspect(window, context=build_context(binding), salt=SALT)
    return Extract(
        model=model,
        binding=binding,
        salt=SALT,
        window=window,
        model_digest=inference.model_digest,
        input_commitment=inference.input_commitment,
        logits=inference.logits,
        verdict=inference.verdict,
        inference_digest=inference.digest,
        inclusion=(b"\x66" * 32,),
    )


def tiny_extract() -> Extract:
    """q0 * 2 - q1 + 3 with threshold 10, for (5, 2): logit 11, FAIL."""
    return open_inference(build_model(tiny_network()), (5, 2))


def test_an_honest_extract_is_established_and_survives_its_bytes() -> None:
    extract = tiny_extract()
    assert parse_extract(build_extract(extract)) == extract
    assert audit(extract) == ESTABLISHED


@given(seed=st.integers(0, 2**32 - 1), rocket=st.booleans())
def test_whatever_an_inspector_finds_the_audit_finds(seed: int, rocket: bool) -> None:
    model = build_random_rocket(seed) if rocket else build_random_network(seed)
    window = tuple((seed * 31 + 17 * place) % 201 - 100 for place in range(model.width))
    audit(parse_extract(build_extract(open_inference(build_model(model), window))))


def test_the_context_is_the_ledgers_own() -> None:
    assert build_context(BINDING) == build_inference_context(
        chain_id=BINDING.chain_id,
        ledger=BINDING.ledger,
        lot=BINDING.lot,
        stream=BINDING.stream,
        leaf_index=BINDING.leaf_index,
        leaf=BINDING.leaf,
    )


def _another_threshold(extract: Extract) -> Extract:
    model = build_model(replace(parse_model(extract.model), decision=Decision(1, 1, 12)))  # type: ignore[type-var]
    return replace(extract, model=model, model_digest=model_digest(model))


TAMPERINGS: dict[str, tuple[str, Callable[[Extract], Extract]]] = {
    "another model under the stated digest": (
        "model digest",
        lambda extract: replace(extract, model=build_model(tiny_network(threshold=11))),
    ),
    "bytes that are not a model, with their digest": (
        "model",
        lambda extract: replace(extract, model=b"MMQN", model_digest=model_digest(b"MMQN")),
    ),
    "a lower bar, with its digest": ("verdict", _another_threshold),
    "another salt": ("input commitment", lambda extract: replace(extract, salt=bytes(32))),
    "another window": ("input commitment", lambda extract: replace(extract, window=(5, 3))),
    "a window that is too long": ("window", lambda extract: replace(extract, window=(5, 2, 1))),
    "another commitment": ("input commitment", lambda extract: replace(extract, input_commitment=bytes(32))),
    "another logit": ("logits", lambda extract: replace(extract, logits=(10,))),
    "a logit more": ("logits", lambda extract: replace(extract, logits=(11, 0))),
    "another verdict": ("verdict", lambda extract: replace(extract, verdict=Verdict.PASS)),
    "another digest": ("inference digest", lambda extract: replace(extract, inference_digest=bytes(32))),
    "another chain": ("inference digest", lambda extract: rebind(extract, chain_id=1)),
    "another ledger": ("inference digest", lambda extract: rebind(extract, ledger=b"\x12" * 20)),
    "another lot": ("evidence leaf", lambda extract: rebind(extract, lot=b"\x23" * 32)),
    "another stream": ("inference digest", lambda extract: rebind(extract, stream=b"\x34" * 32)),
    "another entry's place": ("inference digest", lambda extract: rebind(extract, leaf_index=8)),
    "another leaf": ("evidence leaf", lambda extract: rebind(extract, leaf=b"\x45" * 32)),
    "another entry": ("evidence leaf", lambda extract: rebind(extract, entry=b"\x45" * 32)),
}


def rebind(extract: Extract, **changes: object) -> Extract:
    return replace(extract, binding=replace(extract.binding, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_quantity_is_named(name: str) -> None:
    quantity, tamper = TAMPERINGS[name]
    with pytest.raises(AuditError) as caught:
        audit(tamper(tiny_extract()))
    assert caught.value.quantity == quantity


def test_h3_a_window_used_again_for_another_lot_is_caught() -> None:
    """The inspector certifies lot B with the window of lot A, whose leaf is another."""
    of_a = tiny_extract()
    for_b = rebind(of_a, lot=b"\x99" * 32)
    with pytest.raises(AuditError, match="evidence leaf mismatch"):
        audit(for_b)


def test_the_command_says_what_is_established(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "extract.json"
    path.write_bytes(build_extract(tiny_extract()))
    assert main(["audit", str(path)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["verdict"], answer["logits"]) == ("FAIL", [11])
    assert answer["established"] == [*ESTABLISHED]


def test_the_command_names_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "extract.json"
    path.write_bytes(build_extract(replace(tiny_extract(), logits=(10,))))
    assert main(["audit", str(path)]) == 1
    assert capsys.readouterr().err == "error: logits mismatch: stated 10, computed 11\n"


@pytest.mark.parametrize("content", [None, b"{}"])
def test_the_command_refuses_an_unusable_extract(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "extract.json"
    if content is not None:
        path.write_bytes(content)
    assert main(["audit", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def _broken() -> dict[str, bytes]:
    content = build_extract(tiny_extract())
    document = json.loads(content)
    without = {name: {key: value for key, value in document.items() if key != name} for name in document}
    cases = {f"no {name}": json.dumps(fields).encode() for name, fields in without.items()}
    changed: dict[str, object] = {
        "format": "millmark/audit/2",
        "model": "####",
        "salt": "0x" + "AA" * 32,
        "window": [1.5, 2],
        "inclusion": ["0x00"],
        "binding": {**document["binding"], "ledger": "0x00"},
        "stated": {**document["stated"], "verdict": ["FAIL"]},
        "more": 1,
    }
    cases |= {f"another {name}": json.dumps({**document, name: value}).encode() for name, value in changed.items()}
    stated = {"verdict": "MAYBE", "logits": [True], "model_digest": 5, "surplus": 0}
    for name, value in stated.items():
        cases[f"stated {name}"] = json.dumps({**document, "stated": {**document["stated"], name: value}}).encode()
    for value in (-1, 2**53, True, "1"):
        binding = {**document["binding"], "leaf_index": value}
        cases[f"leaf index {value!r}"] = json.dumps({**document, "binding": binding}).encode()
    cases |= {
        "nothing": b"",
        "truncated": content[:-1],
        "not UTF-8": b"\xff" + content,
        "a list": b"[]",
        "deep": b"[" * 100_000,
        "a field twice": content[:-1] + b',"salt":"0x' + b"00" * 32 + b'"}',
        "too long": content + b" " * 2**22,
        "a huge number": content.replace(b'"leaf_index":7', b'"leaf_index":' + b"9" * 5000),
        "too many values": json.dumps({**document, "window": [0] * 4097}).encode(),
        "too many hashes": json.dumps({**document, "inclusion": ["0x" + "00" * 32] * 65}).encode(),
        "a value beyond 2^53": json.dumps({**document, "window": [2**53, 0]}).encode(),
    }
    return cases


BROKEN = _broken()


@pytest.mark.parametrize("name", BROKEN)
def test_an_unusable_extract_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_extract(BROKEN[name])
    assert "\n" not in str(caught.value)
