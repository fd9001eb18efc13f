"""`rpc`: a JSON-RPC proxy on the loopback that injects faults by a schedule. Of an array of requests one has it.

It speaks HTTP/1.1 with one request at a time per connection, like this project's client. A fault depends only on the
seed and the number of the request, so the same seed injects the same faults in the same places. Most faults are plain
failures; the others are false answers, which parse but are wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from millmark.ledger.chain import HttpTransport
from millmark.ledger.errors import ChainError, SubmitError
from millmark.ledger.index import Follower
from millmark.ledger.store.outbox import Outbox
from millmark.ledger.submit import Submitter
from millmark.services.store import open_store
from tests.faults.chains import running_chain
from tests.faults.ledger_check import Outcome, check_ledger
from tests.faults.workload import build_events, found_site

_STALE_BLOCKS = 3
_SEND = "eth_sendRawTransaction"


class Fault(enum.StrEnum):
    """Kinds of faults."""

    REFUSE = "refuse"
    """The connection is reset before the request is read."""
    CUT_BEFORE = "cut before forward"
    CUT_AFTER = "cut after forward"
    DELAY = "delay"
    STATUS_429 = "status 429"
    STATUS_503 = "status 503"
    TRUNCATED = "truncated"
    NOT_JSON = "not JSON"
    WRONG_ID = "wrong id"
    ALREADY_KNOWN = "already known"
    """The node accepts the transaction but claims to have had it already."""
    STALE_HEAD = "stale head"
    STALE_NONCE = "stale nonce"
    EMPTY_LOGS = "empty logs"
    WRONG_BLOCK_HASH = "wrong block hash"
    NOTHING = "nothing there"
    """The node claims not to have what it was asked for, as one that is behind would."""
    NONCE_TOO_LOW = "nonce too low"
    """The node accepts nothing, and gives a false reason; the same holds for UNDERPRICED."""
    UNDERPRICED = "underpriced"
    DROPPED = "accepted and dropped"
    ARRAY_REFUSED = "array refused"
    """The node takes no array of requests."""
    UNANSWERED = "unanswered in an array"
    """The node executes one of several requests, and leaves its answer out."""
    FAILED_ALONE = "failed in an array"
    """One of several requests is not executed, and answered with an error; the others are."""
    DISORDERED = "array out of order"


_ANY = (
    Fault.REFUSE,
    Fault.CUT_BEFORE,
    Fault.CUT_AFTER,
    Fault.DELAY,
    Fault.STATUS_429,
    Fault.STATUS_503,
    Fault.TRUNCATED,
    Fault.NOT_JSON,
    Fault.WRONG_ID,
)
_OF_ARRAYS = (Fault.ARRAY_REFUSED, Fault.UNANSWERED, Fault.FAILED_ALONE, Fault.DISORDERED)
_OF: Mapping[str, tuple[Fault, ...]] = {
    _SEND: (Fault.ALREADY_KNOWN, Fault.NONCE_TOO_LOW, Fault.UNDERPRICED, Fault.DROPPED, Fault.CUT_AFTER),
    "eth_blockNumber": (Fault.STALE_HEAD,),
    "eth_getTransactionCount": (Fault.STALE_NONCE,),
    "eth_getLogs": (Fault.EMPTY_LOGS,),
    "eth_getBlockReceipts": (Fault.EMPTY_LOGS,),
    "eth_getBlockByNumber": (Fault.WRONG_BLOCK_HASH,),
    "eth_getTransactionReceipt": (Fault.WRONG_BLOCK_HASH, Fault.NOTHING),
}
"""Faults of single methods, in addition to `_ANY`. They are half of these methods' faults, because such requests are
rare."""
_REFUSALS = {
    Fault.ALREADY_KNOWN: "already known",
    Fault.NONCE_TOO_LOW: "nonce too low",
    Fault.UNDERPRICED: "replacement transaction underpriced",
}
UNFORWARDED = frozenset(
    {
        Fault.REFUSE,
        Fault.CUT_BEFORE,
        Fault.STATUS_429,
        Fault.STATUS_503,
        Fault.NONCE_TOO_LOW,
        Fault.UNDERPRICED,
        Fault.DROPPED,
        Fault.ARRAY_REFUSED,
        Fault.FAILED_ALONE,
    }
)
"""Faults whose requests never reach the node."""
_WHOLLY_UNFORWARDED = frozenset(
    {Fault.REFUSE, Fault.CUT_BEFORE, Fault.STATUS_429, Fault.STATUS_503, Fault.ARRAY_REFUSED}
)
"""Faults of whole arrays, of which no request reaches the node."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Assigns faults to requests. `percent` of the requests have a fault."""

    seed: int
    percent: int

    def fault(self, number: int, method: str, size: int = 1) -> Fault | None:
        """The fault of request `number`, which is one of an array of `size`; None for most requests."""
        # A generator per request, so that no fault depends on the faults before it.
        chance = random.Random(f"{self.seed}/{number}")  # noqa: S311 - a replay needs a seed, not secrecy
        if chance.randrange(100) >= self.percent:
            return None
        own = (*_OF.get(method, ()), *(_OF_ARRAYS if size > 1 else ()))
        return chance.choice(own) if own and chance.randrange(2) else chance.choice(_ANY)


