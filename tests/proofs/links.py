"""Follows every link of every page of a finished demonstration, for each role: `scripts/prove links`.

A link is dead if what it leads to answers with an error, asks somebody who is signed in to sign in, or lacks the place
that its fragment names. Languages of a page are asked for, and not followed further: they have the same links.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import parse_qsl, urldefrag, urljoin, urlsplit

import httpx

from tests.support.opened import Link, enter, opened

__all__ = ["Visit", "main", "visit"]

_TOO_MANY, _WAIT_S = 429, 2.0
_STREAM = "/portal/events"
"""Never ends."""
_GROWS = "/portal/audit"
"""By each request: its further pages have no end for who follows them, and are asked for once each."""
_ENDS_SESSION = "/portal/sign-out"
_MOST_PAGES = 20_000


class _Page(HTMLParser):
    """The links of a page, and the places that fragments may name."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {value for name in ("id", "name") if (value := given.get(name))}
        for name in ("href", "src"):
            if (value := given.get(name)) and not value.startswith(("data:", "mailto:", "tel:")):
                self.links.append(value)


@dataclass
class Visit:
    """What somebody who follows every link finds."""

    role: str
    pages: int = 0
    links: int = 0
    elsewhere: int = 0
    """Links to other machines, which are not followed."""
    dead: list[str] = field(default_factory=list)
    lists: set[tuple[str, frozenset[str]]] = field(default_factory=set)
    places: dict[str, set[str] | None] = field(default_factory=dict)
    """Of what was asked for, by its address; None for what is no page, or answers with an error."""

    def has_shown(self, address: str, links: Sequence[str]) -> bool:
        """Whether it is a part of a list that was seen: each link to one has another cursor, which is sealed anew."""
        if "cursor" not in _asked(address):
            return False
        rows = urlsplit(address).path, frozenset(one for one in links if "cursor" not in _asked(one))
        seen = rows in self.lists
        self.lists.add(rows)
        return seen

    def describe(self) -> str:
        counts = (
            f"{self.pages:6} pages {self.links:7} links {self.elsewhere:5} to other machines {len(self.dead):4} dead"
        )
        return "\n".join([f"{self.role:18}{counts}", *(f"    {one}" for one in self.dead)])


def visit(role: str, start: str, client: httpx.Client, origins: frozenset[str], signed_in: bool) -> Visit:
    """Follows all links from `start` within its origin, and asks once for each of those to the other `origins`."""
    found, own = Visit(role), _origin(start)
    waiting, seen, places = deque([(start, "the start")]), {urldefrag(start)[0]}, list[tuple[str, str, str]]()
    while waiting and found.pages < _MOST_PAGES:
        address, source = waiting.popleft()
        page = _ask(found, client, address, source, signed_in and _origin(address) == own)
        found.places[address] = None if page is None else page.places
        if page is None or _origin(address) != own or _is_asked_once(address) or found.has_shown(address, page.links):
            continue
        found.pages += 1
        for link in page.links:
            target, fragment = urldefrag(urljoin(address, link))
            found.links += 1
            if _origin(target) not in origins:
                found.elsewhere += 1
                continue
            if fragment and "=" not in fragment:
                places.append((target, fragment, address))
            if target not in seen and urlsplit(target).path not in (_STREAM, _ENDS_SESSION):
                seen.add(target)
                waiting.append((target, address))
    if waiting:
        found.dead.append(f"{len(waiting)} links were not followed: there are more than {_MOST_PAGES} pages")
    for target, fragment, source in places:
        there = found.places.get(target)
        if there is not None and fragment not in there:
            found.dead.append(f"{target} has no place {fragment!r}, linked from {source}")
    return found


def _ask(found: Visit, client: httpx.Client, address: str, source: str, signed_in: bool) -> _Page | None:
    """The page at an address; None for what is none, or for a dead link, which is noted."""
    while True:
        try:
            answer = client.get(address, follow_redirects=True)
        except httpx.HTTPError as error:
            found.dead.append(f"{address}: {error!r}, linked from {source}")
            return None
        if answer.status_code != _TOO_MANY:
            break
        time.sleep(float(answer.headers.get("retry-after", _WAIT_S)))
    if answer.is_error:
        found.dead.append(f"{address}: {answer.status_code}, linked from {source}")
        return None
    if signed_in and answer.url.path == "/portal/sign-in" and urlsplit(address).path != "/portal/sign-in":
        found.dead.append(f"{address}: asks to sign in, linked from {source}")
        return None
    is_page = answer.headers.get("content-type", "").startswith("text/html")
    return _Page(answer.text) if is_page else None


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _is_asked_once(address: str) -> bool:
    """Whether it is another page's translation, or a further page of what has no end."""
    asked = _asked(address)
    return "lang" in asked or (urlsplit(address).path == _GROWS and "cursor" in asked)


def _asked(address: str) -> set[str]:
    return {name for name, _ in parse_qsl(urlsplit(address).query)}


def _visit_all(links: dict[str, Link]) -> Iterator[Visit]:
    origins = frozenset(one.origin for one in links.values())
    for role, link in links.items():
        if role == "anybody":
            with httpx.Client(timeout=60, trust_env=False) as client:
                yield visit(role, link.url, client, origins, signed_in=False)
        else:
            with closing(enter(link)) as client:
                yield visit(role, f"{link.origin}/portal", client, origins, signed_in=True)


def main(arguments: list[str]) -> int:
    """Runs the demonstration, unless a folder is given, opens it, and returns 0 if no link is dead."""
    parser = argparse.ArgumentParser(prog="scripts/prove links")
    parser.add_argument("--folder", type=Path, help="of a finished demonstration; by default, one is run")
    folder = parser.parse_args(arguments).folder
    with tempfile.TemporaryDirectory() as made:
        if folder is None:
            folder = Path(made, "demonstration")
            command = [sys.executable, "-m", "millmark.services.entry", "demo", "--out", str(folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        dead = Counter[str]()
        with opened(folder, Path(made, "open.log")) as links:
            for found in _visit_all(links):
                sys.stdout.write(f"{found.describe()}\n")
                sys.stdout.flush()
                dead["dead"] += len(found.dead)
    sys.stdout.write(f"{dead['dead']} dead links\n")
    return 1 if dead["dead"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
