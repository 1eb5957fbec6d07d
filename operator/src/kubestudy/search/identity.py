"""Which storage a folder is: a uuid that is kept in it from its first use on, the same for all that share it."""

from __future__ import annotations

import uuid
from pathlib import Path

from kubestudy.search.journal_lock import locked
from kubestudy.search.records import NoRecordError
from kubestudy.search.small_files import read_small, write_small
from kubestudy.study.ports import StudyError

FILE = "storage.identity"  # a name that no namespace's folder has
_MAX_BYTES = 256


def identity_of_folder(folder: Path) -> str:
    """Return a folder's identity, made first if need be.

    Raises:
        StudyError: What is there is none.
        OSError: It cannot be read, or written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    found = _read(path)
    if found is None:
        with locked(path):
            found = _read(path)
            if found is None:
                found = str(uuid.uuid4())
                write_small(path, f"{found}\n".encode())
    return found


def _read(path: Path) -> str | None:
    try:
        return str(uuid.UUID(read_small(path, _MAX_BYTES).decode("ascii").strip()))
    except FileNotFoundError:
        return None
    except (NoRecordError, ValueError) as error:
        raise StudyError(
            f"{path} is damaged: it should hold the storage's uuid; put the file of a backup there, or delete it, and"
            " trials that run now are started anew"
        ) from error
