"""In place of Pyodide's event loop, which the page does not need, with all that it imports."""

# Pyodide expects this among the objects that Python holds when it has started, before all others.
from pyodide_js._api import scheduleCallback  # noqa: F401  # held, not used


def _initialize_event_loop():
    pass
