"""Every use that is made of Optuna's private parts, each behind one name.

Nothing else touches them; a test reads the sources for that, and another one fails for each of these when a release of
Optuna changes what it leans on. Written against Optuna 5.0.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Container, Sequence

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState

__all__ = [
    "FrozenStudy",
    "JournalOffsets",
    "StudyOfTrials",
    "StudyProxy",
    "past_startup",
    "raised_in_storage",
    "reattached",
    "record_of",
    "startup_and_candidates",
    "study_id_of",
    "study_with_id_moved",
    "trial_with_id_moved",
]
# `FrozenStudy` is what a storage lists its studies as: storages of one's own have to name it.


def record_of(trial: optuna.Trial) -> FrozenTrial:
    """Return the record of a running trial as its storage has it, not copied: not to be changed.

    Leans on `Trial._trial_id`, and on a storage's `get_trial`. A trial's public attributes each copy the whole record.
    """
    return trial.storage.get_trial(trial._trial_id)


def reattached(study: optuna.Study, record: FrozenTrial) -> optuna.Trial:
    """Return a trial that is recorded as running, to go on with; it may have been begun by another process.

    Leans on `FrozenTrial._trial_id`, and on `Trial`'s constructor. Parameters that it has come back unchanged.
    """
    return optuna.Trial(study, record._trial_id)


def trial_with_id_moved(record: FrozenTrial, more: int) -> FrozenTrial:
    """Return a copy of a trial's record whose id is higher by `more`.

    Leans on `FrozenTrial._trial_id`.
    """
    moved = copy.copy(record)
    moved._trial_id += more
    return moved


def study_id_of(study: FrozenStudy) -> int:
    """Return a listed study's id.

    Leans on `FrozenStudy._study_id`.
    """
    return study._study_id


def study_with_id_moved(study: FrozenStudy, more: int) -> FrozenStudy:
    """Return a copy of a listed study whose id is higher by `more`.

    Leans on `FrozenStudy._study_id`.
    """
    moved = copy.copy(study)
    moved._study_id += more
    return moved


def raised_in_storage(error: BaseException) -> bool:
    """Tell whether an error came up while Optuna's storage was reading its records, not in the code that asked it.

    Leans on where Optuna keeps its storages' modules: what damaged records raise there has no type of its own.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return any("/optuna/storages/" in frame.filename.replace("\\", "/") for frame in frames)


class StudyProxy(optuna.Study):
    """Another face of a study, over the same storage: what a subclass overrides is what Optuna's own code then sees.

    Leans on `Study` keeping all it knows in plain attributes, so that they can be taken over without asking the
    storage, and on `Study._directions` being what `Study.directions` returns. Nothing may be written through it.

    Args:
        study: The study.
        directions: Which way the objectives go, where that is to be another than the study's.
    """

    def __init__(self, study: optuna.Study, directions: list[StudyDirection] | None = None) -> None:
        vars(self).update(vars(study))
        if directions is not None:
            self._directions = directions


class StudyOfTrials(StudyProxy):
    """A study of which only some trials are seen.

    Leans on samplers listing trials by `Study._get_trials`, as `Study.get_trials` does itself.

    Args:
        study: The study.
        trials: What is seen of it, by number.
    """

    def __init__(self, study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
        super().__init__(study)
        self._seen = tuple(trials)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        found = [trial for trial in self._seen if states is None or trial.state in states]
        return copy.deepcopy(found) if deepcopy else found


def startup_and_candidates(sampler: optuna.samplers.TPESampler) -> tuple[int, int]:
    """Return with how many finished trials TPE begins to learn, and how many candidates it compares.

    Leans on `TPESampler._n_startup_trials` and `TPESampler._n_ei_candidates`.
    """
    return sampler._n_startup_trials, sampler._n_ei_candidates


def past_startup(sampler: optuna.samplers.TPESampler) -> optuna.samplers.TPESampler:
    """Return a TPE sampler that learns at once, and goes on with the random numbers of another.

    Leans on `TPESampler._n_startup_trials`, and on a sampler's copy having its random state.
    """
    same = copy.copy(sampler)
    same._n_startup_trials = 0
    return same


class JournalOffsets:
    """Where in a journal's file its records begin, as Optuna's backend remembers it.

    Leans on `JournalFileBackend._log_number_offset`: the byte at which a record, by its number, begins. A record whose
    offset is not there is found by reading the file from its start.

    Args:
        backend: The journal.
    """

    def __init__(self, backend: JournalFileBackend) -> None:
        self._backend = backend

    def get(self, number: int) -> int | None:
        """Return where a record begins, or would begin; None if that is not known."""
        return self._backend._log_number_offset.get(number)

    def set(self, number: int, offset: int) -> None:
        """Remember where a record begins."""
        self._backend._log_number_offset[number] = offset
