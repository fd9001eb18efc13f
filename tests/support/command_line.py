"""Runs the command line in this process."""

from __future__ import annotations

import io
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pytest

from millmark.ledger.keys import LocalSigner, create_keystore
from millmark.services import cli


class Runner:
    """Calls `millmark` the way its console script does."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["millmark", "--home", str(self.home), *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = self._capsys.readouterr()
        return code, out, err

    def refused(self, *arguments: str) -> tuple[int, str]:
        """Runs a command that must fail; returns the exit code and the single line on stderr. Asserts that stdout is
        empty."""
        code, out, err = self(*arguments)
        assert out == ""
        assert err.count("\n") == 1, err
        assert err.startswith("millmark: ")
        return code, err

    def settings(self, text: str) -> None:
        (self.home / "millmark.toml").write_text(text)

    def keystore(self, name: str) -> str:
        """Creates a keystore with cheap parameters and a passphrase file; returns the options that unlock it."""
        create_keystore(self.home / name, "canary-passphrase", signer=LocalSigner.generate(), scrypt_cost=2)
        secret = self.home / "secret"
        secret.touch(mode=0o600)
        secret.write_text("canary-passphrase\n")
        return f"--signer=keystore:{self.home / name}"


def run_millmark(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Calls `millmark` the way its console script does, in this process, and returns what a process would."""
    texts = [str(argument) for argument in arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code: object = 0
    replaced = mock.patch.multiple(sys, argv=["millmark", *texts], stdin=io.StringIO())
    with replaced, redirect_stdout(out), redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code or 0
    printed, said = (stream.buffer.getvalue().decode() for stream in (out, err))
    return subprocess.CompletedProcess(texts, code if isinstance(code, int) else 1, printed, said)
