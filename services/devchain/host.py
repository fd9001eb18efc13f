"""Serves a journaled chain over JSON-RPC from a background thread of another program, such as the gateway."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn

from ledger.errors import SettingsError
from services.devchain.journal import JournaledChain
from services.devchain.server import create_devchain
from services.serving.sockets import listen

__all__ = ["host_journal"]

_HOSTS = ("127.0.0.1", "localhost")
_STOP_S = 10.0


@contextmanager
def host_journal(path: Path, url: str | None) -> Iterator[None]:
    """Serves the journal's chain at `url` during the `with` block, and journals the blocks made meanwhile.

    Raises SettingsError if the journal does not exist, or if the address is taken or is not on the loopback (the chain
    has no authentication); StoreDamagedError for a damaged journal.
    """
    host, port = _split(url)
    if not path.is_file():
        raise SettingsError(f"{path} does not exist", hint="correct devchain_journal, or run `millmark demo` again")
    with closing(JournaledChain(path)) as chain, listen(host, port) as listener:
        # No log configuration: the hosting program has its own. The thread is a daemon, and the wait for it bounded,
        # so that neither a crash nor a stuck client keeps that program from ending.
        server = uvicorn.Server(uvicorn.Config(create_devchain(chain), log_config=None, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="devchain", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.should_exit = True
            thread.join(_STOP_S)


def _split(url: str | None) -> tuple[str, int]:
    try:
        parts = urlsplit(url or "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if host not in _HOSTS or not port or url != f"http://{host}:{port}":
        raise SettingsError(
            "devchain_journal is set, but chain_url is not a port of this machine",
            hint="set chain_url to the address to serve the chain at, such as http://127.0.0.1:8601",
        )
    return host, port
