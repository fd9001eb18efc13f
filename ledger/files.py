"""Names in folders: brought to the disk, and whether they still stand for the same files.

A file's content is on the disk after its own fsync; its name is only after that of the folder. A file that lost its
name while it is open can be written and read as before, and is gone with the last process that has it open.
"""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(draft: Path, path: Path) -> None:
    """Gives a file that is on the disk its final name, in place of an earlier one; on return, the name is on the disk
    too. Both must be in the same folder. Raises OSError.

    The only place where a file is replaced (tests/unit/test_replacing.py).
    """
    draft.replace(path)
    # Without it, a power cut could bring the old file back, after something else was changed to match the new one.
    sync_folder(path.parent)


def write_new(path: Path, content: bytes, mode: int) -> None:
    """Writes a new file, and brings its content to the disk; its name is only after `replace_file` or `sync_folder`.
    Raises OSError, FileExistsError also for a link of that name, and leaves no file then."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def is_named(path: Path, opened: os.stat_result) -> bool:
    """Whether the path still stands for the file of this fstat(2) result. Raises OSError if nobody can tell."""
    try:
        return os.path.samestat(path.stat(), opened)
    except FileNotFoundError:
        return False


def sync_folder(path: Path) -> None:
    """Brings the names in a folder to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
