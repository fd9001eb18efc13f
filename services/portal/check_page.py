"""Serves the page that verifies bundles in a browser (services/check), if its folder was packed."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from millmark.ledger.errors import NotFoundError
from millmark.ledger.provenance import Trace
from millmark.ledger.store import Store
from millmark.services.access.rules import Rule, Without
from millmark.services.check.build import BUILT, MANIFEST
from millmark.services.directory.repository import DirectoryRepository
from millmark.services.portal.pages import PageRoute

# Copies of the page that verifies in a browser, at other companies: code from who made the proof proves less.

_MOST = 6


@dataclass(frozen=True, slots=True)
class CheckCopy:
    """A gateway that had the page at the last look (millmark.services.gateway.follower)."""

    name: str
    address: str


def find_copies(store: Store, trace: Trace, seen: Container[str]) -> tuple[CheckCopy, ...]:
    """The copies at the companies that the passport names anyway, from the directory, of those at the gateways `seen`.
    Others stay unnamed: who is in the consortium is for its members."""
    named = {trace.lot.holder.participant, trace.lot.custodian.participant}
    named |= {one.owner.participant for one in trace.assignments}
    named |= {one.inspector.participant for one in trace.certificates}
    with store.reading() as connection:
        entries = [one for one in DirectoryRepository(connection).entries() if one.participant in named]
    return tuple(
        CheckCopy(one.name, f"{one.gateway.rstrip('/')}/check/")
        for one in entries
        if one.gateway and one.gateway in seen
    )[:_MOST]


CHECK_HEADERS = {
    # The same as in the page itself, which other hosts serve without headers. A worker has only what a header says.
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self'; media-src 'self' blob:; worker-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self)",
    "Cache-Control": "no-cache",
}
_MEDIA = {
    "bin": "application/octet-stream",
    "css": "text/css; charset=utf-8",
    "gz": "application/gzip",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "mjs": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "zip": "application/zip",
}
_FILE = Rule(Without.CREDENTIAL, page=True, audited=False)
_LEAST_PACKED = 1024


@dataclass(frozen=True, slots=True)
class _File:
    digest: str
    """SHA-256 as in the manifest."""
    content: bytes
    packed: bool
    """Whether it has to be unpacked for who does not take gzip."""


class CheckPage:
    """The files of the folder's manifest, and no others; each is read at its first request, and kept in memory: 7 MB if
    somebody opens the page, and hardly any if other gateways only compare the manifest."""

    def __init__(self, folder: Path = BUILT, find_copies: Callable[[], Container[str]] = frozenset) -> None:
        """`find_copies` tells which gateways of other companies had the same page at the last look."""
        self._folder, self.find_copies = folder, find_copies
        self._kept: dict[str, _File] = {}

    @property
    def is_built(self) -> bool:
        return self.manifest is not None

    @cached_property
    def manifest(self) -> bytes | None:
        """The list of the page's files; None without one."""
        try:
            return (self._folder / MANIFEST).read_bytes()
        except OSError:
            return None

    def routes(self) -> tuple[PageRoute, ...]:
        return (PageRoute("/check", self.enter, _FILE), PageRoute("/check/{name:path}", self.file, _FILE))

    def enter(self) -> Response:
        return RedirectResponse("/check/", 308)

    def file(self, request: Request, name: str) -> Response:
        """Serves a file of the page. Raises NotFoundError unless the folder has it, as the manifest says."""
        found = self._find(name or "index.html")
        media = _MEDIA.get(name.rpartition(".")[2], "text/plain; charset=utf-8") if name else _MEDIA["html"]
        headers = {**CHECK_HEADERS, "ETag": f'"{found.digest}"', "Vary": "Accept-Encoding"}
        if f'"{found.digest}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if not found.packed:
            return Response(found.content, media_type=media, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.content, media_type=media, headers={**headers, "Content-Encoding": "gzip"})
        return Response(gzip.decompress(found.content), media_type=media, headers=headers)

    def _find(self, name: str) -> _File:
        if (kept := self._kept.get(name)) is not None:
            return kept
        digest = self._digests.get(name)
        if digest is None:
            raise NotFoundError("the page is not here", hint="pack it with scripts/check_page")
        try:
            content = (self._folder / name).read_bytes()
        except OSError:
            content = b""
        # Of a folder that was packed again meanwhile, the page would be half one and half the other.
        if hashlib.sha256(content).hexdigest() != digest:
            raise NotFoundError("the page was packed again or damaged", hint="start the gateway again")
        return self._kept.setdefault(name, _keep(digest, content, name))

    @cached_property
    def _digests(self) -> Mapping[str, str]:
        """SHA-256 of each file, by name."""
        manifest = self.manifest
        if manifest is None:
            return {}
        lines = [line.split("  ", 1) for line in manifest.decode().splitlines()]
        return {MANIFEST: hashlib.sha256(manifest).hexdigest(), **{name: digest for digest, name in lines}}


def _keep(digest: str, content: bytes, name: str) -> _File:
    """Compressed, if that is worth it and was not done yet."""
    if name.endswith((".bin", ".gz")) or len(content) <= _LEAST_PACKED:
        return _File(digest, content, packed=False)
    return _File(digest, gzip.compress(content, 6, mtime=0), packed=True)
