"""HTTP client for the documents of a gateway. Responses are untrusted: malformed ones are refused, and a fetched file
is verified when it is opened (sealed_file)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import httpx

from millmark.ledger.canonical import parse_json
from millmark.ledger.errors import CanonicalError, InputError, MillmarkError, NotFoundError
from millmark.services.documents.encryption import MAX_FILE_BYTES, DocumentError, GatewayAnswerError

_TIMEOUT_S = 60.0
_MAX_ANSWER_BYTES = 1 << 20
_MAX_DEPTH = 32
_MAX_TEXT = 500
_RETRY = "no change was left half done: try again"


class HttpDocuments:
    """`token`: session token or API key of that gateway, with the scope `documents`, for changes `document-changes`."""

    def __init__(self, url: str, token: str, client: httpx.Client | None = None) -> None:
        try:
            # Without the environment's proxies and .netrc: the token is for this gateway only.
            self._client = client or httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False)
        except (httpx.InvalidURL, ValueError):
            raise InputError(
                "the gateway's address is not a URL", hint="give a URL such as https://gateway.example"
            ) from None
        self._client.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._client.close()

    def publish_key(self, statement: object) -> dict[str, Any]:
        """Registers a recipient key. Raises DocumentError with the gateway's reason if it refuses the statement."""
        return self._json("PUT", "/v1/recipient-key", json=statement)

    def page(self, about: str | None) -> list[dict[str, Any]]:
        """The first page of documents visible to the caller. `about` limits it to those of a lot or an order."""
        found = self._json("GET", "/v1/documents", params={} if about is None else {"about": about})
        items = found.get("items")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise GatewayAnswerError("the gateway's response is malformed", hint=_RETRY)
        return items

    def get(self, document: str) -> dict[str, Any]:
        return self._json("GET", f"/v1/documents/{document}")

    def add(self, content: bytes, media_type: str, given: Mapping[str, str]) -> dict[str, Any]:
        """Adds a document. The idempotency key is derived from content and parameters, so a call can safely be repeated
        after a network failure."""
        named = hashlib.sha256(repr((sorted(given.items()), media_type)).encode() + hashlib.sha256(content).digest())
        headers = {"Content-Type": media_type, "Idempotency-Key": named.hexdigest()}
        return self._json("POST", "/v1/documents", params=dict(given), content=content, headers=headers)

    def fetch(self, document: str, version: int) -> bytes:
        """The sealed file. Raises NotFoundError if the document does not exist or is not visible to the caller."""
        return self._ask("GET", f"/v1/documents/{document}/versions/{version}", MAX_FILE_BYTES)

    def grant(self, document: str, participant: int) -> dict[str, Any]:
        return self._json("PUT", f"/v1/documents/{document}/grants/{participant}")

    def revoke(self, document: str, participant: int) -> dict[str, Any]:
        return self._json("DELETE", f"/v1/documents/{document}/grants/{participant}")

    def _json(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        found = _parse(self._ask(method, path, _MAX_ANSWER_BYTES, **sent))
        if found is None:
            raise GatewayAnswerError("the gateway's response is malformed", hint=_RETRY)
        return found

    def _ask(self, method: str, path: str, most_bytes: int, **sent: Any) -> bytes:
        try:
            with self._client.stream(method, path, **sent) as answer:
                # A refusal is a short problem document, however large the requested file may be.
                limit = most_bytes if answer.is_success else _MAX_ANSWER_BYTES
                content = b""
                # Counted while it arrives, so that an endless response does not fill the memory.
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > limit:
                        raise GatewayAnswerError(f"the gateway's response exceeds {limit} bytes", hint=_RETRY)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise GatewayAnswerError("the gateway does not respond", hint=_RETRY) from None
        if not answer.is_success:
            raise _refusal(answer.status_code, _parse(content) or {})
        return content


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        found: Any = parse_json(content, max_bytes=_MAX_ANSWER_BYTES, max_depth=_MAX_DEPTH)
    except CanonicalError:
        return None
    return found if isinstance(found, dict) else None


def _refusal(status: int, problem: Mapping[str, Any]) -> MillmarkError:
    # On one line and bounded: the text comes from the gateway and is printed on a terminal.
    detail = " ".join(str(problem.get("detail", f"status {status}")).split())[:_MAX_TEXT]
    if status == 404:
        return NotFoundError(
            "the document does not exist, or is not visible to this participant", hint="see `millmark documents list`"
        )
    if status in (401, 403):
        return DocumentError(f"the gateway refuses this credential: {detail}", hint="see the gateway's ACCESS.md")
    if status >= 500 or status == 429:
        return GatewayAnswerError(f"the gateway cannot process the request now: {detail}", hint="try again later")
    return DocumentError(f"the gateway refuses the request: {detail}")
