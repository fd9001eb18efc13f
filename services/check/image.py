"""Run in the page's Python when the folder is built: loads all that the verifier may need, before its memory is kept.

Python started from that memory has no library: what is not loaded here cannot be loaded there.
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

for path in sorted(Path("/millmark/ledger").rglob("*.py")):
    parts = path.relative_to("/millmark").with_suffix("").parts
    importlib.import_module(".".join(parts).removesuffix(".__init__"))
for name in ("ascii", "latin-1", "utf-8", "utf-16", "utf-16-be", "utf-16-le"):
    codecs.lookup(name)
entry.prepare()
# What modules and classes are made with: none is made after this.
for name in (
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
):
    vars(sys.modules.pop(name)).clear()


def _bare(code):
    """Code without line numbers: a table that gives none to each eight instructions, then to the rest."""
    consts = tuple(_bare(one) if isinstance(one, CodeType) else one for one in code.co_consts)
    eights, rest = divmod(len(code.co_code) // 2, 8)
    table = b"\xff" * eights + (bytes([0xF7 + rest]) if rest else b"")
    return code.replace(co_linetable=table, co_consts=consts)


for one in gc.get_objects():
    if isinstance(one, FunctionType):
        one.__code__ = _bare(one.__code__)
        del one.__annotations__
del _bare, one
re.purge()
linecache.clearcache()
sys.path.clear()
sys.path_importer_cache.clear()
zipimport._zip_directory_cache.clear()
for _ in range(3):
    gc.collect()
