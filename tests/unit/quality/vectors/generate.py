"""Writes `models.json`: model bytes that a parser must accept, with everything that follows, or must refuse.

    python -m tests.unit.quality.vectors.generate

The bytes are packed here, field by field, and not by `millmark.quality.inference`, so that the vectors also check the
builder.
"""

from __future__ import annotations

import struct
from pathlib import Path

from tests.unit.quality.model_vectors import build_vectors, header

OUTPUT = Path(__file__).parent / "models.json"
WEIGHTS = bytes([1, 0xFF, 2, 0xFE, 3, 0xFD])  # 1, -1, 2, -2, 3, -3


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


def layers(*parts: bytes, count: int | None = None) -> bytes:
    """The layers with their number before them."""
    return bytes([len(parts) if count is None else count]) + b"".join(parts)


def head3(outputs: int = 3) -> bytes:
    """Dense 2 to three logits: 5 a + b, -3 a + 2 b, 4 (a - b)."""
    return head(outputs=outputs, biases=(0, 1, -1)[:outputs], weights=b"\x05\x01\xfd\x02\x04\xfc"[: 2 * outputs])


def rocket_header(**changes: int | bytes) -> bytes:
    fields: dict[str, int | bytes] = {"magic": b"MMQR", "width": 12}
    return header(**(fields | changes))


def feature(kernel: int = 0, bias: int = 5, *weights: int) -> bytes:
    weights = weights or (300,)
    return struct.pack(f">Bh{len(weights)}h", kernel, bias, *weights)


def section(*features: bytes, dilation: int = 1, padded: int = 0, count: int | None = None) -> bytes:
    return struct.pack(">HBH", dilation, padded, len(features) if count is None else count) + b"".join(features)


def sections(*parts: bytes, biases: tuple[int, ...] = (-700,), count: int | None = None) -> bytes:
    head = struct.pack(f">{len(biases)}iH", *biases, len(parts) if count is None else count)
    return head + b"".join(parts)


def rocket(*parts: bytes, **changes: int | bytes) -> bytes:
    """A rocket model of these sections."""
    return rocket_header(**changes) + scale() + sections(*parts)


BODY = layers(hidden(), head())
MLP = header() + scale() + BODY
REST = MLP[20:]
CLASSES = scale() + layers(hidden(), head3())
CNN = header(width=7) + scale() + layers(conv(), pool(), head())

WINDOW = [0, 100, 2500, -3000, 900, 1, 77, 600, -450, 3000, 2000, 40]

ACCEPTED: list[tuple[str, bytes, list[int]]] = [
    ("dense layers, one scale", MLP, [0, 1000, -1000]),
    ("the same model, values that saturate", MLP, [2**53 - 1, -(2**53 - 1), 500]),
    ("one scale a column", header(scales=3) + scale() + scale(7, 1, 62) + scale(-9, 255, 0) + BODY, [1, 2, 3]),
    ("conv, pool and dense", CNN, [0, 100, 2500, -3000, 900, 1, 77]),
    ("conv flattened", header(width=7) + scale() + layers(conv(), head(6)), [9, -100, 2500, 3000, -900, 1, 7777]),
    ("a single dense layer", header() + scale() + layers(head(3)), [600, 400, 500]),
    ("the threshold itself is a FAIL", header(threshold=-9) + scale() + layers(head(3)), [500, 500, 500]),
    ("one below the threshold is a PASS", header(threshold=-8) + scale() + layers(head(3)), [500, 500, 500]),
    ("three classes, the last two rejected", header(outputs=3, rejects=6) + CLASSES, [0, 1000, -1000]),
    ("three classes, the middle one accepted", header(outputs=3, rejects=5, threshold=-40) + CLASSES, [900, 0, 500]),
    ("three classes, all rejected", header(outputs=3, rejects=7, threshold=0) + CLASSES, [0, 1000, -1000]),
    ("rocket, one feature", rocket(section(feature())), WINDOW),
    ("rocket, the last kernel at the largest bias", rocket(section(feature(83, 1523))), WINDOW),
    ("rocket, padded", rocket(section(feature(40, -9), padded=1)), WINDOW),
    (
        "rocket, sections and features in order",
        rocket(
            section(feature(3, -20, -400), feature(3, 20, 150), feature(50)),
            section(feature(7, -1524, 1), padded=1),
            width=17,
        ),
        [*WINDOW, 1, 2, 3, 4, 5],
    ),
    (
        "rocket, one scale a column",
        rocket_header(width=9, scales=9) + scale(7, 9, 1) * 9 + sections(section(feature())),
        WINDOW[:9],
    ),
    (
        "rocket, three classes",
        rocket_header(outputs=3, rejects=6, threshold=9)
        + scale()
        + sections(section(feature(1, 2, 30, -20, 0), feature(60, -2, 0, 0, 9)), biases=(5, 6, -7)),
        WINDOW,
    ),
    ("two classes", header(outputs=2, rejects=2) + scale() + layers(hidden(), head3(2)), [800, 100, -1000]),
]

