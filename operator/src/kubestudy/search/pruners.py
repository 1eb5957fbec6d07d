"""Pruners by name. Source: optuna.pruners."""

from __future__ import annotations

import copy
from collections.abc import Container, Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from kubestudy.api.problems import Problem, did_you_mean
from kubestudy.api.study import Pruner, PrunerName
from kubestudy.search.options import check_options

_CLASSES: Mapping[PrunerName, type[optuna.pruners.BasePruner]] = {
    "none": optuna.pruners.NopPruner,
    "median": optuna.pruners.MedianPruner,
    "percentile": optuna.pruners.PercentilePruner,
    "successivehalving": optuna.pruners.SuccessiveHalvingPruner,
    "hyperband": optuna.pruners.HyperbandPruner,
    "patient": optuna.pruners.PatientPruner,
}
# PatientPruner's first argument is another pruner: written as {name: ..., options: {...}}.
_WRAPPED = "wrapped_pruner"


def pruner_problems(pruner: Pruner, path: str = "spec.pruner") -> list[Problem]:
    """Check a pruner's options, by trying them."""
    options = dict(pruner.options)
    taken: frozenset[str] = frozenset()
    problems: list[Problem] = []
    if pruner.name == "patient":
        taken = frozenset({_WRAPPED})
        problems += _wrapped_problems(options.pop(_WRAPPED, None), f"{path}.options.{_WRAPPED}")
    problems += check_options(f"{path}.options", _CLASSES[pruner.name], options, taken)
    if not problems:
        try:
            make_pruner(pruner)
        except (TypeError, ValueError) as error:
            problems.append(Problem(f"{path}.options", f"{pruner.name} refuses them: {error}"))
    return problems


def _wrapped_problems(wrapped: Any, path: str) -> list[Problem]:
    if wrapped is None:
        return []
    if not isinstance(wrapped, dict) or not isinstance(wrapped.get("options", {}), dict):
        return [Problem(path, "is no pruner: write {name: median, options: {...}}")]
    unknown = wrapped.keys() - {"name", "options"}
    if unknown:
        return [Problem(f"{path}.{key}", "there is no such field: known here: name, options") for key in unknown]
    name = wrapped.get("name")
    inner = [known for known in _CLASSES if known not in ("none", "patient")]
    if name not in inner:
        return [Problem(f"{path}.name", f"{name!r} cannot be wrapped: {did_you_mean(str(name), inner)}")]
    return pruner_problems(Pruner(name=name, options=wrapped.get("options", {})), path)


def make_pruner(pruner: Pruner) -> optuna.pruners.BasePruner:
    """Make a pruner from its checked options."""
    options = dict(pruner.options)
    if pruner.name == "patient":
        wrapped = options.pop(_WRAPPED, None)
        options[_WRAPPED] = None if wrapped is None else make_pruner(Pruner.model_validate(wrapped))
    return _CLASSES[pruner.name](**options)


class CachedStudy:
    """Asks a study's pruner about several trials; finished trials, which do not change meanwhile, are listed once.

    Args:
        study: The study.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._complete: list[FrozenTrial] | None = None

    def gives_up(self, trial: optuna.Trial) -> bool:
        """Tell whether a running trial is hopeless, as `Trial.should_prune` does."""
        frozen = copy.copy(self._study._storage.get_trial(trial._trial_id))
        # Pruners ask a study for its trials and its direction, and some for its storage.
        return bool(self._study.pruner.prune(self, frozen))  # type: ignore[arg-type]

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the study's trials, as `Study.get_trials` does."""
        if deepcopy or states != (TrialState.COMPLETE,):
            return self._study.get_trials(deepcopy, states)
        if self._complete is None:
            self._complete = self._study.get_trials(deepcopy=False, states=states)
        return self._complete

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)