def corrupt(fault: Fault | None, request: Mapping[str, Any], answer: dict[str, Any] | None) -> dict[str, Any]:
    """The answer that the client receives. `answer` is the node's, or None if the request was not forwarded."""
    identity = request.get("id")
    if fault in _REFUSALS:
        return _error(identity, _REFUSALS[fault])
    if fault is Fault.FAILED_ALONE:
        return _error(identity, "request timed out")
    if fault is Fault.DROPPED or answer is None:
        return {"jsonrpc": "2.0", "id": identity, "result": "0x" + "00" * 32}
    if fault is Fault.WRONG_ID:
        return {**answer, "id": f"not {identity}"}
    if "result" not in answer:
        return answer
    return {**answer, "result": _lie(fault, answer["result"])}


def corrupt_array(
    fault: Fault | None, requests: list[dict[str, Any]], answers: Mapping[Any, dict[str, Any]], place: int
) -> Any:
    """The answers that the client receives, of which that to the request at `place` has the fault."""
    if fault is Fault.ARRAY_REFUSED:
        return _error(None, "batch requests are not supported")
    given = [
        corrupt(fault, one, answers.get(one["id"])) if at == place else answers[one["id"]]
        for at, one in enumerate(requests)
        if at == place or one["id"] in answers
    ]
    if fault is Fault.UNANSWERED:
        del given[place]
    return given[::-1] if fault is Fault.DISORDERED else given


