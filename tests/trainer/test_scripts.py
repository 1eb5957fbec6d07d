"""Users' scripts as processes of their own: how they end, and what they leave behind."""

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

TRIAL = '[{"number": 7, "params": {"lr": 0.01}}]'
STUDY = {"KUBESTUDY_TRIALS": TRIAL, "KUBESTUDY_STUDY": "s", "KUBESTUDY_OBJECTIVES": "val_accuracy"}

START = "from kubestudy_trainer import Trial\ntrial = Trial.current()\ntrial.report(1, val_accuracy=0.5)\n"


def test_a_script_reports_and_finishes(launcher):
    ended = launcher.script(
        """
        from kubestudy_trainer import Trial
        trial = Trial.current()
        assert trial is Trial.current()
        assert trial.params == {"lr": 0.01} and trial.number == 7 and trial.study == "s"
        assert not trial.should_stop
        trial.report(1, val_accuracy=0.5, train_loss=2)
        trial.report(2, val_accuracy=0.7)
        trial.finish(val_accuracy=0.93)
        """,
        **STUDY,
    ).end()
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == [
        "step 1  val_accuracy=0.5  train_loss=2",
        "step 2  val_accuracy=0.7",
        "result  val_accuracy=0.93",
    ]
    assert ended.message == {
        "version": 1,
        "trial": 7,
        "values": {"val_accuracy": 0.93},
        "curve": {"val_accuracy": [[1, 0.5], [2, 0.7]], "train_loss": [[1, 2.0]]},
        "reason": None,
        "message": None,
    }


def test_a_script_runs_without_an_orchestrator(launcher):
    ended = launcher.script(
        """
        from kubestudy_trainer import Trial
        trial = Trial.current()
        assert trial.params == {} and trial.number == 0
        (trial.checkpoint_dir / "state").write_text("x")
        trial.report(1, loss=0.25)
        trial.finish(loss=1e-9)
        """,
        KUBESTUDY_TERMINATION_LOG="",
    ).end()
    assert (ended.code, ended.stderr, ended.text) == (0, "", b"")
    assert ended.stdout == "step 1  loss=0.25\nresult  loss=1e-09\n"
    assert (launcher.directory / "checkpoint" / "state").exists()


# What the script does after its first report; its exit code, reason, message, and stderr's last line.
ENDS = {
    "uncaught error": (
        "raise TypeError('no\\nway')",
        1, "Error", "TypeError: no way", "way",
    ),
    "import error": (
        "import nonexistent", 1, "Error", "ModuleNotFoundError: No module named 'nonexistent'", None,
    ),
    "memory": ("raise MemoryError", 4, "OutOfMemory", "MemoryError", "MemoryError"),
    "torch's memory": (
        "class OutOfMemoryError(RuntimeError): pass\nraise OutOfMemoryError('CUDA out of memory')",
        4, "OutOfMemory", "OutOfMemoryError: CUDA out of memory", None,
    ),
    "NaN": (
        "trial.finish(val_accuracy=float('nan'))",
        3, "NonFiniteMetric",
        "trial.finish(...) was given a value that is no finite number: val_accuracy is nan",
        "kubestudy: trial.finish(...) was given a value that is no finite number: val_accuracy is nan",
    ),
    "bad parameters": (
        "from kubestudy_trainer import BadParametersError\nraise BadParametersError('must be odd', 'k')",
        2, "BadParameters", "k: must be odd", "kubestudy: k: must be odd",
    ),
    "no finish": ("pass", 0, "NoResult", "the script ended without calling trial.finish(...)", None),
    "sys.exit": (
        "import sys\nsys.exit(9)",
        9, "Error", "the script exited with code 9 without calling trial.finish(...)", None,
    ),
    "sys.exit with a text": (
        "import sys\nsys.exit('bye')",
        1, "Error", "the script exited with code 1 without calling trial.finish(...)", "bye",
    ),
    "sys.exit 0": ("import sys\nsys.exit()", 0, "NoResult", None, None),
    "raised exit": ("raise SystemExit(9)", 9, "NoResult", None, None),
    "objective missing": (
        "trial.finish(loss=1, f1=2)",
        1, "Error",
        "ValueError: trial.finish(...) lacks val_accuracy, which the study names: it was given loss, f1", None,
    ),
    "stop": ("trial.stop()", 143, "Terminated", None, None),
}  # fmt: skip


def test_ends(launcher):
    def end(case: str):
        return launcher.script(START + ENDS[case][0], **STUDY).end()

    for case, (_, code, reason, message, last) in ENDS.items():
        ended = end(case)
        content = ended.message
        assert (ended.code, content["reason"]) == (code, reason), (case, ended.stderr)
        assert content["curve"] == {"val_accuracy": [[1, 0.5]]}, case
        assert content["trial"] == 7
        assert content["values"] == ({"val_accuracy": "NaN"} if case == "NaN" else {}), case
        if message is not None:
            assert content["message"] == message, case
        if last is not None:
            assert ended.stderr.splitlines()[-1] == last, case
        if reason in {"NonFiniteMetric", "BadParameters"}:
            assert len(ended.stderr.splitlines()) == 1, case
        if case == "uncaught error":
            assert "Traceback" in ended.stderr
            assert content["tail"].splitlines()[-2:] == ["TypeError: no", "way"]


