"""Webhook signatures as specified by Standard Webhooks (standardwebhooks.com), symmetric scheme v1.

HMAC-SHA256 over `ID.TIMESTAMP.BODY`, base64 after the prefix `v1,`. There is one signature for each valid secret,
separated by spaces, so that a receiver can switch secrets while both are in use.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from millmark.ledger.errors import MillmarkError

TOLERANCE_S: Final = 300
"""Most seconds between timestamp and receiver's clock. It limits how long an intercepted delivery can be replayed."""
_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


class SignatureRefusedError(MillmarkError):
    """A delivery lacks a valid signature, or its timestamp is out of range."""

    code = "webhook-signature-refused"


def new_secret(seed: bytes | None = None) -> str:
    """`whsec_` and 32 bytes in base64: `seed`, or random ones."""
    return _PREFIX + base64.b64encode(seed or secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(keys: Iterable[str], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The signature headers of a delivery."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join("v1," + _seal(key, signed) for key in keys),
    }


def verify_webhook(key: str, headers: Mapping[str, str], body: bytes, *, now_s: int) -> str:
    """Verifies a delivery, for receivers, and returns its id. It must be signed with this secret within five minutes of
    `now_s`.

    Header names have to be in lower case. Raises SignatureRefusedError. Not established: that the delivery is new;
    remember the ids of accepted ones.
    """
    try:
        message_id, timestamp, given = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError:
        raise SignatureRefusedError("the delivery is not signed", hint="discard it") from None
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now_s - int(timestamp[:12])) > TOLERANCE_S:
        raise SignatureRefusedError(
            f"the timestamp is malformed or more than {TOLERANCE_S} s from this clock",
            hint="discard the delivery; check the clock",
        )
    expected = "v1," + _seal(key, f"{message_id}.{timestamp}.".encode() + body)
    # All are compared, without stopping at a match, so that the time taken does not reveal which one matched.
    found = [hmac.compare_digest(expected.encode(), one.encode()) for one in given.split(" ")]
    if not any(found):
        raise SignatureRefusedError(
            "no signature was made with this secret", hint="discard the delivery; check the secret"
        )
    return message_id


def _seal(key: str, signed: bytes) -> str:
    raw = base64.b64decode(key.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
