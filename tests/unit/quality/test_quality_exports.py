"""The package's public names, and what importing it costs."""

from __future__ import annotations

import pytest

from millmark import quality

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
