"""The code on a part as a request brings it, and the links that go on from it with the salt."""

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
"""What our own paths put before the key."""


@dataclass(frozen=True, slots=True)
class Code:
    """A checked link, and the salt if there is a usable one."""

    link: DigitalLink
    salt: bytes | None

    @property
    def identifier(self) -> str:
        return self.link.uri

    def address(self, origin: str) -> str:
        """The link on the part's code, for a gateway at `origin`. Raises IdentifierError without a salt."""
        return build_part_link(self.link, self.salt or b"", base_url=origin)

    def path(self, what: str = "", **query: str) -> str:
        """Where we have something of this code, with its salt: the page itself, or what stands under /passport/."""
        salted = self.address(_HOST).removeprefix(_HOST)
        more = "".join(f"&{name}={value}" for name, value in query.items())
        return f"/passport/{what}{salted}{more}" if what else salted + more


def read_code(request: Request) -> Code:
    """The code in a request's path and query, as it was written: `%2F` and `/` are different things in a key.

    A malformed salt counts as none. Raises IdentifierError for a text that is not a GS1 Digital Link.
    """
    raw: bytes = request.scope.get("raw_path") or b""
    text = f"{_HOST}{_BEFORE.sub(b'', raw, count=1).decode('latin-1')}"
    link = parse_digital_link(text)
    try:
        salt = read_salt(f"{text}?{request.scope['query_string'].decode('latin-1')}")
    except IdentifierError:
        salt = None
    return Code(link, salt)
