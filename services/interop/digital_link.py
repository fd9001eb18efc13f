"""GS1 Digital Links, as entered or scanned, and as encoded in the code on a part.

A part's code is its canonical link with one more query parameter, `salt`: the subject's 32-byte salt as 43 characters
of base64url. With it, the holder of the part can find its subject; nobody else can test guesses (DESIGN section 2).
`salt` is not an application identifier: other readers ignore it, and it never becomes part of the identifier.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from urllib.parse import parse_qsl

import segno

from millmark.ledger.errors import IdentifierError
from millmark.ledger.ids import SALT_BYTES, DigitalLink, parse_digital_link

SALT_PARAMETER = "salt"
_QUIET_MODULES = 4
"""Width of the white border of a QR code, in modules (ISO/IEC 18004 section 9.1)."""


@dataclass(frozen=True, slots=True)
class LinkReport:
    """A valid link: it breaks no rule that can be checked on one link alone."""

    link: DigitalLink
    unmet: tuple[str, ...]
    """Identifiers that the link requires on the same item but lacks, one line each; another code may carry them."""

    def to_json(self) -> dict[str, object]:
        """The values by application identifier (key and qualifiers before attributes), the canonical URI, and the unmet
        requirements."""
        return {
            "ai": dict((*self.link.elements, *self.link.attributes)),
            "canonical": self.link.uri,
            "unmet": list(self.unmet),
        }


def read_link(text: str, *, zero_suppressed: bool = False) -> LinkReport:
    """Parses and validates an uncompressed Digital Link, including its attributes. Raises IdentifierError.

    With `zero_suppressed`, a GTIN in the path may have 8, 12 or 13 digits. Not established: that the key was ever
    issued, or that the URL resolves."""
    link = parse_digital_link(text, zero_suppressed=zero_suppressed)
    return LinkReport(link, tuple(link.check_attributes()))


def build_part_link(link: DigitalLink, salt: bytes, *, base_url: str = "https://id.gs1.org") -> str:
    """The link for the code on a part: under `base_url` (scheme, host and an optional path), with the subject's salt.

    Raises IdentifierError if the salt is not 32 bytes, or if the result would not parse to the same identifiers."""
    if len(salt) != SALT_BYTES:
        raise IdentifierError(f"the salt is not {SALT_BYTES} bytes")
    path = link.uri.removeprefix("https://id.gs1.org")
    text = f"{base_url.rstrip('/')}{path}?{SALT_PARAMETER}={_encode(salt)}"
    # Parsed back: the path of a base URL could be read as part of the link.
    if parse_digital_link(text).elements != link.elements:
        raise IdentifierError(f"{base_url[:80]!a} changes the link's identifiers", hint="give scheme and host only")
    return text


def read_salt(text: str) -> bytes | None:
    """The salt in a part's link, or None if it has no such parameter.

    Raises IdentifierError for several salts, or for one that is not 32 bytes in base64url without padding."""
    query = text.partition("#")[0].partition("?")[2]
    found = [value for name, value in parse_qsl(query, keep_blank_values=True) if name == SALT_PARAMETER]
    if not found:
        return None
    if len(found) > 1:
        raise IdentifierError("the link has more than one salt", hint="scan the code again")
    try:
        salt = base64.urlsafe_b64decode(found[0] + "=" * (-len(found[0]) % 4))
    except ValueError:
        salt = b""
    # Encoded again, because base64 decoders accept several spellings of the same bytes.
    if len(salt) != SALT_BYTES or _encode(salt) != found[0]:
        raise IdentifierError("the link's salt is not 32 bytes in base64url", hint="scan the code again")
    return salt


def build_qr_svg(text: str, *, module_px: int = 4) -> str:
    """A QR code as one SVG element without scripts or links: error correction M or better, a border of four modules.

    Raises IdentifierError if the text does not fit in one code."""
    out = io.BytesIO()
    _make_qr(text).save(
        out, kind="svg", border=_QUIET_MODULES, scale=module_px, xmldecl=False, light="#fff", title="GS1 Digital Link"
    )
    return out.getvalue().decode()


def build_qr_text(text: str) -> str:
    """A QR code in half-block characters, for terminals. Raises IdentifierError as `build_qr_svg` does."""
    out = io.StringIO()
    _make_qr(text).terminal(out, border=2, compact=True)
    return out.getvalue()


def _make_qr(text: str) -> segno.QRCode:
    try:
        return segno.make_qr(text, error="m")
    except segno.DataOverflowError:
        raise IdentifierError("the link is too long for one QR code", hint="shorten the host or the path") from None


def _encode(salt: bytes) -> str:
    return base64.urlsafe_b64encode(salt).rstrip(b"=").decode()
