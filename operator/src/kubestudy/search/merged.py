"""Storages to look at, not to write: what Optuna Dashboard is given; among them all journals of a folder as one.

Each journal numbers its studies and trials from zero; merged, their ids begin where no other journal's do.
"""

from __future__ import annotations

import logging
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from kubestudy.search.optuna_internals import FrozenStudy, study_id_of, study_with_id_moved, trial_with_id_moved
from kubestudy.search.storage import open_storage
from kubestudy.study.ports import StudyError

log = logging.getLogger(__name__)

# More than any study has trials; ids stay whole numbers that a browser can hold (2^53).
_STRIDE = 10**8


class ReadOnlyStorage(BaseStorage):
    """A storage to look at: Optuna Dashboard can delete studies, and has no login.

    Args:
        storage: Where the studies are.
    """

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return every study."""
        return self._storage.get_all_studies()

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return a study's id."""
        return self._storage.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return a study's name."""
        return self._storage.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return which way a study's objectives go."""
        return self._storage.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what is kept with a study."""
        return self._storage.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what Optuna keeps with a study."""
        return self._storage.get_study_system_attrs(study_id)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial."""
        return self._storage.get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials."""
        return self._storage.get_all_trials(study_id, deepcopy, states)

    # --- writing ---------------------------------------------------------------------------------------------------

    def _refuse(self) -> NoReturn:
        raise StudyError("histories can be looked at here, not changed: the operator alone writes them")

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Refuse."""
        self._refuse()

    def delete_study(self, study_id: int) -> None:
        """Refuse."""
        self._refuse()

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Refuse."""
        self._refuse()

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Refuse."""
        self._refuse()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Refuse."""
        self._refuse()

    def set_trial_param(self, trial_id: int, param_name: str, value: float, distribution: BaseDistribution) -> None:
        """Refuse."""
        self._refuse()

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Refuse."""
        self._refuse()

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Refuse."""
        self._refuse()

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Refuse."""
        self._refuse()

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Refuse."""
        self._refuse()


class MergedStorage(ReadOnlyStorage):
    """The studies of a folder's journals, read-only. New journals appear as they come.

    Args:
        folder: The folder; journals are `NAMESPACE/UID.log` in it, those of 0.1.0 `NAMESPACE/NAME.UID.log`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: list[Path] = []
        self._storages: list[BaseStorage] = []
        self._damaged: set[Path] = set()

    def _all(self) -> Iterator[tuple[int, BaseStorage]]:
        known = set(self._paths)
        # Beside each journal an operator keeps a record of its study; anything else is none of its.
        for path in sorted(record.with_suffix(".log") for record in self._folder.glob("*/*.json")):
            if path in known or path in self._damaged or not path.is_file():
                continue
            try:
                storage = open_storage(path)
            except StudyError as error:
                self._damaged.add(path)
                log.warning("the journal is not shown: %s", error)
                continue
            self._storages.append(storage)
            self._paths.append(path)
        return ((i, s) for i, s in enumerate(self._storages) if self._paths[i].exists())

    def _of(self, number: int) -> tuple[BaseStorage, int, int]:
        """Return the storage of a study's or trial's id, the id there, and what to add to ids from there."""
        place, inner = divmod(number, _STRIDE)
        if place >= len(self._storages):
            list(self._all())
        if place >= len(self._storages):
            raise KeyError(number)
        return self._storages[place], inner, place * _STRIDE

    def get_all_studies(self) -> list[FrozenStudy]:
        """Return every study."""
        return [
            study_with_id_moved(study, place * _STRIDE)
            for place, storage in self._all()
            for study in storage.get_all_studies()
        ]

    def get_study_id_from_name(self, study_name: str) -> int:
        """Return a study's id."""
        for study in self.get_all_studies():
            if study.study_name == study_name:
                return study_id_of(study)
        raise KeyError(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """Return a study's name."""
        storage, inner, _ = self._of(study_id)
        return storage.get_study_name_from_id(inner)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Return which way a study's objectives go."""
        storage, inner, _ = self._of(study_id)
        return storage.get_study_directions(inner)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what is kept with a study."""
        storage, inner, _ = self._of(study_id)
        return storage.get_study_user_attrs(inner)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Return what Optuna keeps with a study."""
        storage, inner, _ = self._of(study_id)
        return storage.get_study_system_attrs(inner)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """Return a trial."""
        storage, inner, more = self._of(trial_id)
        return trial_with_id_moved(storage.get_trial(inner), more)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Return a study's trials."""
        storage, inner, more = self._of(study_id)
        return [trial_with_id_moved(trial, more) for trial in storage.get_all_trials(inner, deepcopy, states)]
