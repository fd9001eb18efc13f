"""Canonical bytes of a rocket model after the header: section 3.2 of `quality/FORMAT.md`.

A model has exactly one byte form, and `parse_body` accepts no other. Needs neither numpy nor torch.
"""

from __future__ import annotations

import struct

from millmark.quality.errors import ModelError
from millmark.quality.header import Header, Reader
from millmark.quality.rocket.records import Feature, Rocket, Section

MAGIC = b"MMQR"

_COUNT = struct.Struct(">H")  # sections
_SECTION = struct.Struct(">HBH")  # dilation, padded, features


def _feature_layout(outputs: int) -> struct.Struct:
    return struct.Struct(f">Bh{outputs}h")  # kernel, bias, weights


def build_body(model: Rocket) -> bytes:
    """Bytes that follow the scales."""
    layout = _feature_layout(model.decision.outputs)
    parts = [struct.pack(f">{len(model.biases)}i", *model.biases), _COUNT.pack(len(model.sections))]
    for section in model.sections:
        parts.append(_SECTION.pack(section.dilation, section.padded, len(section.features)))
        parts += [layout.pack(feature.kernel, feature.bias, *feature.weights) for feature in section.features]
    return b"".join(parts)


def parse_body(header: Header, reader: Reader) -> Rocket:
    """Parse a rocket model from its header and the untrusted bytes that follow. Raises ModelError."""
    outputs = header.decision.outputs
    biases = reader.take(struct.Struct(f">{outputs}i"))
    (sections,) = reader.take(_COUNT)
    layout = _feature_layout(outputs)
    return Rocket(
        width=header.width,
        decimals=header.decimals,
        decision=header.decision,
        scales=header.scales,
        biases=biases,
        sections=tuple(_parse_section(reader, layout) for _ in range(sections)),
    )


def _parse_section(reader: Reader, layout: struct.Struct) -> Section:
    dilation, padded, count = reader.take(_SECTION)
    if padded > 1:
        raise ModelError(f"a section states {padded} for whether it is padded", hint="must be 0 or 1")
    # All features of a section at once: their length is checked before any of them is built.
    rows = layout.iter_unpack(reader.take_bytes(count * layout.size))
    return Section(dilation, bool(padded), tuple(Feature(row[0], row[1], row[2:]) for row in rows))


def describe(model: Rocket) -> tuple[list[str], list[int]]:
    """Lines for the card, one per section, and the largest magnitude that the sums of each logit can reach."""
    lines = [
        f"{len(section.features)} features, dilation {section.dilation}, {'padded' if section.padded else 'inside'}"
        for section in model.sections
    ]
    return lines, list(model.worst_sums())
