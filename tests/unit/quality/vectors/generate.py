"""Writes `models.json`: model bytes that a parser must accept, with everything that follows, or must refuse.

    python tests/unit/quality/vectors/generate.py

The bytes are packed here, field by field, and not by `quality.format`, so that the vectors also check the builder.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

from quality import Inference, ModelError, parse_model
from quality.evaluate.plain import infer_row, quantise_row

OUTPUT = Path(__file__).parent / "models.json"
CONTEXT = hashlib.sha256(b"context").digest()
SALT = hashlib.sha256(b"salt").digest()
WEIGHTS = bytes([1, 0xFF, 2, 0xFE, 3, 0xFD])  # 1, -1, 2, -2, 3, -3


def header(**changes: int | bytes) -> bytes:
    fields: dict[str, int | bytes] = {
        "magic": b"MMQN",
        "version": 1,
        "decimals": 6,
        "layers": 2,
        "width": 3,
        "scales": 1,
        "threshold": 5,
    }
    return struct.pack(">4sHBBHHi", *(fields | changes).values())


def scale(zero: int = 500, multiplier: int = 200, shift: int = 12) -> bytes:
    return struct.pack(">qBB", zero, multiplier, shift)


def layer(
    kind: int,
    inputs: int,
    outputs: int,
    kernel: int = 0,
    stride: int = 0,
    multiplier: int = 0,
    biases: tuple[int, ...] = (),
    weights: bytes = b"",
) -> bytes:
    head = struct.pack(">BIHHHI", kind, inputs, outputs, kernel, stride, multiplier)
    return head + struct.pack(f">{len(biases)}i", *biases) + weights


def hidden(**changes: object) -> bytes:
    """Dense 3-2 with requantisation."""
    fields = {"kind": 1, "inputs": 3, "outputs": 2, "multiplier": 2**22, "biases": (40, -7), "weights": WEIGHTS}
    return layer(**(fields | changes))  # type: ignore[arg-type]  # fields vary by case


def head(inputs: int = 2, **changes: object) -> bytes:
    """Dense to one logit."""
    fields = {"kind": 1, "inputs": inputs, "outputs": 1, "biases": (-9,), "weights": (b"\x05\xf9" * inputs)[:inputs]}
    return layer(**(fields | changes))  # type: ignore[arg-type]  # fields vary by case


def conv(**changes: object) -> bytes:
    """Conv of 1 to 2 channels, kernel 3, on 7 positions with stride 2: 3 positions."""
    fields: dict[str, object] = {"kind": 2, "inputs": 1, "outputs": 2, "kernel": 3, "stride": 2, "multiplier": 2**23}
    return layer(**(fields | {"biases": (1, 2), "weights": WEIGHTS} | changes))  # type: ignore[arg-type]  # likewise


def pool(length: int = 3, channels: int = 2, outputs: int | None = None, stride: int = 0, multiplier: int = 0) -> bytes:
    return layer(3, channels, channels if outputs is None else outputs, length, stride, multiplier)


MLP = header() + scale() + hidden() + head()
CNN_HEADER = header(layers=3, width=7)
CNN = CNN_HEADER + scale() + conv() + pool() + head()

ACCEPTED: list[tuple[str, bytes, list[int]]] = [
    ("dense layers, one scale", MLP, [0, 1000, -1000]),
    ("the same model, values that saturate", MLP, [2**53 - 1, -(2**53 - 1), 500]),
    (
        "one scale a column",
        header(scales=3) + scale() + scale(7, 1, 62) + scale(-9, 255, 0) + hidden() + head(),
        [1, 2, 3],
    ),
    ("conv, pool and dense", CNN, [0, 100, 2500, -3000, 900, 1, 77]),
    ("conv flattened into dense", header(width=7) + scale() + conv() + head(6), [9, -100, 2500, 3000, -900, 1, 7777]),
    ("a single dense layer", header(layers=1) + scale() + head(3), [600, 400, 500]),
    ("the threshold itself is a FAIL", header(layers=1, threshold=-9) + scale() + head(3), [500, 500, 500]),
    ("one below the threshold is a PASS", header(layers=1, threshold=-8) + scale() + head(3), [500, 500, 500]),
]

REFUSED: list[tuple[str, bytes]] = [
    ("no bytes", b""),
    ("the header is cut", header()[:15]),
    ("another magic", header(magic=b"MMQM") + MLP[16:]),
    ("version 0", header(version=0) + MLP[16:]),
    ("a later version", header(version=2) + MLP[16:]),
    ("10 decimals", header(decimals=10) + MLP[16:]),
    ("no layers", header(layers=0) + scale()),
    ("17 layers", header(layers=17) + scale() + hidden(inputs=3) * 16 + head()),
    ("no columns", header(width=0, scales=0) + hidden() + head()),
    ("4097 columns", header(width=4097, layers=1) + scale() + head(4097)),
    ("no scale", header(scales=0) + hidden() + head()),
    ("2 scales for 3 columns", header(scales=2) + scale() * 2 + hidden() + head()),
    ("threshold -2^31", header(threshold=-(2**31)) + MLP[16:]),
    ("scale zero 2^53", header() + scale(zero=2**53) + hidden() + head()),
    ("scale multiplier 0", header() + scale(multiplier=0) + hidden() + head()),
    ("scale shift 63", header() + scale(shift=63) + hidden() + head()),
    ("a byte too many", MLP + b"\x00"),
    ("a byte too few", MLP[:-1]),
    ("a layer too many", MLP + head()),
    ("layer kind 0", header() + scale() + hidden(kind=0) + head()),
    ("layer kind 4", header() + scale() + hidden(kind=4) + head()),
    ("a weight of -128", header() + scale() + hidden(weights=b"\x80" + WEIGHTS[1:]) + head()),
    ("a bias of -2^31", header() + scale() + hidden(biases=(-(2**31), 0)) + head()),
    ("a hidden layer that is not requantised", header() + scale() + hidden(multiplier=0) + head()),
    ("a multiplier of 2^31", header() + scale() + hidden(multiplier=2**31) + head()),
    ("a last layer that is requantised", header() + scale() + hidden() + head(multiplier=1)),
    (
        "a last layer with two logits",
        header() + scale() + hidden() + head(outputs=2, biases=(0, 0), weights=b"\x01" * 4),
    ),
    ("a dense layer without outputs", header() + scale() + hidden(outputs=0, biases=(), weights=b"") + head(1)),
    ("a dense layer without inputs", header() + scale() + hidden(inputs=0, weights=b"") + head()),
    ("a dense layer with a kernel", header() + scale() + hidden(kernel=1) + head()),
    ("a dense layer with a stride", header() + scale() + hidden(stride=1) + head()),
    ("a dense layer of other inputs than columns", header(width=4) + scale() + hidden() + head()),
    ("dimensions far beyond the bytes there", header() + scale() + hidden(inputs=2**32 - 1, outputs=65535)),
    ("a conv with kernel 0", CNN_HEADER + scale() + conv(kernel=0, weights=b"") + pool() + head()),
    ("a conv with stride 0", CNN_HEADER + scale() + conv(stride=0) + pool() + head()),
    ("a conv whose kernel does not fit", header(layers=3, width=2) + scale() + conv() + pool() + head()),
    (
        "a conv of other channels than are there",
        CNN_HEADER + scale() + conv(inputs=2, weights=WEIGHTS * 2) + pool() + head(),
    ),
    (
        "a conv as last layer",
        header(layers=1, width=3) + scale() + conv(outputs=1, multiplier=0, biases=(1,), weights=b"abc"),
    ),
    ("a conv behind a dense layer", header(layers=3) + scale() + hidden() + conv() + head()),
    ("a pool over fewer positions than there are", CNN_HEADER + scale() + conv() + pool(2) + head()),
    ("a pool of other channels than are there", CNN_HEADER + scale() + conv() + pool(channels=3) + head(3)),
    ("a pool with other outputs than inputs", CNN_HEADER + scale() + conv() + pool(outputs=1) + head()),
    ("a pool with a stride", CNN_HEADER + scale() + conv() + pool(stride=1) + head()),
    ("a pool with a multiplier", CNN_HEADER + scale() + conv() + pool(multiplier=1) + head()),
    ("a pool behind a pool", header(layers=4, width=7) + scale() + conv() + pool() + pool(1) + head()),
    ("a pool as last layer", header(layers=2, width=7) + scale() + conv() + pool()),
    ("a sum that can reach 2^31", header() + scale() + hidden(biases=(2**31 - 500, 0)) + head()),
]


def build_accepted(says: str, model: bytes, window: list[int]) -> dict[str, object]:
    network = parse_model(model)
    quantised = quantise_row(network, window)
    logits = infer_row(network, quantised)
    digest = hashlib.sha256(model).digest()
    inference = Inference(CONTEXT, digest, SALT, quantised, logits, network.judge(logits[0]))
    return {
        "says": says,
        "verdict": "accept",
        "model": model.hex(),
        "model_digest": digest.hex(),
        "window": window,
        "input": quantised.hex(),
        "logits": list(logits),
        "inspection": inference.verdict.name,
        "context": CONTEXT.hex(),
        "salt": SALT.hex(),
        "input_commitment": inference.input_commitment.hex(),
        "inference_digest": inference.digest.hex(),
    }


def build_refused(says: str, model: bytes) -> dict[str, object]:
    """`reason` is this release's wording; another implementation need only refuse."""
    try:
        parse_model(model)
    except ModelError as error:
        return {"says": says, "verdict": "refuse", "model": model.hex(), "reason": error.cause}
    raise SystemExit(f"accepted: {says}")


def build_all() -> str:
    cases = [build_accepted(*case) for case in ACCEPTED]
    cases += [build_refused(*case) for case in REFUSED]
    return json.dumps(cases, indent=1) + "\n"


if __name__ == "__main__":
    OUTPUT.write_text(build_all())
