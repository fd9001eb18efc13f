"""Bitstring Status Lists (W3C Bitstring Status List 1.0): which certificates no longer hold, one bit for each.

The bit of a certificate is that of its sequence on the ledger: list sequence // SIZE, index sequence % SIZE. Its value
is derived from the ledger at the time of writing, never kept by hand.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from ledger.canonical import Json
from ledger.records import CertificateStatus
from services.interop.credentials.model import BASE_CONTEXT, is_url, listed
from services.interop.errors import CredentialError

__all__ = [
    "SIZE",
    "STANDING",
    "build_status_entry",
    "build_status_list",
    "decode_bitstring",
    "encode_bitstring",
    "is_set",
    "status_bits",
    "taken_back",
]

SIZE: Final = 131_072
"""Bits of a list: the least that the standard allows, so that fetching a list does not tell which one is asked for."""
_MAX_BYTES: Final = 1 << 22
"""Of a decoded list, from anybody: 33 million bits."""
STANDING: Final = (CertificateStatus.VALID, CertificateStatus.EXPIRED)
"""Expiry is told by validUntil; the bit says that a certificate was taken back."""


def status_bits(number: int, statuses: Mapping[int, CertificateStatus]) -> bytes:
    """List `number`: a bit for each certificate (by sequence) that was revoked, or fell with its model."""
    taken_back = (one for one, status in statuses.items() if status not in STANDING and one // SIZE == number)
    bits = bytearray(SIZE // 8)
    for sequence in taken_back:
        place, bit = divmod(sequence % SIZE, 8)
        bits[place] |= 0x80 >> bit
    return bytes(bits)


def encode_bitstring(bits: bytes) -> str:
    """GZIP, base64url without padding, multibase `u`. The same bits give the same text."""
    if len(bits) * 8 < SIZE:
        raise CredentialError(f"a status list has {SIZE} bits or more")
    return "u" + base64.urlsafe_b64encode(gzip.compress(bits, mtime=0)).rstrip(b"=").decode()


def decode_bitstring(text: Json) -> bytes:
    """The bits of an encoded list. Raises CredentialError, also for one that would unpack to more than 4 MiB."""
    if not isinstance(text, str) or not text.startswith("u"):
        raise CredentialError("the status list is no multibase text in base64url", hint="it begins with u")
    try:
        packed = base64.b64decode(text[1:] + "=" * (-len(text[1:]) % 4), altchars=b"-_", validate=True)
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        bits = unpacker.decompress(packed, _MAX_BYTES)
    except (binascii.Error, ValueError, zlib.error):
        raise CredentialError("the status list is not GZIP in base64url") from None
    if unpacker.unconsumed_tail:
        raise CredentialError(f"the status list unpacks to more than {_MAX_BYTES >> 20} MiB")
    if not unpacker.eof or unpacker.unused_data:
        raise CredentialError("the status list is cut off, or has something behind it")
    if len(bits) * 8 < SIZE:
        raise CredentialError(f"the status list has fewer than {SIZE} bits")
    return bits


def build_status_list(url: str, issuer: str, bits: bytes, *, valid_from: str) -> dict[str, Json]:
    """The credential at `url` that carries a list of revocations; to be signed and served by the issuer."""
    return {
        "@context": [BASE_CONTEXT],
        "id": url,
        "type": ["VerifiableCredential", "BitstringStatusListCredential"],
        "issuer": issuer,
        "validFrom": valid_from,
        "credentialSubject": {
            "id": f"{url}#list",
            "type": "BitstringStatusList",
            "statusPurpose": "revocation",
            "encodedList": encode_bitstring(bits),
        },
    }


def build_status_entry(url: str, sequence: int) -> dict[str, Json]:
    """The `credentialStatus` of a certificate whose list is at `url`."""
    index = str(sequence % SIZE)
    return {
        "id": f"{url}#{index}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": index,
        "statusListCredential": url,
    }


def is_set(entry: Json, lists: Mapping[str, Mapping[str, Json]]) -> bool:
    """Tell whether the bit of a status entry is set, by the status list credentials given, which must be verified.

    Raises CredentialError when the entry or its list is malformed, not at hand, or of another purpose.
    """
    if not isinstance(entry, dict) or entry.get("type") != "BitstringStatusListEntry":
        raise CredentialError("a kind of status that is not read here", hint="BitstringStatusListEntry is")
    url, index, purpose = (entry.get(name) for name in ("statusListCredential", "statusListIndex", "statusPurpose"))
    if not is_url(url) or not isinstance(index, str) or not (index.isascii() and index.isdigit()) or len(index) > 12:
        raise CredentialError("the status entry has no list or no index")
    if entry.get("statusSize", 1) != 1:
        raise CredentialError("statuses of more than a bit are not read here")
    document = lists.get(str(url))
    if document is None:
        raise CredentialError(f"the status list {str(url)[:120]} is not at hand", hint="get it from its issuer")
    bits = _bits(document, purpose)
    place, bit = divmod(int(index), 8)
    if place >= len(bits):
        raise CredentialError("the status index is behind the end of its list")
    return bool(bits[place] & 0x80 >> bit)


def _bits(document: Mapping[str, Json], purpose: Json) -> bytes:
    subject = document.get("credentialSubject")
    if "BitstringStatusListCredential" not in listed(document.get("type")) or not isinstance(subject, dict):
        raise CredentialError("what the status entry names is no status list")
    if subject.get("type") != "BitstringStatusList" or purpose not in listed(subject.get("statusPurpose")):
        raise CredentialError("the status list is of another purpose than the entry")
    return decode_bitstring(subject.get("encodedList"))


def taken_back(statuses: Iterable[Json], lists: Mapping[str, Mapping[str, Json]]) -> bool:
    """Tell whether any of several entries is set. All are read, so that a malformed one is not passed over."""
    found = [is_set(entry, lists) for entry in statuses]
    return any(found)
