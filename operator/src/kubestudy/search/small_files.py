"""Small files of a storage, read with a bound and written whole."""

from __future__ import annotations

import os
import stat
import uuid
from pathlib import Path

from kubestudy.search.records import NoRecordError


def read_small(path: Path, limit: int) -> bytes:
    """Read a small file.

    Args:
        path: The file.
        limit: How many bytes it may have.

    Raises:
        NoRecordError: It is larger, or no file (a folder, a pipe that nobody writes to).
        OSError: It cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe's opening must not wait for its writer
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NoRecordError("it is no file")
        data = file.read(limit + 1)
    if len(data) > limit:
        raise NoRecordError(f"it has more than {limit} bytes")
    return data


def write_small(path: Path, data: bytes) -> None:
    """Write a small file so that it is there whole or as it was before, whenever the machine stops.

    Args:
        path: The file.
        data: Its content.

    Raises:
        OSError: It cannot be written.
    """
    draft = path.with_name(f"{uuid.uuid4()}.new")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that a folder's entries outlive a stop of the machine.

    Raises:
        OSError: It cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
