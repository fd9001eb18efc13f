"""Serves the page that verifies bundles in a browser (services/check), if its folder was built."""

from __future__ import annotations

import gzip
import hashlib
from functools import cached_property
from pathlib import Path

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from ledger.errors import NotFoundError
from services.access.rules import Rule
from services.check.build import MANIFEST
from services.portal.routes import PageRoute

__all__ = ["BUILT", "CHECK_HEADERS", "CheckPage"]

BUILT = Path(__file__).parents[1] / "check" / "built"
"""Where `scripts/check_page` builds it."""
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
}
_FILE = Rule(public=True, page=True, audited=False)
_LEAST_PACKED = 1024


class CheckPage:
    """The files of the folder's manifest, and no others; read at the first request, and kept in memory: 7 MB."""

    def __init__(self, folder: Path = BUILT) -> None:
        self._folder = folder

    @property
    def is_built(self) -> bool:
        return (self._folder / MANIFEST).is_file()

    def routes(self) -> tuple[PageRoute, ...]:
        return (PageRoute("/check", self.enter, _FILE), PageRoute("/check/{name:path}", self.file, _FILE))

    def enter(self) -> Response:
        return RedirectResponse("/check/", 308)

    def file(self, request: Request, name: str) -> Response:
        """Serves a file of the page. Raises NotFoundError unless the folder has it."""
        found = self._files.get(name or "index.html") if self.is_built else None
        if found is None:
            raise NotFoundError("the page is not here", hint="build it with scripts/check_page")
        tag, content = found
        media = _MEDIA.get(name.rpartition(".")[2], "text/plain; charset=utf-8") if name else _MEDIA["html"]
        headers = {**CHECK_HEADERS, "ETag": f'"{tag}"', "Vary": "Accept-Encoding"}
        if f'"{tag}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        packed = self._packed.get(name or "index.html")
        if packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
            return Response(packed, media_type=media, headers={**headers, "Content-Encoding": "gzip"})
        return Response(content, media_type=media, headers=headers)

    @cached_property
    def _files(self) -> dict[str, tuple[str, bytes]]:
        """Content by name, with its SHA-256 as in the manifest."""
        lines = [line.split("  ", 1) for line in (self._folder / MANIFEST).read_text().splitlines()]
        found = {name: (digest, (self._folder / name).read_bytes()) for digest, name in lines}
        manifest = (self._folder / MANIFEST).read_bytes()
        return {**found, MANIFEST: (hashlib.sha256(manifest).hexdigest(), manifest)}

    @cached_property
    def _packed(self) -> dict[str, bytes]:
        """Gzipped content by name, of the files that are long enough and not packed yet."""
        return {
            name: gzip.compress(content, mtime=0)
            for name, (_, content) in self._files.items()
            if not name.endswith(".gz") and len(content) > _LEAST_PACKED
        }
