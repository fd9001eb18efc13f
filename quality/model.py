"""What every family of models offers, and the one way from untrusted bytes to a model.

A family is a package of `quality` named in `FAMILIES`, with four modules:

    format    MAGIC; parse_body(header, reader) -> model; build_body(model) -> bytes;
              describe(model) -> (what it is made of, worst sum of each accumulator)        neither numpy nor torch
    plain     quantise_row(model, window) -> words; infer_row(model, words) -> logits       neither numpy nor torch
    arrays    quantise(model, windows) -> inputs; prepare(model) -> infer(inputs)           numpy
    tensors   prepare(model) -> infer(inputs)                                               torch

Windows are fixed-point int64 (n, width), inputs the model's words (n, width), logits int32 (n, k). They are imported
when a model of the family is met, and not before.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import replace
from types import ModuleType
from typing import Any, Protocol, cast

from quality.decision import Decision
from quality.errors import ModelError
from quality.header import MAGIC_SIZE, Header, Reader, build_header, parse_header
from quality.inputs import Scale

__all__ = [
    "FAMILIES",
    "MAX_MODEL_BYTES",
    "Model",
    "build_model",
    "decide",
    "load_family",
    "model_digest",
    "parse_model",
]

FAMILIES = {b"MMQN": "network", b"MMQR": "rocket", b"MMQT": "trees"}
"""Magic of the bytes, and the family that it announces."""
MAX_MODEL_BYTES = 2**20


class Model(Protocol):
    """A model of any family: integers only, checked at construction."""

    @property
    def family(self) -> str:
        """The package under `quality` that knows it: a value of `FAMILIES`."""

    @property
    def width(self) -> int:
        """Sensor values in one window, and words in one input."""

    @property
    def decimals(self) -> int:
        """Sensor values are integers in units of 10^-decimals of the sensor's unit."""

    @property
    def decision(self) -> Decision:
        """From logits to verdict."""

    @property
    def scales(self) -> tuple[Scale, ...]:
        """From sensor values to words."""

    @property
    def word_size(self) -> int:
        """Bytes of one word of the input: 1, 2, 4 or 8."""

    @property
    def word_limit(self) -> int:
        """Largest magnitude of a word."""


def decide(model: Model, decision: Decision) -> Model:
    """The same model with another decision. Raises ModelError when the model may not have it."""
    return cast("Model", replace(cast("Any", model), decision=decision))


def load_family(family: str, module: str) -> ModuleType:
    """One of the four modules of a family. ModuleNotFoundError when what it needs is not installed."""
    return importlib.import_module(f"quality.{family}.{module}")


def model_digest(model: bytes) -> bytes:
    """SHA-256 of the model's canonical bytes (32 bytes): the name of the model everywhere."""
    return hashlib.sha256(model).digest()


def build_model(model: Model) -> bytes:
    """Canonical bytes of a model. Raises ModelError when they would exceed 1 MiB."""
    layout = load_family(model.family, "format")
    header = Header(model.decimals, model.decision, model.width, model.scales)
    built = cast("bytes", build_header(layout.MAGIC, header) + layout.build_body(model))
    _require_size(built)
    return built


def parse_model(model: bytes) -> Model:
    """Model of untrusted bytes, of whichever family they announce.

    On return `build_model(result) == model`, every field is within its limits and no sum can leave int32. Lengths are
    compared with what is there before anything of that length is made. Raises ModelError.
    """
    _require_size(model)
    reader = Reader(model)
    family = FAMILIES.get(reader.take_bytes(MAGIC_SIZE))
    if family is None:
        raise ModelError(
            "not a model: its first bytes name no family of models", hint="give the model.bin that training wrote"
        )
    parsed = cast("Model", load_family(family, "format").parse_body(parse_header(reader), reader))
    if reader.left:
        raise ModelError(f"model is followed by {reader.left} more bytes")
    return parsed


def _require_size(model: bytes) -> None:
    if len(model) > MAX_MODEL_BYTES:
        raise ModelError(f"model has {len(model)} bytes, the limit is {MAX_MODEL_BYTES}")
