"""A journal's chain behind JSON-RPC for as long as another program runs, in a thread of it."""

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
    """The chain answers at `url` until the end, and the journal has what was done meanwhile.

    Raises SettingsError when there is no such journal, when the address is taken, or is not this machine's own: the
    chain has no authentication; StoreDamagedError for a damaged journal.
    """
    host, port = _split(url)
    if not path.is_file():
        raise SettingsError(f"there is no journal {path}", hint="correct devchain_journal, or run `millmark demo` anew")
    with closing(JournaledChain(path)) as chain, listen(host, port) as listener:
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
            "devchain_journal is set, and chain_url is no port of this machine",
            hint="set chain_url to where its chain is to answer: http://127.0.0.1:8601",
        )
    return host, port
