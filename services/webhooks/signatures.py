"""Signatures of webhooks, by the conventions of Standard Webhooks (standardwebhooks.com), symmetric scheme v1.

HMAC-SHA256 over `ID.TIMESTAMP.BODY`, in base64 behind `v1,`; one for each secret that is in force, separated by spaces,
so that a receiver may change to a new secret while both sign.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from typing import Final

from ledger.errors import MillmarkError

__all__ = ["TOLERANCE_S", "SignatureRefusedError", "new_secret", "sign", "verify_webhook"]

TOLERANCE_S: Final = 300
"""How far a timestamp may be from the receiver's clock, so that a delivery that was overheard cannot be sent again."""
_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


class SignatureRefusedError(MillmarkError):
    """A delivery is not signed by the secret, or not now."""

    code = "webhook-signature-refused"


def new_secret() -> str:
    """32 random bytes as `whsec_` and base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(keys: Iterable[str], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The headers of a delivery."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join("v1," + _seal(key, signed) for key in keys),
    }


def verify_webhook(key: str, headers: Mapping[str, str], body: bytes, *, now_s: int) -> str:
    """For receivers: the id of a delivery that this secret signed, within five minutes of `now_s`. The names of the
    headers are in lower case. Raises SignatureRefusedError. Not established: that it did not come before; keep ids."""
    try:
        message_id, timestamp, given = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    except KeyError:
        raise SignatureRefusedError("the delivery is not signed", hint="drop it") from None
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now_s - int(timestamp[:12])) > TOLERANCE_S:
        raise SignatureRefusedError("the delivery is too old, or from another time", hint="drop it; check the clock")
    expected = "v1," + _seal(key, f"{message_id}.{timestamp}.".encode() + body)
    found = [hmac.compare_digest(expected.encode(), one.encode()) for one in given.split(" ")]
    if not any(found):
        raise SignatureRefusedError("no signature is by this secret", hint="drop it; check the secret")
    return message_id


def _seal(key: str, signed: bytes) -> str:
    raw = base64.b64decode(key.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
