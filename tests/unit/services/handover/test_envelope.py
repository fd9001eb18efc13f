"""The text of hand-overs, by vectors: one that opens, and many that do not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from millmark.ledger.errors import MillmarkError
from millmark.services.handover.content import (
    MAX_CONTENT_BYTES,
    MAX_HANDOVER_BYTES,
    Content,
    HandoverRefusedError,
    Route,
    encode_content,
    encode_envelope,
    is_handover,
    open_envelope,
    parse_content,
    parse_envelope,
    seal,
)
from tests.support.sign_in import signer_of

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "handover.json").read_text("utf-8"))
KEY = X25519PrivateKey.from_private_bytes(bytes.fromhex(VECTORS["recipient_private_key"]))


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda one: one["says"])
def test_vector(vector: dict[str, str]) -> None:
    text = vector["text"].encode("latin-1")
    if "refused" in vector:
        with pytest.raises(MillmarkError) as found:
            _open(text)
        assert vector["refused"] in found.value.cause
        return
    opened, signer = _open(text)
    assert opened == vector["content"].encode()
    assert signer.hex() == VECTORS["signer"]
    assert encode_envelope(parse_envelope(text)) == text


def _open(text: bytes) -> tuple[bytes, bytes]:
    """The content, and who signed. The steps that need no index."""
    envelope = parse_envelope(text)
    signer = envelope.head.recover_signer()
    if signer.hex() != VECTORS["signer"]:
        raise HandoverRefusedError("another key signed")
    content = open_envelope(envelope, KEY)
    parse_content(content)
    return content, signer


def test_more_vectors_are_refused_than_taken() -> None:
    assert sum("refused" in one for one in VECTORS["vectors"]) > 3 * sum("content" in one for one in VECTORS["vectors"])


def test_the_limits_belong_together() -> None:
    public = KEY.public_key().public_bytes_raw()
    route = Route(2**53 - 1, b"\xff" * 20, 2**32 - 1, 2**32 - 1, public, 2**40 - 1)
    largest = encode_envelope(seal(route, bytes(MAX_CONTENT_BYTES), signer_of(3)))
    assert len(largest) <= MAX_HANDOVER_BYTES
    assert open_envelope(parse_envelope(largest), KEY) == bytes(MAX_CONTENT_BYTES)
    with pytest.raises(HandoverRefusedError, match="more than 16777216; hand over fewer lots at once"):
        seal(route, bytes(MAX_CONTENT_BYTES + 1), signer_of(3))
    with pytest.raises(HandoverRefusedError, match="the recipient's key cannot be used"):
        seal(replace(route, recipient_key=bytes(32)), b"", signer_of(3))


def test_every_seal_is_another_but_signs_the_same_route() -> None:
    route = Route(1, b"\1" * 20, 2, 3, KEY.public_key().public_bytes_raw(), 4)
    one, two = (seal(route, encode_content(Content()), signer_of(2)) for _ in range(2))
    assert one.head.digest != two.head.digest
    assert one.head.recover_signer() == two.head.recover_signer() == signer_of(2).address
    assert is_handover(encode_envelope(one))
    assert not is_handover(b'{"bundle_version":1}')
