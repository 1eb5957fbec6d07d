"""/metrics of a real trial, scraped over HTTP."""

import re
import socket

STUDY = {"KUBESTUDY_TRIALS": '[{"number": 7, "params": {}}]', "KUBESTUDY_STUDY": 'my "study"'}
WAIT = "import time\nwhile not trial.should_stop:\n    time.sleep(0.005)\ntrial.stop()\n"


def test_values_and_steps_and_nothing_else(launcher, port, scrape):
    running = launcher.script(
        "from kubestudy_trainer import Trial\ntrial = Trial.current()\n"
        "trial.report(1, loss=0.5, acc=0.25)\ntrial.report(2, loss=float('nan'))\n" + WAIT,
        KUBESTUDY_METRICS_PORT=str(port),
        **STUDY,
    )
    running.saw("step 2")
    lines = [line for line in scrape(port).splitlines() if not line.startswith("#")]
    running.kill(15)
    assert running.end().code == 143
    assert sorted(lines) == [
        r'kubestudy_trial_metric{metric="acc",study="my \"study\"",trial="7"} 0.25',
        r'kubestudy_trial_metric{metric="loss",study="my \"study\"",trial="7"} NaN',
        r'kubestudy_trial_step{metric="acc",study="my \"study\"",trial="7"} 1.0',
        r'kubestudy_trial_step{metric="loss",study="my \"study\"",trial="7"} 2.0',
    ]


def test_value_and_step_of_a_scrape_belong_together(launcher, port, scrape):
    running = launcher.script(
        "from kubestudy_trainer import Trial\ntrial = Trial.current()\nprint('ready', flush=True)\n"
        "import sys, os\nsys.stdout = open(os.devnull, 'w')\nstep = 0\n"
        "while not trial.should_stop:\n    step += 1\n    trial.report(step, loss=step)\ntrial.stop()\n",
        KUBESTUDY_METRICS_PORT=str(port),
        KUBESTUDY_METRICS_ADDRESS="127.0.0.1",
    )
    running.saw("ready")
    seen = set()
    for _ in range(100):
        pair = re.findall(r"^kubestudy_trial_\w+{.*} (\S+)$", scrape(port), re.MULTILINE)
        if pair:
            assert pair[0] == pair[1]
            seen.add(pair[0])
    running.kill(15)
    assert running.end().code == 143
    assert len(seen) > 10


def test_a_taken_port_is_one_warning(launcher):
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        ended = launcher.script(
            "from kubestudy_trainer import Trial\nTrial.current().finish(x=1)",
            KUBESTUDY_METRICS_PORT=str(port),
        ).end()
    assert (ended.code, ended.message["values"]) == (0, {"x": 1.0})
    assert re.fullmatch(rf"kubestudy: port {port} cannot be bound \(.*\); metrics are not served\n", ended.stderr)


def test_a_port_that_is_none_is_one_warning(launcher):
    # Kubernetes itself sets such a variable where a Service is called kubestudy-metrics.
    for text in ("tcp://10.0.0.1:80", "70000"):
        ended = launcher.script(
            "from kubestudy_trainer import Trial\nTrial.current().finish(x=1)", KUBESTUDY_METRICS_PORT=text
        ).end()
        assert ended.code == 0
        assert (
            ended.stderr
            == f"kubestudy: KUBESTUDY_METRICS_PORT is {text}, which is no TCP port; metrics are not served\n"
        )