REFUSED: list[tuple[str, bytes]] = [
    ("no bytes", b""),
    ("the header is cut", header()[:19]),
    ("another magic", header(magic=b"MMQM") + REST),
    ("version 0", header(version=0) + REST),
    ("a later version", header(version=2) + REST),
    ("10 decimals", header(decimals=10) + REST),
    ("no logits", header(outputs=0) + REST),
    ("33 logits", header(outputs=33) + REST),
    ("one logit that rejects nothing", header(rejects=0) + REST),
    ("one logit and two classes rejected", header(rejects=3) + REST),
    ("one logit and its second class rejected", header(rejects=2) + REST),
    ("three classes, none rejected", header(outputs=3, rejects=0) + CLASSES),
    ("three classes, a fourth rejected", header(outputs=3, rejects=8) + CLASSES),
    ("three classes, all rejected from a threshold on", header(outputs=3, rejects=7, threshold=1) + CLASSES),
    ("no layers", header() + scale() + layers()),
    ("17 layers", header() + scale() + layers(hidden(), *[hidden(inputs=2, weights=WEIGHTS[:4])] * 15, head())),
    ("no columns", header(width=0, scales=0) + BODY),
    ("4097 columns", header(width=4097) + scale() + layers(head(4097))),
    ("no scale", header(scales=0) + BODY),
    ("2 scales for 3 columns", header(scales=2) + scale() * 2 + BODY),
    ("65535 scales, and one there", header(scales=65535) + REST),
    ("threshold -2^31", header(threshold=-(2**31)) + REST),
    ("scale zero 2^53", header() + scale(zero=2**53) + BODY),
    ("scale multiplier 0", header() + scale(multiplier=0) + BODY),
    ("scale shift 63", header() + scale(shift=63) + BODY),
    ("a byte too many", MLP + b"\x00"),
    ("a byte too few", MLP[:-1]),
    ("a layer more than counted", MLP + head()),
    ("a layer fewer than counted", header() + scale() + layers(hidden(), head(), count=3)),
    ("layer kind 0", header() + scale() + layers(hidden(kind=0), head())),
    ("layer kind 4", header() + scale() + layers(hidden(kind=4), head())),
    ("a weight of -128", header() + scale() + layers(hidden(weights=b"\x80" + WEIGHTS[1:]), head())),
    ("a bias of -2^31", header() + scale() + layers(hidden(biases=(-(2**31), 0)), head())),
    ("a hidden layer that is not requantised", header() + scale() + layers(hidden(multiplier=0), head())),
    ("a multiplier of 2^31", header() + scale() + layers(hidden(multiplier=2**31), head())),
    ("a last layer that is requantised", header() + scale() + layers(hidden(), head(multiplier=1))),
    ("a last layer with more outputs than logits", header() + CLASSES),
    ("a last layer with fewer outputs than logits", header(outputs=3) + scale() + BODY),
    ("a dense layer without outputs", header() + scale() + layers(hidden(outputs=0, biases=(), weights=b""), head(1))),
    ("a dense layer without inputs", header() + scale() + layers(hidden(inputs=0, weights=b""), head())),
    ("a dense layer with a kernel", header() + scale() + layers(hidden(kernel=1), head())),
    ("a dense layer with a stride", header() + scale() + layers(hidden(stride=1), head())),
    ("a dense layer of other inputs than columns", header(width=4) + scale() + BODY),
    ("dimensions far beyond the bytes there", header() + scale() + layers(hidden(inputs=2**32 - 1, outputs=65535))),
    ("a conv with kernel 0", header(width=7) + scale() + layers(conv(kernel=0, weights=b""), pool(), head())),
    ("a conv with stride 0", header(width=7) + scale() + layers(conv(stride=0), pool(), head())),
    ("a conv whose kernel does not fit", header(width=2) + scale() + layers(conv(), pool(), head())),
    (
        "a conv of other channels than are there",
        header(width=7) + scale() + layers(conv(inputs=2, weights=WEIGHTS * 2), pool(), head()),
    ),
    ("a conv as last layer", header() + scale() + layers(conv(outputs=1, multiplier=0, biases=(1,), weights=b"abc"))),
    ("a conv behind a dense layer", header() + scale() + layers(hidden(), conv(), head())),
    ("a pool over fewer positions than there are", header(width=7) + scale() + layers(conv(), pool(2), head())),
    ("a pool of other channels than are there", header(width=7) + scale() + layers(conv(), pool(channels=3), head(3))),
    ("a pool with other outputs than inputs", header(width=7) + scale() + layers(conv(), pool(outputs=1), head())),
    ("a pool with a stride", header(width=7) + scale() + layers(conv(), pool(stride=1), head())),
    ("a pool with a multiplier", header(width=7) + scale() + layers(conv(), pool(multiplier=1), head())),
    ("a pool behind a pool", header(width=7) + scale() + layers(conv(), pool(), pool(1), head())),
    ("a pool as last layer", header(width=7) + scale() + layers(conv(), pool())),
    ("rocket without its body", rocket_header() + scale()),
    ("rocket, no sections", rocket()),
    ("rocket, 1025 sections", rocket(*[section(feature())] * 1025)),
    ("rocket, a section more than counted", rocket(section(feature())) + section(feature(), padded=1)),
    (
        "rocket, a section fewer than counted",
        rocket_header() + scale() + sections(section(feature()), count=2),
    ),
    ("rocket, sections out of order", rocket(section(feature(), padded=1), section(feature()))),
    ("rocket, the same section twice", rocket(section(feature()), section(feature()))),
    ("rocket, no features", rocket(section())),
    ("rocket, features out of order", rocket(section(feature(1), feature(0)))),
    ("rocket, biases out of order", rocket(section(feature(0, 6), feature(0, 5)))),
    ("rocket, the same feature twice", rocket(section(feature(), feature()))),
    ("rocket, features far beyond the bytes there", rocket(section(feature(), count=65535))),
    ("rocket, kernel 84", rocket(section(feature(84)))),
    ("rocket, bias 1524", rocket(section(feature(0, 1524)))),
    ("rocket, bias -1525", rocket(section(feature(0, -1525)))),
    ("rocket, a feature that weighs nothing", rocket(section(feature(0, 0, 0)))),
    ("rocket, weight -2^15", rocket(section(feature(0, 0, -(2**15))))),
    ("rocket, neither padded nor not", rocket(section(feature(), padded=2))),
    ("rocket, dilation 0", rocket(section(feature(), dilation=0))),
    ("rocket, a dilation that does not fit", rocket(section(feature(), dilation=2))),
    ("rocket, a padded dilation that does not fit", rocket(section(feature(), dilation=2, padded=1), width=16)),
    ("rocket, too narrow for any kernel", rocket(section(feature()), width=8)),
    ("rocket, 2 scales", rocket_header(scales=2) + scale() * 2 + sections(section(feature()))),
    ("rocket, a bias of -2^31", rocket_header() + scale() + sections(section(feature()), biases=(-(2**31),))),
    (
        "rocket, a logit that can reach 2^31",
        rocket_header() + scale() + sections(section(feature(0, 0, 32767)), biases=(2**31 - 4 * 32767,)),
    ),
    ("rocket, a byte too many", rocket(section(feature())) + b"\x00"),
    ("rocket with the body of a network", header(magic=b"MMQR") + REST),
    ("network with the body of a rocket", rocket(section(feature()), magic=b"MMQN")),
    ("a sum that can reach 2^31", header() + scale() + layers(hidden(biases=(2**31 - 500, 0)), head())),
]


def build_all() -> str:
    return build_vectors(ACCEPTED, REFUSED)


if __name__ == "__main__":
    OUTPUT.write_text(build_all())
