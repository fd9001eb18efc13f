"""Parses the code on a part from a request, and builds links that carry its salt."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.requests import Request

from ledger.errors import IdentifierError
from ledger.ids import DigitalLink, parse_digital_link
from services.interop.digital_link import build_part_link, read_salt

__all__ = ["Code", "read_code"]

_HOST = "https://id.gs1.org"
_BEFORE = re.compile(rb"^/passport/[a-z]+(?=/)")
"""Prefix of the portal's own paths before the GS1 key."""


@dataclass(frozen=True, slots=True)
class Code:
    """A valid GS1 Digital Link, and its salt if it has a valid one."""

    link: DigitalLink
    salt: bytes | None

    @property
    def identifier(self) -> str:
        return self.link.uri

    def address(self, origin: str) -> str:
        """The link in the part's code, for a gateway at `origin`. Raises IdentifierError without a salt."""
        return build_part_link(self.link, self.salt or b"", base_url=origin)

    def path(self, what: str = "", **query: str) -> str:
        """Path on this gateway, with the salt: of the passport, or of what is under /passport/ if `what` is given."""
        salted = self.address(_HOST).removeprefix(_HOST)
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return f"/passport/{what}{salted}{more}" if what else salted + more


def read_code(request: Request) -> Code:
    """Parses the code from path and query without decoding them first: `%2F` and `/` differ in a key.

    A malformed salt is ignored. Raises IdentifierError unless the text is a GS1 Digital Link.
    """
    raw: bytes = request.scope.get("raw_path") or b""
    text = f"{_HOST}{_BEFORE.sub(b'', raw, count=1).decode('latin-1')}"
    link = parse_digital_link(text)
    try:
        salt = read_salt(f"{text}?{request.scope['query_string'].decode('latin-1')}")
    except IdentifierError:
        salt = None
    return Code(link, salt)
