"""A node on its socket, with all its sources."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.errors import SettingsError, SigningError, StoreDamagedError, WrongChainError, WrongContractError
from services.node.agent import open_agent
from services.node.config import NodeConfig
from services.serving.server import build_server
from services.serving.sockets import listen, serve_on

__all__ = ["run_node", "tune_interpreter"]

_SWITCH_S = 0.0005
"""A tenth of Python's own: the thread that writes the log waits for the others after each call to the disk."""
_COLLECT_EVERY = 20_000
"""New containers: a batch makes some for each event, and none of them is in a cycle."""


def run_node(config: NodeConfig) -> None:
    """Until SIGINT or SIGTERM. Raises SettingsError and its kin before anything is taken; SettingsError for all that
    starting again does not mend, so that whoever starts nodes can tell (its exit code)."""
    with _unusable_told(), open_agent(config) as agent:
        app = agent.create_capture()
        tune_interpreter()
        listener = listen(config.http.host, config.http.port)
        sys.stdout.write(f"node on http://{config.http.host}:{listener.getsockname()[1]}; stop with Ctrl-C\n")
        sys.stdout.flush()
        with agent.capturing():
            serve_on(listener, build_server(app, config.http.host, config.http.port))


def tune_interpreter() -> None:
    """Once everything is loaded: what is there by now is not looked through again and again."""
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()
    gc.set_threshold(_COLLECT_EVERY)


@contextmanager
def _unusable_told() -> Iterator[None]:
    try:
        yield
    except (SigningError, StoreDamagedError, WrongChainError, WrongContractError) as error:
        raise SettingsError(error.cause, hint=error.hint) from error
