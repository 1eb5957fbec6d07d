"""What a study's folder says of itself (`storage.json`): which study it holds, where its trials are, what they ran."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubestudy.api.problems import ManifestError
from kubestudy.api.yaml_text import documents
from kubestudy.local.folder import StudyFolder
from kubestudy.local.private_files import write_private
from kubestudy.local.recipe import Recipe


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """What a study's folder says of itself; what it does not say is None.

    Attributes:
        study: The study's name in the storage.
        name: Its name in the manifest.
        storage: The database's URL, unless that holds a password.
        database: Whether it is kept in a database, instead of the folder's journal.
        recipe: What its trials run.
        work_folder: Where its manifest was, and its trials' programs run.
        damaged: Whether there is a record that cannot be read.
    """

    study: str | None = None
    name: str | None = None
    storage: str | None = None
    database: bool = False
    recipe: Recipe | None = None
    work_folder: Path | None = None
    damaged: bool = False

    @classmethod
    def read(cls, folder: StudyFolder) -> FolderRecord:
        """Read it; whatever is missing, damaged, or written by an older version, is None."""
        try:
            kept = json.loads(folder.storage_record.read_text())
        except FileNotFoundError:
            kept = {}
        except (OSError, ValueError, RecursionError):
            kept = None
        damaged = not isinstance(kept, dict)
        kept = {} if damaged else kept
        name = kept.get("name") or _name_in(folder.manifest)
        where = kept.get("workFolder")
        work_folder = Path(where) if isinstance(where, str) else None
        study, storage, database = kept.get("study"), kept.get("storage"), bool(kept.get("database"))
        return cls(study, name, storage, database, _recipe(kept), work_folder, damaged)

    def write(self, folder: StudyFolder) -> None:
        """Write it, whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        kept: dict[str, Any] = {
            "study": self.study,
            "name": self.name,
            "storage": self.storage,
            "database": self.database,
            "workFolder": None if self.work_folder is None else str(self.work_folder),
        }
        if self.recipe is not None:
            recipe = self.recipe
            kept["recipe"] = {
                "container": dict(recipe.container), "exec": list(recipe.command), "files": dict(recipe.files),
            }  # fmt: skip
        write_private(folder.storage_record, f"{json.dumps(kept, indent=2)}\n".encode())


def _recipe(kept: dict[str, Any]) -> Recipe | None:
    recipe = kept.get("recipe")
    if not isinstance(recipe, dict):
        return None
    return Recipe(recipe.get("container") or {}, tuple(recipe.get("exec") or ()), recipe.get("files") or {})


def _name_in(manifest: Path) -> str | None:
    """Return the name in the manifest that was run last, whatever else is in it."""
    try:
        for document in documents(manifest.read_text(), str(manifest)):
            name = document.get("metadata", {}).get("name") if isinstance(document, dict) else None
            if isinstance(name, str):
                return name
    except (OSError, ValueError, AttributeError, ManifestError):
        return None
    return None
