"""A SoftHSM2 of the test run's own: tokens in a temporary folder, removed afterwards."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.patience import MAX_S

MODULES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/softhsm/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
)
PIN = "canary-pin-3141592"
TOKENS = ("plant", "twin", "twin")
"""Labels of the tokens. Two share a label on purpose."""


@dataclass(frozen=True)
class Hsm:
    """`module` finds its tokens through the environment variable SOFTHSM2_CONF, which is set."""

    module: Path
    folder: Path


def describe_missing() -> str | None:
    """Why tokens are unavailable on this machine, or None."""
    if shutil.which("softhsm2-util") is None or _module() is None:
        return "SoftHSM: softhsm2-util is not installed; on Debian: apt-get install softhsm2"
    if importlib.util.find_spec("pkcs11") is None:
        return "SoftHSM: python-pkcs11 is not installed; pip install millmark[pkcs11]"
    return None


@functools.cache
def prepare_hsm() -> Hsm:
    """Creates the tokens once per process: the module reads its configuration, and lists tokens, only when it is
    loaded."""
    module = _module()
    assert module is not None
    folder = Path(tempfile.mkdtemp(prefix="millmark-hsm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    for label in TOKENS:
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678"]
        subprocess.run(command, check=True, capture_output=True, timeout=MAX_S)
    return Hsm(module, folder)


def _module() -> Path | None:
    return next((path for path in MODULES if path.is_file()), None)
