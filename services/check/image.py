"""Run in the page's Python when the folder is built: loads all that a check may need, and lets go of what none does,
before the memory is kept.

Python started from that memory has no library: what is not loaded here cannot be loaded there. Results do not depend on
what is the same in every such Python: strings have the hashes of seed 0, and nothing draws anything by chance.
"""

import codecs
import gc
import importlib
import linecache
import re
import sys
import zipimport
from pathlib import Path
from types import CodeType, FunctionType

import entry

_LIBRARY = Path("/millmark")
_ENCODINGS = ("ascii", "latin-1", "utf-8", "utf-16", "utf-16-be", "utf-16-le")
_MAKERS = (
    *(
        "_opcode_metadata",
        "_pyodide.docstring",
        "_pyodide.jsbind",
        "annotationlib",
        "dis",
        "fnmatch",
        "glob",
        "inspect",
    ),
    *("importlib._abc", "importlib.abc", "importlib.util", "ntpath", "opcode"),
)
"""What modules and classes are made with: none is made after this."""


def load() -> None:
    for path in sorted((_LIBRARY / "millmark").rglob("*.py")):
        parts = path.relative_to(_LIBRARY).with_suffix("").parts
        importlib.import_module(".".join(parts).removesuffix(".__init__"))
    for name in _ENCODINGS:
        codecs.lookup(name)
    entry.prepare()


def let_go() -> None:
    for name in _MAKERS:
        vars(sys.modules.pop(name)).clear()
    for one in gc.get_objects():
        if isinstance(one, FunctionType):
            one.__code__ = _without_lines(one.__code__)
            del one.__annotations__
    re.purge()
    linecache.clearcache()
    sys.path.clear()
    sys.path_importer_cache.clear()
    zipimport._zip_directory_cache.clear()


def _without_lines(code: CodeType) -> CodeType:
    """Code whose table of lines gives none: to each eight instructions, then to the rest."""
    consts = tuple(_without_lines(one) if isinstance(one, CodeType) else one for one in code.co_consts)
    eights, rest = divmod(len(code.co_code) // 2, 8)
    table = b"\xff" * eights + (bytes([0xF7 + rest]) if rest else b"")
    return code.replace(co_linetable=table, co_consts=consts)


load()
let_go()
for name in ("load", "let_go", "_without_lines"):
    del globals()[name]
for _ in range(3):
    gc.collect()