def _error(identity: Any, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": identity, "error": {"code": -32000, "message": message}}


def _lie(fault: Fault | None, result: Any) -> Any:
    if fault in (Fault.STALE_HEAD, Fault.STALE_NONCE) and isinstance(result, str):
        return hex(max(int(result, 16) - _STALE_BLOCKS, 0))
    if fault is Fault.NOTHING:
        return None
    if fault is Fault.EMPTY_LOGS:
        return []
    if fault is Fault.WRONG_BLOCK_HASH and isinstance(result, dict):
        name = "hash" if "hash" in result else "blockHash"
        return {**result, name: "0x" + "5a" * 32}
    return result


_DELAY_S = 0.05
_UPSTREAM_TIMEOUT_S = 30.0
_STATUS = {Fault.STATUS_429: "429 Too Many Requests", Fault.STATUS_503: "503 Service Unavailable"}
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: closing sends a reset."""


class FaultProxy:
    """Forwards requests to the node at `upstream`. That and `schedule` may be replaced at any time; None injects no
    faults."""

    def __init__(self, upstream: str, schedule: Schedule | None) -> None:
        self.upstream = upstream
        self.schedule = schedule
        self.requests = 0
        self.faults: Counter[str] = Counter()
        """Faults injected so far, by kind."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one client's connection until the client or a fault closes it."""
        try:
            async with httpx.AsyncClient(timeout=_UPSTREAM_TIMEOUT_S) as client:
                while (body := await read_request(reader)) is not None:
                    if not await self._answer(client, body, writer):
                        break
        except (OSError, httpx.HTTPError, asyncio.IncompleteReadError):
            pass  # either side closed its connection; closing ours tells the client
        finally:
            writer.close()

    async def _answer(self, client: httpx.AsyncClient, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answers one request, or one array of them, of which one has the fault; False if the connection must be
        closed."""
        asked = json.loads(body)
        requests = asked if isinstance(asked, list) else [asked]
        place = self._place(len(requests))
        fault = self._next_fault(requests[place]["method"], len(requests))
        answer = await self._forward(client, requests, place, fault)
        if fault in (Fault.REFUSE, Fault.CUT_BEFORE, Fault.CUT_AFTER):
            if fault is Fault.REFUSE:
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return False
        if fault is Fault.DELAY:
            await asyncio.sleep(_DELAY_S)
        answers = corrupt_array(fault, requests, answer, place)
        writer.write(_response(fault, json.dumps(answers if isinstance(asked, list) else answers[0]).encode()))
        await writer.drain()
        return fault is not Fault.TRUNCATED

    async def _forward(
        self, client: httpx.AsyncClient, requests: list[dict[str, Any]], place: int, fault: Fault | None
    ) -> dict[Any, dict[str, Any]]:
        """The node's answers by the requests' ids, without those of requests that do not reach it."""
        if fault in _WHOLLY_UNFORWARDED:
            return {}
        passed = [one for at, one in enumerate(requests) if at != place or fault not in UNFORWARDED]
        if not passed:
            return {}
        answers = (await client.post(self.upstream, content=json.dumps(passed).encode(), headers=_JSON)).json()
        return {answer["id"]: answer for answer in answers}

    def _place(self, size: int) -> int:
        """Which request of the next array has the fault."""
        schedule = self.schedule
        return 0 if schedule is None else random.Random(f"{schedule.seed}/{self.requests}").randrange(size)  # noqa: S311

    def _next_fault(self, method: str, size: int) -> Fault | None:
        self.requests += 1
        fault = None if self.schedule is None else self.schedule.fault(self.requests, method, size)
        if fault is not None:
            self.faults[fault.value] += 1
        return fault


_JSON = {"Content-Type": "application/json"}


async def read_request(reader: asyncio.StreamReader) -> bytes | None:
    """The body of the next request; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return await reader.readexactly(int(lengths[0]))


def _response(fault: Fault | None, body: bytes) -> bytes:
    status = _STATUS.get(fault, "200 OK") if fault is not None else "200 OK"
    length = len(body)
    if fault is Fault.TRUNCATED:
        body = body[: length // 2]
    elif fault is Fault.NOT_JSON:
        body = b"<" + body[1:]
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode() + body


@contextmanager
def fault_proxy(upstream: str, schedule: Schedule | None) -> Iterator[tuple[FaultProxy, str]]:
    """Runs a proxy in a background thread; yields it and its URL."""
    proxy, started = FaultProxy(upstream, schedule), threading.Event()
    running: list[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
        running.append((server.sockets[0].getsockname()[1], asyncio.get_running_loop(), stop))
        started.set()
        await stop.wait()
        server.close()

    # In a thread, because the code under test blocks.
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    started.wait()
    [(port, loop, stop)] = running
    try:
        yield proxy, f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


_EVENTS_PERCENT = 40
"""Events recorded per hundred faults."""
_FAULT_PERCENT = 35
_BATCH = 2
_GROUP = 8
_TIMEOUT_S = 5.0
_GRACE_S = 0.3
"""So short that the transaction behind a nonce is looked for many times."""
_STUCK_S = 120.0


def run_rpc(folder: Path, count: int, seed: int) -> Outcome:
    """Injects at least `count` faults while events are recorded and indexed. There are two events for every five
    faults.
    """
    events = build_events(max(count * _EVENTS_PERCENT // 100, _GROUP))
    with (
        running_chain(folder) as process,
        open_store(f"sqlite:///{folder / 'node.sqlite'}") as store,
        fault_proxy(process.url, None) as (proxy, url),
    ):
        site = found_site(folder, process.transport, process.profile, seed)
        chain = site.connect(HttpTransport(url, _TIMEOUT_S))
        proxy.schedule = Schedule(seed, _FAULT_PERCENT)
        submitter = Submitter(
            chain, Outbox(store), site.signer, batch_size=_BATCH, receipt_grace_s=_GRACE_S, resend_s=0.1
        )
        for start in range(0, len(events), _GROUP):
            submitter.submit([(event.key, site.record(event)) for event in events[start : start + _GROUP]])
            _settle(submitter, Follower(chain, store))
        while proxy.faults.total() < count:  # the events are through; idle rounds take the remaining faults
            _attempt(submitter, Follower(chain, store))
        proxy.schedule = None
        check = check_ledger(
            site, site.connect(process.transport), store, folder, events, {event.key for event in events}
        )
    return Outcome(process.engine, proxy.faults, check, {"requests": proxy.requests})


def _settle(submitter: Submitter, follower: Follower) -> None:
    deadline = time.monotonic() + _STUCK_S
    while not _attempt(submitter, follower):
        if time.monotonic() > deadline:
            raise SubmitError(
                "records are still queued although some requests succeed", hint="report this, with the seed"
            )


def _attempt(submitter: Submitter, follower: Follower) -> bool:
    """One round of submitter and follower, as in a node's main loop: the next round retries what failed."""
    done = False
    with contextlib.suppress(ChainError):
        done = submitter.step()
    with contextlib.suppress(ChainError):
        follower.follow()
    return done
