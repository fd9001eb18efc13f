"""Packs the folder that the page consists of, the same bytes each time.

    python -m millmark.services.check.build [FOLDER] [--memory]

Needs Python alone, but for `--memory`, which keeps the memory of the page's Python and has Node start it. Without, the
page starts from its sources. Nothing is bundled or minified: whoever reads the folder finds Millmark's modules and the
libraries' files as they are. What a compressor made is from `fixed.tar.xz`, so that the bytes depend on none here.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from millmark.ledger.canonical import canonical_json
from millmark.ledger.errors import InputError, MillmarkError
from millmark.ledger.verify import Step
from millmark.ledger.verify.statements import LANGUAGES
from millmark.services.check.fixed import list_sums, read_fixed

MANIFEST = "SHA256SUMS"
_HERE = Path(__file__).parent
BUILT = _HERE / "built"
"""Where gateways look for it."""
_LIBRARY = _HERE / "library"
_LEDGER, _PORTAL = _HERE.parents[1] / "ledger", _HERE.parent / "portal"
_AT = "millmark/ledger"
"""Where the page's Python finds the library."""
_TELL = """import importlib, sys
for name in sys.argv[1:]: importlib.import_module(name)
for name, module in sys.modules.items():
    if name.startswith("millmark.ledger"): print(name, hasattr(module, "__path__"), module.__file__)"""
_MAX_S = 600
_MOMENT = (1980, 1, 1, 0, 0, 0)
_CHARSET = re.compile(r"__init__|aliases|ascii|idna|latin_1|punycode|raw_unicode_escape|unicode_escape|utf_.*")


def build_folder(folder: Path, *, memory: bool) -> str:
    """Builds the page in `folder`, which is replaced if it has an earlier one; `memory`: whether with the memory of its
    Python. Returns the folder's digest. Raises InputError if the folder has anything else, and if the packed files are
    not those of their list."""
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise InputError(f"{folder} has other files, which building the page would delete", hint="name a new folder")
    files = dict(_files())
    files["kept.js"] = f"export const memory = {json.dumps(memory)};\n".encode()
    if memory:
        files["memory.bin"] = _memory(files)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in sorted(files.items()):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / MANIFEST).write_bytes(list_sums(files))
    return folder_digest(folder)


def folder_digest(folder: Path) -> str:
    """SHA-256 of the list of a folder's files with their SHA-256, as `sha256sum` writes it, sorted by name."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return hashlib.sha256(list_sums(files)).hexdigest()


def _files() -> Iterator[tuple[str, bytes]]:
    for name, content in read_fixed().items():
        yield name, _library(content) if name == "pyodide/python_stdlib.zip" else content
    build = {"words.json": _words, "index.html": _index}
    for path in (_HERE / "page").iterdir():
        yield path.name, build.get(path.name, Path.read_bytes)(path)
    for name in ("portal.css", "mark.svg", "local.js"):
        yield name, (_PORTAL / "assets" / name).read_bytes()
    yield "code.json", canonical_json(dict(_code()))


def _memory(files: Mapping[str, bytes]) -> bytes:
    """The memory of the page's Python when it has started, by Node: the same wherever it runs. Raises InputError."""
    node = shutil.which("node")
    if node is None:
        raise InputError("Node.js is not installed; it starts the page's Python", hint="install it")
    with TemporaryDirectory() as folder:
        unpack_files(files, Path(folder))
        target = Path(folder) / "memory.bin"
        command = [node, str(_HERE / "memory.mjs"), folder, str(_HERE / "image.py"), str(target)]
        # Nothing of this machine's: neither its time zone nor its language.
        settings = {"PATH": os.environ.get("PATH", ""), "TZ": "UTC"}
        done = subprocess.run(command, capture_output=True, timeout=_MAX_S, check=False, env=settings)
        if done.returncode:
            raise InputError(f"the page's Python cannot be started: {done.stderr[-500:].decode(errors='replace')}")
        return target.read_bytes()


def unpack_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes the page's files as Node needs them."""
    for name, content in files.items():
        path = folder / name.removesuffix(".gz")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.decompress(content) if name.endswith(".gz") else content)
    (folder / "package.json").write_text('{"type": "module"}')


