"""A demonstration that somebody opens, by `millmark demo open`, and who enters by its links without a browser."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.authenticator import Authenticator
from tests.support.patience import MAX_S

__all__ = ["Link", "enter", "opened", "read_links"]

OPEN = "open until Ctrl-C"
_LINE = re.compile(r"^ +(?P<role>[a-z ]+?) {2,}(?P<company>\S.*?) {2,}(?P<url>http://\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Link:
    """A line that the demonstration prints."""

    role: str
    company: str
    url: str

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"


def read_links(printed: str) -> dict[str, Link]:
    """The last links printed, by role; `anybody` is the passport's."""
    return {found["role"]: Link(**found.groupdict()) for found in _LINE.finditer(printed)}


@contextmanager
def opened(folder: Path, log: Path, command: str = "demo open --out") -> Iterator[dict[str, Link]]:
    """Opens the demonstration in the folder as somebody types it, until Ctrl-C. Yields the links that it prints."""
    words = [sys.executable, "-m", "millmark.services.entry", *command.split(), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with log.open("w") as file:
        # With its own group of processes, all of which a terminal's Ctrl-C reaches.
        process = subprocess.Popen(words, stdout=file, stderr=file, env=environment, start_new_session=True)
        try:
            end = time.monotonic() + 2 * MAX_S
            while OPEN not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield read_links(log.read_text())
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            code = process.wait(MAX_S)
    assert code == 0, log.read_text()


def enter(link: Link) -> httpx.Client:
    """Takes an invitation with a passkey of its own; the client is signed in."""
    page = httpx.Client(base_url=link.origin, timeout=MAX_S, trust_env=False)
    token = _field(page.get("/portal/invitation").text, "token")
    code = urlsplit(link.url).fragment
    shown = page.post("/portal/invitation", data={"token": token, "code": code}).text
    found = re.search(r'data-passkey="([^"]*)"', shown)
    assert found is not None, f"no passkey is offered to the {link.role}"
    passkey = Authenticator(link.origin, "localhost", id=os.urandom(16))
    fields = {"token": _field(shown, "token"), "code": code, "credential": passkey.create(unescape(found[1]))}
    answer = page.post("/portal/invitation/passkey", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/portal"), answer.text
    return page


def _field(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return unescape(found[1])
