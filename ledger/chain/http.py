"""web3's HTTP provider, bounded. Apart from the rest because of what importing web3 costs."""

from __future__ import annotations

import json
import time
from typing import Any

import requests
from urllib3.exceptions import HTTPError
from web3 import HTTPProvider
from web3.exceptions import Web3Exception
from web3.types import RPCEndpoint, RPCResponse

from ledger.recursion import bound_recursion

__all__ = ["BoundedProvider"]

bound_recursion()

MOST_BYTES = 32 * 1024 * 1024
"""Of one answer: twice what the logs of the largest block take."""
_CHUNK_BYTES = 1 << 16


class BoundedProvider(HTTPProvider):
    """web3's provider, except that an answer has a largest size and a latest time, and comes from this URL alone."""

    def __init__(self, url: str, timeout_s: float) -> None:
        super().__init__(url, exception_retry_configuration=None)
        self._url = url
        self._timeout_s = timeout_s
        self._session = requests.Session()

    def ask(self, method: str, params: list[Any]) -> Any:
        """The whole answer as JSON values, or what was in its place. Raises OSError when there is none."""
        try:
            return self.make_request(RPCEndpoint(method), params)
        except (HTTPError, Web3Exception, ValueError, RecursionError) as error:
            raise OSError(type(error).__name__) from error

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """web3's own takes the answer to any request for this one's."""
        request = self.encode_rpc_request(method, params)
        answer = self.decode_rpc_response(self._make_request(method, request))
        if isinstance(answer, dict) and answer.get("id") not in (json.loads(request)["id"], None):
            raise requests.RequestException("the answer is to another request")
        return answer

    def _make_request(self, method: RPCEndpoint, request_data: bytes) -> bytes:  # noqa: ARG002  # web3's signature
        deadline = time.monotonic() + self._timeout_s
        headers = {"Content-Type": "application/json"}
        body = bytearray()
        with self._session.post(
            self._url, request_data, headers=headers, timeout=self._timeout_s, allow_redirects=False, stream=True
        ) as answer:
            if answer.status_code != requests.codes.ok:
                raise requests.HTTPError(f"status {answer.status_code}")
            while chunk := answer.raw.read1(_CHUNK_BYTES, decode_content=True):
                body += chunk
                if len(body) > MOST_BYTES or time.monotonic() > deadline:
                    raise requests.Timeout("the answer is too large, or takes too long")
        return bytes(body)