def _words(path: Path) -> bytes:
    """The page's words, and those that passports have for the steps."""
    words = json.loads(path.read_text("utf-8"))
    for language in LANGUAGES:
        own = words[language]
        shared = json.loads((_PORTAL / "catalogue" / f"{language}.json").read_text("utf-8"))
        own |= {f"step.{step.value}": shared[f"step.{step.name}"] for step in Step}
        own |= {key: shared[key] for key in ("proof.steps", "step.done", "step.failed", "step.open")}
    return canonical_json(words)


def _index(path: Path) -> bytes:
    """The page, with a button for each language."""
    text = path.read_text("utf-8")
    [button] = re.findall(r".*\{tag\}.*\n", text)
    return text.replace(button, "".join(button.format(tag=tag, name=name) for tag, name in LANGUAGES.items())).encode()


def _code() -> Iterator[tuple[str, str]]:
    """Millmark's modules that the verifier consists of, by path."""
    yield "entry.py", (_HERE / "entry.py").read_text("utf-8")
    for path in (_HERE / "python").rglob("*.py"):
        yield path.relative_to(_HERE / "python").as_posix(), path.read_text("utf-8")
    yield "millmark/__init__.py", ""
    yield from _verifier()
    for path in (_LEDGER / "artifacts").glob("*.json"):
        # Only where the contracts keep what: the rest of an artefact is for whoever deploys or calls them.
        layout = {"storageLayout": json.loads(path.read_text("utf-8")).get("storageLayout")}
        yield f"{_AT}/artifacts/{path.name}", canonical_json(layout).decode()
    yield from _distribution("rfc8785")


def _verifier() -> Iterator[tuple[str, str]]:
    """The modules that the page's entry and the verifier import, as another interpreter reports them, by path."""
    named = re.findall(r"(?m)^from (millmark\.ledger[.\w]*) import", (_HERE / "entry.py").read_text("utf-8"))
    wanted = [
        *named,
        "millmark.ledger.verify.verifier",
        *(f"millmark.ledger.verify.words.{language}" for language in LANGUAGES),
    ]
    command = [sys.executable, "-c", _TELL, *wanted]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=_MAX_S)
    for line in sorted(found.stdout.splitlines()):
        name, is_package, file = line.split(" ", 2)
        kept = name.replace(".", "/") + ("/__init__.py" if is_package == "True" else ".py")
        yield kept, Path(file).read_text("utf-8")


def _distribution(name: str) -> Iterator[tuple[str, str]]:
    """The files of an installed pure Python package."""
    folder = Path(str(importlib.import_module(name).__file__)).parent
    for path in folder.rglob("*.py"):
        yield path.relative_to(folder.parent).as_posix(), path.read_text("utf-8")


def _library(whole: bytes) -> bytes:
    """Python's library without what the verifier cannot need, and with stand-ins for what asks for that. Not
    compressed: gateways compress what they send."""
    own = {one.relative_to(_LIBRARY).as_posix(): one for one in _LIBRARY.rglob("*.py")}
    left_out = frozenset((_HERE / "left_out.txt").read_text("utf-8").split())
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(kept, "w", zipfile.ZIP_STORED) as target:
        for name in sorted({*source.namelist(), *own}):
            if name in own:
                target.writestr(zipfile.ZipInfo(name, _MOMENT), own[name].read_bytes())
            elif _is_needed(name, left_out):
                target.writestr(zipfile.ZipInfo(name, _MOMENT), source.read(name))
    return kept.getvalue()


def _is_needed(name: str, left_out: frozenset[str]) -> bool:
    """`left_out`: modules that the verifier cannot need, and that no part of Python's own start needs."""
    head, _, rest = name.partition("/")
    if head == "encodings":
        return _CHARSET.fullmatch(rest.removesuffix(".py")) is not None
    return head.removesuffix(".py") not in left_out


def main() -> None:
    parser = argparse.ArgumentParser(prog="check_page", description="Pack the page that verifies bundles in a browser.")
    parser.add_argument("folder", type=Path, nargs="?", default=BUILT)
    parser.add_argument("--memory", action="store_true", help="keep the memory of its Python; needs Node")
    given = parser.parse_args()
    try:
        print(build_folder(given.folder, memory=given.memory))  # noqa: T201  # a build script's answer
    except MillmarkError as error:
        sys.exit(f"check_page: {error}")


if __name__ == "__main__":
    main()
