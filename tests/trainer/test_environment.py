"""What the environment says about the trial."""

from pathlib import Path

import pytest

from kubestudy_trainer.environment import Environment


def test_nothing_set_is_a_trial_without_orchestrator():
    environment = Environment.read({})
    assert (environment.number, environment.params, environment.objectives) == (0, {}, ())
    assert (environment.metrics_port, environment.problem) == (None, None)
    assert environment.checkpoint_dir == Path("checkpoint")


def test_all_set():
    environment = Environment.read(
        {
            "KUBESTUDY_TRIALS": '[{"number": 7, "params": {"lr": 0.01, "n": 3, "on": true, "opt": "adam"}}]',
            "KUBESTUDY_STUDY": "mnist",
            "KUBESTUDY_OBJECTIVES": "val_accuracy, seconds,",
            "KUBESTUDY_METRICS_PORT": "8000",
            "KUBESTUDY_METRICS_ADDRESS": "127.0.0.1",
            "KUBESTUDY_TERMINATION_LOG": "/tmp/message",
            "KUBESTUDY_CHECKPOINT_DIR": "/data",
        }
    )
    assert environment.number == 7
    assert environment.params == {"lr": 0.01, "n": 3, "on": True, "opt": "adam"}
    assert environment.study == "mnist"
    assert environment.objectives == ("val_accuracy", "seconds")
    assert (environment.metrics_address, environment.metrics_port) == ("127.0.0.1", "8000")
    assert environment.termination_log == Path("/tmp/message")
    assert environment.checkpoint_dir == Path("/data")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "must be a JSON list"),
        ("[1]", "must be a JSON list"),
        ("[]", "holds 0 trials"),
        ('[{"number": 1, "params": {}}, {"number": 2, "params": {}}]', "holds 2 trials"),
        ('[{"params": {}}]', "the trial number None"),
        ('[{"number": true, "params": {}}]', "the trial number True"),
        ('[{"number": -1, "params": {}}]', "the trial number -1"),
        ('[{"number": 1}]', "without an object of parameters"),
        ('[{"number": 1, "params": {"lr": null}}]', "gives 'lr' neither"),
        ('[{"number": 1, "params": {"lr": NaN}}]', "NaN is not a JSON number"),
    ],
)
def test_malformed_trials_are_a_problem_in_one_line(text: str, says: str):
    problem = Environment.read({"KUBESTUDY_TRIALS": text}).problem
    assert problem is not None
    assert says in problem
    assert "\n" not in problem
