"""Forks: of a warm parent without a trial, and of a trial itself."""

import os
from pathlib import Path


def test_a_child_of_a_warm_parent_serves_and_finishes(launcher, port, scrape):
    running = launcher.script(
        """
        import os, time
        import kubestudy_trainer.__main__ as entry
        from kubestudy_trainer import Reason, Trial
        for number in (1, 2, 3):
            if os.fork() == 0:
                os.environ["KUBESTUDY_TRIALS"] = '[{"number": %d, "params": {}}]' % number
                os.environ["KUBESTUDY_TERMINATION_LOG"] += str(number)
                if number < 3:
                    del os.environ["KUBESTUDY_METRICS_PORT"]  # only one of them can have it
                    os._exit(entry.main(["--model=beale", "--x=3", "--y=0.5"]))
                trial = Trial.current()
                trial.report(1, x=1)
                while not trial.should_stop:
                    time.sleep(0.005)
                trial.fail(Reason.TERMINATED, "x")
                os._exit(143)
        print(os.wait()[1], os.wait()[1], flush=True)
        print("children", flush=True)
        os.wait()
        """,
        KUBESTUDY_METRICS_PORT=str(port),
    )
    running.saw("children")
    assert "0 0\n" in running.out.read_text()
    assert 'kubestudy_trial_metric{metric="x",study="",trial="3"} 1.0' in scrape(port)
    for number in (1, 2):
        assert b'"trial":%d,"values":{"value":0.0}' % number in (
            running.log.with_name(running.log.name + str(number)).read_bytes()
        )
    children = [int(entry.name) for entry in Path("/proc").iterdir() if _parent(entry) == running.pid]
    assert len(children) == 1
    os.kill(children[0], 15)
    assert running.end().code == 0


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return -1


def test_a_trials_forked_worker_is_no_trial(launcher, port):
    ended = launcher.script(
        """
        import multiprocessing, os, signal, socket, sys, time
        from kubestudy_trainer import Trial
        trial = Trial.current()
        hook, leave = sys.excepthook, sys.exit

        worker = os.fork()
        if worker == 0:
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert sys.excepthook is not hook and sys.exit is not leave
            time.sleep(60)
        time.sleep(0.1)
        os.kill(worker, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == -signal.SIGTERM

        # A worker that ends in the ordinary way, exit handlers and all, leaves the message alone.
        if os.fork() == 0:
            raise SystemExit(0)
        os.wait()
        assert not os.path.exists(os.environ["KUBESTUDY_TERMINATION_LOG"])

        # A worker may become a trial of its own.
        if os.fork() == 0:
            os.environ["KUBESTUDY_TRIALS"] = '[{"number": 2, "params": {}}]'
            os.environ["KUBESTUDY_METRICS_PORT"] = ""
            assert Trial.current() is not trial and Trial.current().number == 2
            os._exit(5)
        assert os.waitstatus_to_exitcode(os.wait()[1]) == 5
        trial.finish(x=1)
        """,
        KUBESTUDY_METRICS_PORT=str(port),
    ).end()
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.message["values"] == {"x": 1.0}


def test_a_worker_does_not_keep_the_port(launcher, port):
    running = launcher.script(
        """
        import os, time
        from kubestudy_trainer import Trial
        trial = Trial.current()
        if os.fork() == 0:
            time.sleep(1.5)
            os._exit(0)
        trial.finish(x=1)
        """,
        KUBESTUDY_METRICS_PORT=str(port),
    )
    assert running.end().code == 0
    second = launcher.script(
        "from kubestudy_trainer import Trial\nTrial.current().finish(x=2)", KUBESTUDY_METRICS_PORT=str(port)
    ).end()
    assert (second.code, second.stderr) == (0, "")