@pytest.mark.parametrize("text", ["nonsense", "[]"])
def test_malformed_trials_end_with_code_2_and_one_line(launcher, text):
    ended = launcher.script(START, KUBESTUDY_TRIALS=text).end()
    assert ended.code == 2
    assert ended.message["reason"] == "BadParameters"
    assert ended.message["trial"] is None
    assert ended.stderr == f"kubestudy: {ended.message['message']}\n"
    assert "KUBESTUDY_TRIALS" in ended.stderr


def test_sigterm_with_stop(launcher):
    loop = "import time\nwhile True:\n    time.sleep(0.005)\n    if trial.should_stop:\n        "
    running = launcher.script(START + loop + "trial.stop()", **STUDY)
    running.saw("step 1")
    running.kill(signal.SIGTERM)
    ended = running.end()
    assert (ended.code, ended.message["reason"]) == (143, "Terminated")
    assert ended.message["curve"] == {"val_accuracy": [[1, 0.5]]}


def test_sigterm_without_stop(launcher):
    loop = "import time\nwhile not trial.should_stop:\n    time.sleep(0.005)"
    running = launcher.script(START + loop, **STUDY)
    running.saw("step 1")
    running.kill(signal.SIGTERM)
    ended = running.end()
    assert (ended.code, ended.message["reason"]) == (0, "Terminated")
    assert "trial.stop()" in ended.message["message"]


def test_an_error_after_the_result_keeps_the_values(launcher):
    ended = launcher.script(START + "trial.finish(val_accuracy=1)\ntrial.finish(val_accuracy=2)", **STUDY).end()
    assert ended.code == 1
    assert ended.message["values"] == {"val_accuracy": 1.0}
    assert ended.message["reason"] == "Error"
    assert ended.message["message"] == "RuntimeError: trial.finish(...) was called twice"


def test_the_scripts_own_excepthook_still_runs(launcher):
    ended = launcher.script(
        "import sys\nsys.excepthook = lambda *_: print('own hook')\n" + START + "raise KeyError('k')"
    ).end()
    assert (ended.code, ended.message["reason"]) == (1, "Error")
    assert ended.stdout.endswith("own hook\n")


def test_wrong_reports_are_refused_and_change_nothing(launcher):
    ended = launcher.script(
        START
        + """
def refused(call, *words):
    try:
        call()
    except ValueError as error:
        assert all(word in str(error) for word in words), error
    else:
        raise AssertionError(words)

for step in (True, -1, 1.0, "1", None):
    refused(lambda: trial.report(step, loss=1), repr(step))
for name in ("", "1a", "a b", "ä", "a" * 129, "a$b"):
    refused(lambda: trial.report(1, **{name: 1}), repr(name))
for value in ("0.5", b"1", None, [1], 10**400):
    refused(lambda: trial.report(1, loss=value), "loss")
refused(lambda: trial.finish())
refused(lambda: trial.finish(val_accuracy="x"), "val_accuracy")
trial.restore({"val_accuracy": [(0, 0.25)]})
trial.report(0, val_accuracy=float("inf"), **{"a.b_1": True})
trial.finish(val_accuracy=1, other=2)
""",
        **STUDY,
    ).end()
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.message["curve"] == {"val_accuracy": [[0, "Infinity"], [1, 0.5]], "a.b_1": [[0, 1.0]]}


def test_an_unwritable_termination_log_is_a_warning(launcher):
    ended = launcher.script(START + "trial.finish(val_accuracy=1)", KUBESTUDY_TERMINATION_LOG="/nonexistent/x").end()
    assert ended.code == 0
    assert ended.stderr.startswith("kubestudy: the termination message cannot be written to /nonexistent/x")


def test_the_library_does_not_import_torch(launcher):
    ended = launcher.script(
        "import sys\nimport kubestudy_trainer.__main__, kubestudy_trainer.warm\n"
        "assert not {'torch', 'numpy', 'sklearn'} & set(sys.modules)"
    ).end()
    assert (ended.code, ended.stderr) == (0, "")


def test_many_at_once_do_not_disturb_each_other(launcher):
    running = [launcher.script(START + f"trial.finish(val_accuracy={n})", **STUDY) for n in range(4)]
    with ThreadPoolExecutor() as pool:
        ends = list(pool.map(lambda one: one.end(), running))
    assert [ended.message["values"]["val_accuracy"] for ended in ends] == [0.0, 1.0, 2.0, 3.0]
