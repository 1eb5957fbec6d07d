"""From what a user names, a manifest or a study, to the study's folder and history."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from optuna.storages import BaseStorage

from kubestudy.cli.folders import name_of, never_run
from kubestudy.local.folder import StudyFolder, folder_of
from kubestudy.local.folder_record import FolderRecord
from kubestudy.local.recipe import Recipe
from kubestudy.search.history import History
from kubestudy.search.merged import MergedStorage, ReadOnlyStorage
from kubestudy.search.passwords import has_password, masked
from kubestudy.search.storage import open_storage, place_in
from kubestudy.study.ports import StudyError

STORAGE_VARIABLE = "KUBESTUDY_STORAGE"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a study is kept.

    Attributes:
        folder: Its folder.
        storage: The journal's file or a database URL.
        name: The study's name in the storage.
    """

    folder: StudyFolder
    storage: Path | str
    name: str

    @property
    def where(self) -> str:
        """What messages call the storage; never with its password."""
        return masked(str(self.storage))

    def open(self, *, sole_writer: bool = False) -> BaseStorage:
        """Open the storage."""
        return open_storage(self.storage, sole_writer=sole_writer)

    def record(self, name: str, recipe: Recipe, work_folder: Path) -> None:
        """Write down in the folder which study in which storage it holds; a password is left out.

        Args:
            name: The study's name in its manifest.
            recipe: What its trials run.
            work_folder: Where they run.
        """
        url = None if isinstance(self.storage, Path) else self.storage
        secret = url is not None and has_password(url)
        kept = None if secret else url
        FolderRecord(self.name, name, kept, url is not None, recipe, work_folder).write(self.folder)


def place_of(name: str, directory: Path | None, storage: str | None, folder: StudyFolder | None = None) -> Place:
    """Return where a study is, or is to be, kept.

    Args:
        name: The study's name.
        directory: The folder the user named, if any.
        storage: The database URL the user named, if any.
        folder: The folder, if it is open already.

    Raises:
        StudyError: Its storage is a database whose URL must be given again, since it holds a password.
    """
    if storage is not None and isinstance(place_in(storage), Path):
        raise StudyError(
            f"{storage} is no database URL: one study of this machine is found by its name, or --dir; all of an"
            " operator's folder are shown by kubestudy dashboard --storage FOLDER, without a name"
        )
    folder = folder or folder_of(name, directory)
    kept = FolderRecord.read(folder)
    url = storage or kept.storage
    if url is None and kept.database:
        raise StudyError(
            f"the study in {folder.path} is kept in a database whose URL holds a password: name it again with"
            f" --storage or {STORAGE_VARIABLE}"
        )
    return Place(folder, url or folder.journal, kept.study or name)


def history_of(named: str, directory: Path | None, storage: str | None) -> tuple[Place, History]:
    """Open the history of a study.

    Args:
        named: A manifest's file or a study's name.
        directory: The folder the user named, if any.
        storage: The database URL the user named, if any.

    Raises:
        StudyError: There is no such study here.
        ManifestError: The named file is no valid manifest.
    """
    place = place_of(name_of(named), directory, storage)
    if isinstance(place.storage, Path) and not place.storage.is_file():
        raise never_run(place.folder, directory)
    return place, History(place.open(), place.name, place.where)


def open_all(storage: str) -> BaseStorage:
    """Open everything that an operator keeps, to be looked at.

    Args:
        storage: Its folder of journals, or its database URL.

    Raises:
        StudyError: There is no such folder, or the database cannot be opened.
    """
    folder = place_in(storage)
    if isinstance(folder, str):
        return ReadOnlyStorage(open_storage(folder))
    if not folder.is_dir():
        raise StudyError(f"there is no folder {storage}: --storage names an operator's folder of journals, or a URL")
    if any(folder.glob("journal.log")) or any(folder.glob("*/journal.log")):
        raise StudyError(
            f"{storage} holds studies that were run on this machine: name one instead (kubestudy dashboard NAME)"
        )
    return MergedStorage(folder)
