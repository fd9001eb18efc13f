"""The package's public names, and what importing it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import quality

PUBLIC = [
    "FORMAT_VERSION",
    "Conv",
    "DataError",
    "Decision",
    "Dense",
    "ExportError",
    "Inference",
    "InferenceError",
    "InputError",
    "Inspector",
    "Model",
    "ModelError",
    "Network",
    "QualityError",
    "Scale",
    "SumPool",
    "Verdict",
    "build_input_commitment",
    "build_model",
    "combine_digests",
    "model_digest",
    "parse_model",
    "to_fixed",
    "verify_inference",
]


def test_public_names_are_these() -> None:
    assert sorted(quality.__all__) == sorted(PUBLIC)
    assert all(getattr(quality, name) is not None for name in PUBLIC)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Inspektor'"):
        quality.Inspektor  # noqa: B018


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        (
            "import quality, quality.digest, quality.evaluate, quality.network.format, quality.network.plain",
            {"numpy", "torch"},
        ),
        ("from quality import Inspector, to_fixed, verify_inference", {"torch"}),
        ("import quality.__main__, quality.forda, quality.card", {"torch"}),
    ],
)
def test_imports_stay_lean(statement: str, absent: set[str]) -> None:
    script = f"{statement}\nimport sys\nprint(sorted({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
