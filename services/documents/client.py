"""A gateway's documents, asked for over HTTP. Every answer is untrusted: what does not parse is no answer, and what was
fetched proves itself when it is opened (sealed_file)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import httpx

from ledger.canonical import parse_json
from ledger.errors import CanonicalError, InputError, MillmarkError, NotFoundError
from services.documents.errors import DocumentError, GatewayAnswerError
from services.documents.sealed_file import MOST_FILE_BYTES

__all__ = ["HttpDocuments"]

_TIMEOUT_S = 60.0
_MOST_ANSWER_BYTES = 1 << 20
_MOST_DEPTH = 32
_MOST_TEXT = 500
_NO_ANSWER = "nothing is half done: try again"


class HttpDocuments:
    """`token` is a session's or an API key's of that gateway, with the scope `documents`, or `sharing` to change."""

    def __init__(self, url: str, token: str, client: httpx.Client | None = None) -> None:
        try:
            self._client = client or httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False)
        except (httpx.InvalidURL, ValueError):
            raise InputError(
                "the gateway's address is no URL", hint="give one such as https://gateway.example"
            ) from None
        self._client.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._client.close()

    def publish_key(self, statement: object) -> dict[str, Any]:
        """Raises RecipientKeyError's kin: the gateway says why a statement does not count."""
        return self._json("PUT", "/v1/recipient-key", json=statement)

    def page(self, about: str | None) -> list[dict[str, Any]]:
        """Documents that are there for the caller, at most a page of them; of a lot or an order where one is named."""
        found = self._json("GET", "/v1/documents", params={} if about is None else {"about": about})
        items = found.get("items")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise GatewayAnswerError("the gateway's answer cannot be used", hint=_NO_ANSWER)
        return items

    def get(self, document: str) -> dict[str, Any]:
        return self._json("GET", f"/v1/documents/{document}")

    def add(self, content: bytes, media_type: str, given: Mapping[str, str]) -> dict[str, Any]:
        """The same content under the same terms is one document for as long as the gateway remembers answers, so that
        it can be sent again when the line failed."""
        named = hashlib.sha256(repr((sorted(given.items()), media_type)).encode() + hashlib.sha256(content).digest())
        headers = {"Content-Type": media_type, "Idempotency-Key": named.hexdigest()}
        return self._json("POST", "/v1/documents", params=dict(given), content=content, headers=headers)

    def fetch(self, document: str, version: int) -> bytes:
        """The sealed file. Raises NotFoundError for what is not there for the caller."""
        return self._ask("GET", f"/v1/documents/{document}/versions/{version}", MOST_FILE_BYTES)

    def grant(self, document: str, participant: int) -> dict[str, Any]:
        return self._json("PUT", f"/v1/documents/{document}/grants/{participant}")

    def revoke(self, document: str, participant: int) -> dict[str, Any]:
        return self._json("DELETE", f"/v1/documents/{document}/grants/{participant}")

    def _json(self, method: str, path: str, **sent: Any) -> dict[str, Any]:
        found = _parse(self._ask(method, path, _MOST_ANSWER_BYTES, **sent))
        if found is None:
            raise GatewayAnswerError("the gateway's answer cannot be used", hint=_NO_ANSWER)
        return found

    def _ask(self, method: str, path: str, most_bytes: int, **sent: Any) -> bytes:
        try:
            with self._client.stream(method, path, **sent) as answer:
                limit = most_bytes if answer.is_success else _MOST_ANSWER_BYTES
                content = b""
                for part in answer.iter_bytes():
                    content += part
                    if len(content) > limit:
                        raise GatewayAnswerError(f"the gateway sends more than {limit} bytes", hint=_NO_ANSWER)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise GatewayAnswerError("the gateway does not answer", hint=_NO_ANSWER) from None
        if not answer.is_success:
            raise _refusal(answer.status_code, _parse(content) or {})
        return content


def _parse(content: bytes) -> dict[str, Any] | None:
    try:
        found: Any = parse_json(content, max_bytes=_MOST_ANSWER_BYTES, max_depth=_MOST_DEPTH)
    except CanonicalError:
        return None
    return found if isinstance(found, dict) else None


def _refusal(status: int, problem: Mapping[str, Any]) -> MillmarkError:
    detail = " ".join(str(problem.get("detail", f"status {status}")).split())[:_MOST_TEXT]
    if status == 404:
        return NotFoundError("there is no such document for this participant", hint="see `millmark documents list`")
    if status in (401, 403):
        return DocumentError(f"the gateway refuses this credential: {detail}", hint="see ACCESS.md of the gateway")
    if status >= 500 or status == 429:
        return GatewayAnswerError(f"the gateway cannot do it now: {detail}", hint="try again")
    return DocumentError(f"the gateway refuses: {detail}")
