"""What of an edited manifest a run that is under way goes by."""

from __future__ import annotations

from typing import Any

from kubestudy.cli.live_edit import live_edit
from support.manifests import LR, manifest, study_of, template


def test_budget_parallelism_suspend_stop_and_deadlines_are_taken() -> None:
    job = template({"args": []})
    job["spec"]["backoffLimit"] = 3
    wanted = study_of(budget={"maxTrials": 9}, parallelism=4, suspend=True, stop=True, jobTemplate=job)
    edit = live_edit(study_of(), wanted)
    assert edit.left == ()
    assert set(edit.taken) == {
        "spec.budget.maxTrials: was 6 and is now 9",
        "spec.parallelism: is new (4)",
        "spec.suspend: is new (true)",
        "spec.stop: is new (true)",
        "spec.jobTemplate.spec.backoffLimit: is new (3)",
    }
    assert edit.study.spec == wanted.spec


def test_what_trials_are_compared_by_is_left_and_the_rest_is_taken() -> None:
    now = study_of()
    wanted = study_of(
        parameters=[{**LR, "high": 2.0}],
        sampler={"name": "random"},
        pruner={"name": "median"},
        budget={"maxTrials": 9},
        container={"args": ["--epochs=5"]},
    )
    edit = live_edit(now, wanted)
    assert edit.taken == ("spec.budget.maxTrials: was 6 and is now 9",)
    for path, remedy in (
        ("spec.parameters[lr].high", "--restart starts anew"),
        ("spec.sampler", "--restart starts anew"),
        ("spec.pruner", "the next run goes by it"),
        ("spec.jobTemplate.spec.template.spec.containers[trainer].args", "--accept-changes"),
    ):
        assert [s for s in edit.left if s.startswith(path) and remedy in s], (path, edit.left)
    assert edit.study.spec == now.spec.model_copy(update={"budget": wanted.spec.budget})


def test_an_edit_that_is_only_valid_with_what_cannot_change_is_left() -> None:
    now = study_of()
    wanted = study_of(budget=None, sampler={"name": "grid"}, parameters=[{**LR, "low": 0.0, "high": 1.0, "step": 0.5}])
    edit = live_edit(now, wanted)  # without its grid the study would never end
    assert (edit.study, edit.taken) == (now, ())
    assert any("never end" in sentence for sentence in edit.left)


def test_an_edit_of_nothing() -> None:
    def study() -> Any:
        return study_of(budget={"maxTrials": 6, "patience": 2})

    assert live_edit(study(), study()).taken == live_edit(study(), study()).left == ()


def test_a_study_is_not_renamed_while_it_runs() -> None:
    from kubestudy.api.study import HyperparameterStudy

    renamed = manifest()
    renamed["metadata"]["name"] = "another"
    edit = live_edit(study_of(), HyperparameterStudy.model_validate(renamed))
    assert edit.taken == ()
    assert edit.left == ('metadata.name: was "example" and is now "another": a study keeps its name',)
