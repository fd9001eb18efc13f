"""Runs a node with its HTTP server and all its sources until it is stopped."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from millmark.ledger.errors import SettingsError, SigningError, StoreDamagedError, WrongChainError, WrongContractError
from millmark.services.node.agent import open_agent
from millmark.services.node.config import NodeConfig
from millmark.services.serving.collecting import collect_rarely
from millmark.services.serving.hosts import HostCheck, choose_hosts
from millmark.services.serving.server import build_server, listen, serve_on

_SWITCH_S = 0.0005
"""A tenth of Python's default. The thread that writes the log has to get the interpreter back after each disk call."""


def run_node(config: NodeConfig) -> None:
    """Runs a node until SIGINT or SIGTERM.

    Raises SettingsError, before any event is accepted, for every failure that a restart does not cure: its exit code
    lets a supervisor such as systemd stop trying.
    """
    with _permanent_failures(), open_agent(config) as agent:
        app = agent.create_capture()
        tune_interpreter()
        listener = listen(config.http.host, config.http.port)
        sys.stdout.write(f"node on http://{config.http.host}:{listener.getsockname()[1]}; stop with Ctrl-C\n")
        sys.stdout.flush()
        with agent.capturing():
            checked = HostCheck(app, choose_hosts(config.http.host, config.http.hosts))
            serve_on([listener], build_server(checked, config.http.host, config.http.port))


def tune_interpreter() -> None:
    """Tunes thread switching and garbage collection for short commits. Call it once everything is loaded: existing
    objects are exempted from garbage collection."""
    sys.setswitchinterval(_SWITCH_S)
    collect_rarely()


@contextmanager
def _permanent_failures() -> Iterator[None]:
    """Turns failures that a restart does not cure into SettingsError."""
    try:
        yield
    except (SigningError, StoreDamagedError, WrongChainError, WrongContractError) as error:
        raise SettingsError(error.cause, hint=error.hint) from error
