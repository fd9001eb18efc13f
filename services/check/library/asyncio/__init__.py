"""In place of Python's asyncio: the page runs nothing that waits, and Pyodide asks for this name alone."""

__all__ = ["get_event_loop"]


def get_event_loop():
    raise RuntimeError("the page has no event loop")
