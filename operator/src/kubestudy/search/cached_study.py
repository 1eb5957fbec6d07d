"""A study whose pruner is asked about several trials at once."""

from __future__ import annotations

import copy
from collections.abc import Container

import optuna
from optuna.trial import FrozenTrial, TrialState

from kubestudy.search.optuna_internals import StudyProxy, record_of


class CachedStudy(StudyProxy):
    """Asks a study's pruner about several trials; finished trials, which do not change meanwhile, are listed once.

    Args:
        study: The study.
    """

    def __init__(self, study: optuna.Study) -> None:
        super().__init__(study)
        self._complete: list[FrozenTrial] | None = None

    def gives_up(self, trial: optuna.Trial) -> bool:
        """Tell whether a running trial is hopeless, as `Trial.should_prune` does."""
        return self.pruner.prune(self, copy.copy(record_of(trial)))

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the study's trials, as `Study.get_trials` does."""
        if deepcopy or states != (TrialState.COMPLETE,):
            return super().get_trials(deepcopy, states)
        if self._complete is None:
            self._complete = super().get_trials(deepcopy=False, states=states)
        return self._complete
