"""In place of Pyodide's loader of packages, of which the page has none."""

from pathlib import PurePosixPath

# As in webloop.py: what Pyodide expects Python to hold, in this order.
from pyodide_js import _api, loadedPackages  # noqa: F401  # held, not used

SITE_PACKAGES = PurePosixPath("/lib/python3.14/site-packages")
DSO_DIR = PurePosixPath("/usr/lib")


def init_loaded_packages():
    pass
