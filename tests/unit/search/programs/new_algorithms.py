"""Adds an entry to each table, before anything that is derived from them is imported, and uses it everywhere."""

# ruff: noqa: E402

from typing import Any

from kubestudy.api import algorithms

algorithms.SAMPLERS["nsgaii"] = algorithms.SamplerAlgorithm(
    name="nsgaii", target="optuna.samplers.NSGAIISampler", meaning="Breeds trials."
)
algorithms.SAMPLERS["lonely"] = algorithms.SamplerAlgorithm(
    name="lonely", target="optuna.samplers.RandomSampler", meaning="One goal only.", several_objectives=False
)
algorithms.PRUNERS["threshold"] = algorithms.PrunerAlgorithm(
    name="threshold", target="optuna.pruners.ThresholdPruner", meaning="Stops what leaves a range."
)

import make_reference
from optuna.storages import InMemoryStorage

from kubestudy.api.crd import definition
from kubestudy.api.validation import validate
from kubestudy.search.search import OptunaSearch, hush_optuna
from kubestudy.search.search_checks import search_problems
from kubestudy.study.outcome import Complete
from kubestudy.study.trial import Sample
from support.manifests import LOSS, manifest

hush_optuna()


def said(**spec: Any) -> dict[str, str]:
    return {p.path: p.sentence for p in validate(manifest(**spec), search_problems)[1]}


both: dict[str, Any] = {
    "sampler": {"name": "nsgaii", "options": {"population_size": 4}},
    "pruner": {"name": "threshold", "options": {"upper": 1.0}},
}
assert said(**both) == {}
assert "did you mean nsgaii?" in said(sampler={"name": "nsga2"})["spec.sampler.name"]
misspelt = said(sampler={"name": "nsgaii", "options": {"population": 4}})
assert "population_size" in misspelt["spec.sampler.options.population"]
assert "refuses them" in said(sampler={"name": "nsgaii", "options": {"population_size": 1}})["spec.sampler.options"]
assert (
    "use one of tpe, random, grid, nsgaii"
    in said(sampler={"name": "lonely"}, objectives=[LOSS, {"metric": "b", "goal": "minimize"}])["spec.sampler.name"]
)
assert said(sampler={"name": "lonely"}) == {}

schema = definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
assert schema["sampler"]["properties"]["name"]["enum"] == ["tpe", "random", "grid", "nsgaii", "lonely"]
assert schema["sampler"]["properties"]["name"]["description"] == "tpe, random, grid, nsgaii or lonely."
assert schema["pruner"]["properties"]["name"]["enum"][-1] == "threshold"
page = make_reference.algorithms()
assert "| `nsgaii` | yes |  | Breeds trials. |" in page and "| `population_size` | whole number | `50` |" in page

study, _ = validate(manifest(**both), search_problems)
search = OptunaSearch(study.spec, InMemoryStorage(), "x", "x")
for number in range(3):
    assert search.ask().number == number
    assert search.report([(number, Sample("loss", 1, float(number)))]) == ({number} if number > 1 else set())
    search.tell(number, Complete((float(number),), {}))
assert search.tally.complete == 3
