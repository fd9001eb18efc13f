"""Makes `handover.json` anew: hand-overs with one bit, member or line changed. Sealing is random, so the file changes.

python -m tests.vectors.make_handover_vectors > tests/vectors/handover.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from millmark.ledger.claims import build_claims
from millmark.services.handover.content import Content, Head, Route, encode_content, encode_envelope, seal
from tests.support.sign_in import signer_of

KEY = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
SIGNER, OTHER = signer_of(3), signer_of(4)
CONTENT = encode_content(Content(documents=(build_claims({"engraving": "für Mara"}),)))
ROUTE = Route(77_001, b"\x1a" * 20, 2, 3, KEY.public_key().public_bytes_raw(), 31)
_LF = "\n"


def main() -> None:
    vectors = [{"says": says, "text": text, **more} for says, text, more in _vectors()]
    shown = {
        "recipient_private_key": KEY.private_bytes_raw().hex(),
        "signer": SIGNER.address.hex(),
        "vectors": vectors,
    }
    sys.stdout.write(json.dumps(shown, indent=1, ensure_ascii=False) + _LF)


def _vectors() -> Iterator[tuple[str, str, dict[str, str]]]:
    good = encode_envelope(seal(ROUTE, CONTENT, SIGNER)).decode()
    head, body, _ = good.split(_LF)
    yield "one that opens", good, {"content": CONTENT.decode()}
    for says, text, refused in (
        ("no line feed at its end", good[:-1], "truncated"),
        ("two line feeds at its end", good + _LF, "truncated"),
        ("the second line is missing", head + _LF, "truncated"),
        ("one digit less", head + _LF + body[:-1] + _LF, "truncated"),
        ("padding", head + _LF + body + "=" + _LF, "truncated"),
        ("a digit of base64 that is none of base64url", head + _LF + "+" + body[1:] + _LF, "truncated"),
        ("another first digit", head + _LF + ("A" if body[0] != "A" else "B") + body[1:] + _LF, "not the one that"),
        ("the head with a space", head.replace(":", ": ", 1) + _LF + body + _LF, "first line"),
        ("members in another order", _reordered(head) + _LF + body + _LF, "first line"),
        ("a member more", head[:-1] + ',"z":1}' + _LF + body + _LF, "first line"),
        ("another version", head.replace('"version":1', '"version":2') + _LF + body + _LF, "of version 1"),
        ("true for a version", head.replace('"version":1', '"version":true') + _LF + body + _LF, "of version 1"),
        ("upper-case digits", head.replace("0x1a1a", "0x1A1A") + _LF + body + _LF, "lower-case digits"),
        ("another sender", head.replace('"sender":2', '"sender":4') + _LF + body + _LF, "another key signed"),
        ("another record", head.replace('"sequence":31', '"sequence":32') + _LF + body + _LF, "another key signed"),
        ("record 0", head.replace('"sequence":31', '"sequence":0') + _LF + body + _LF, "for a number from 1"),
        ("another signer", encode_envelope(seal(ROUTE, CONTENT, OTHER)).decode(), "another key signed"),
        ("sealed to another key", _sealed(X25519PrivateKey.generate()), "recipient key does not open it"),
        ("the seal of another record", _moved(), "recipient key does not open it"),
        ("a content that is none", encode_envelope(seal(ROUTE, b"{}", SIGNER)).decode(), "its content is"),
        ("a content with spaces", _inside(CONTENT.replace(b":", b": ", 1)), "its content is"),
        ("a content that is cut", _inside(CONTENT[:-1]), "its content is"),
    ):
        yield says, text, {"refused": refused}


def _inside(content: bytes) -> str:
    return encode_envelope(seal(ROUTE, content, SIGNER)).decode()


def _reordered(head: str) -> str:
    members = json.loads(head)
    return json.dumps(dict(reversed(members.items())), separators=(",", ":"))


def _sealed(key: X25519PrivateKey) -> str:
    return encode_envelope(
        seal(replace(ROUTE, recipient_key=key.public_key().public_bytes_raw()), CONTENT, SIGNER)
    ).decode()


def _moved() -> str:
    """Sealed for another record, and signed for this one."""
    other = seal(replace(ROUTE, sequence=30), CONTENT, SIGNER)
    head = Head(ROUTE, other.head.digest, other.head.size, b"")
    signature = SIGNER.sign_digest(head.signed_digest).to_bytes()
    return encode_envelope(replace(other, head=replace(head, signature=signature))).decode()


if __name__ == "__main__":
    main()
