"""A real OpenID provider on the loopback: oidc-provider of tests/browser, in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from millmark.services.access.people.openid import BACK_PATH, Provider
from tests.support.patience import MAX_S

__all__ = ["OpenIdServer", "run_openid_server"]

_FOLDER = Path(__file__).parents[1] / "browser"
_CLIENT, _SECRET = "gateway", "only for tests"


class OpenIdServer:
    """Its own pages believe every name; it has one client, a gateway."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.issuer = self._read()

    @property
    def provider(self) -> Provider:
        """The settings of the gateway."""
        return Provider(self.issuer, _CLIENT, _SECRET)

    def serve(self, origin: str) -> None:
        """Begins with new keys, for the gateway with this origin. What it had given to anybody is void."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"back": origin + BACK_PATH}) + "\n")
        self._process.stdin.flush()
        while (line := self._read()) != "ready":  # the package prints what it thinks of its own settings
            assert line, "the provider has ended"

    def end(self) -> None:
        """From now on nothing answers at its address."""
        self._process.kill()
        self._process.wait(MAX_S)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip("\n")


@contextmanager
def run_openid_server() -> Iterator[OpenIdServer]:
    """Skips where Node or the package is not installed."""
    node = shutil.which("node")
    if node is None or not (_FOLDER / "node_modules" / "oidc-provider").exists():
        pytest.skip("the packages of tests/browser are not installed: npm is needed")
    command = [node, str(_FOLDER / "openid_server.mjs"), _CLIENT, _SECRET]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield OpenIdServer(process)
        finally:
            process.kill()
