"""The trial that this process runs."""

import math
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar, NoReturn, SupportsFloat

from kubestudy_trainer import environment as names
from kubestudy_trainer.curve import Curve
from kubestudy_trainer.environment import Environment, Parameter
from kubestudy_trainer.errors import BadEnvironmentError, NonFiniteMetricError, describe, reason_for
from kubestudy_trainer.exit_codes import ExitCode
from kubestudy_trainer.message import TerminationMessage, encode, write
from kubestudy_trainer.metrics_server import LastValues, MetricsServer
from kubestudy_trainer.process_hooks import ProcessHooks
from kubestudy_trainer.reasons import Reason

_METRIC_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]{0,127}")
_TAIL_LINES = 12


class Trial:
    """One set of parameters being tried, and what came of it.

    `Trial.current()` is the way to get it::

        trial = Trial.current()
        for epoch in range(1, 11):
            ...
            trial.report(epoch, val_accuracy=accuracy)
            if trial.should_stop:
                save(trial.checkpoint_dir)
                trial.stop()
        trial.finish(val_accuracy=best)

    Without an orchestrator's environment variables `params` is empty, and what is reported is printed.
    """

    _current: ClassVar["Trial | None"] = None
    _creating: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._params = dict(environment.params)
        self._curves: dict[str, Curve] = {}
        self._last_values = LastValues(environment.study, environment.number or 0)
        self._server: MetricsServer | None = None
        self._hooks = ProcessHooks(self._uncaught, self._exiting)
        self._values: dict[str, float] = {}
        self._finished = False
        self._failed = False

    @classmethod
    def current(cls) -> "Trial":
        """The trial of this process, the same at each call.

        The first call reads the environment, takes over SIGTERM, and starts serving `/metrics` where a port
        is given.

        Raises:
            BadEnvironmentError: `KUBESTUDY_TRIALS` is malformed. Uncaught, it ends the process with one
                line on stderr and exit code 2.
        """
        with cls._creating:
            if cls._current is None:
                trial = cls(Environment.read(os.environ))
                trial._hooks.install()
                cls._current = trial
                if trial._environment.problem is None:
                    trial._serve()
            trial = cls._current
        if trial._environment.problem is not None:
            trial.fail(Reason.BAD_PARAMETERS, trial._environment.problem)
            raise BadEnvironmentError(trial._environment.problem)
        return trial

    @property
    def number(self) -> int:
        """The trial's number in its study; 0 without an orchestrator."""
        return self._environment.number or 0

    @property
    def study(self) -> str:
        """The study's name; empty without an orchestrator."""
        return self._environment.study

    @property
    def params(self) -> dict[str, Parameter]:
        """The trial's parameters by name; a conditional parameter that does not apply is absent."""
        return self._params

    @property
    def should_stop(self) -> bool:
        """Whether SIGTERM has arrived: it is time to save what there is and call `stop`."""
        return self._hooks.terminated

    @property
    def checkpoint_dir(self) -> Path:
        """A directory that survives a restart of the same trial; it exists once it has been asked for."""
        directory = self._environment.checkpoint_dir
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    def report(self, step: int, **metrics: SupportsFloat) -> None:
        """Report how far the trial has come, and print it.

        Args:
            step: The epoch, iteration or rung, an integer of at least 0. Reporting the same step of a
                metric again replaces the value.
            **metrics: Numbers by metric name; a 0-d tensor or NumPy scalar will do. NaN and infinities
                are reported as such.

        Raises:
            ValueError: The step, a name or a value is none.
            RuntimeError: The trial is finished.
        """
        if self._finished:
            raise RuntimeError("trial.report(...) was called after trial.finish(...)")
        values = _checked(metrics)
        self._record(_checked_step(step), values)
        _print(f"step {step}", values)

    def restore(self, curve: Mapping[str, Iterable[tuple[int, float]]]) -> None:
        """Take over what an earlier run of this trial reported, from the script's own checkpoint.

        Args:
            curve: By metric name, pairs of a step and the value there. They are not printed again.

        Raises:
            ValueError: A step, a name or a value is none.
        """
        for name, points in curve.items():
            for step, value in points:
                self._record(_checked_step(step), _checked({name: value}))

    def finish(self, **values: SupportsFloat) -> None:
        """Report the final values. It is the last thing that a successful trial says, and says once.

        Args:
            **values: Numbers by metric name; each of the study's objectives must be among them.

        Raises:
            ValueError: An objective is missing, or a name or a value is none.
            NonFiniteMetricError: A value is NaN or infinite. Uncaught, it ends the process with exit code 3.
            RuntimeError: The trial is finished already.
        """
        if self._finished:
            raise RuntimeError("trial.finish(...) was called twice")
        final = _checked(values)
        given = ", ".join(final) or "nothing"
        for objective in self._environment.objectives:
            if objective not in final:
                raise ValueError(f"trial.finish(...) lacks {objective}, which the study names: it was given {given}")
        if not final:
            raise ValueError("trial.finish(...) was given no value")
        bad = {name: value for name, value in final.items() if not math.isfinite(value)}
        # First of all, so that an absurd set of names leaves the trial unfinished.
        encode(TerminationMessage(self._environment.number, final), self._environment.objectives)
        self._values = final
        if bad:
            listed = " and ".join(f"{name} is {value}" for name, value in bad.items())
            text = f"trial.finish(...) was given a value that is no finite number: {listed}"
            self.fail(Reason.NON_FINITE_METRIC, text)
            raise NonFiniteMetricError(text)
        self._finished = True
        self._write(None, None, None)
        _print("result", final, exact=True)

    def stop(self) -> NoReturn:
        """End the process because of SIGTERM, after the script has saved its state.

        The exit code 143 tells this end from a success, so that the trial is run again.

        Raises:
            SystemExit: Always, with code 143.
            RuntimeError: The trial is finished.
        """
        if self._finished:
            raise RuntimeError("trial.stop() was called after trial.finish(...)")
        self.fail(Reason.TERMINATED, "stopped on SIGTERM; another run goes on from the checkpoint")
        raise SystemExit(int(ExitCode.TERMINATED))

    def fail(self, reason: Reason, message: str, tail: str | None = None) -> None:
        """Record why the trial fails, with its curve so far; the process goes on.

        The first failure counts: what follows from it is not recorded. A caller that ends the process
        should do so with `reason.exit_code`.

        Args:
            reason: The reason in one word.
            message: One line that a person can act on.
            tail: The last lines of a traceback.
        """
        if not self._failed:
            self._failed = True
            self._write(reason, message, tail)

    def fail_with(self, error: BaseException) -> ExitCode:
        """Record an exception as the reason why the trial fails.

        Args:
            error: What was raised.

        Returns:
            The exit code that belongs to it.
        """
        reason = reason_for(error)
        tail = None
        if reason in {Reason.ERROR, Reason.OUT_OF_MEMORY}:
            lines = "".join(traceback.format_exception(error)).splitlines()
            tail = "\n".join(lines[-_TAIL_LINES:])
        self.fail(reason, describe(error), tail)
        return reason.exit_code

    def _record(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._curves.setdefault(name, Curve()).add(step, value)
        self._last_values.update(step, values)

    def _write(self, reason: Reason | None, message: str | None, tail: str | None) -> None:
        path = self._environment.termination_log
        if path is None:
            return
        encoded = encode(
            TerminationMessage(
                trial=self._environment.number,
                values=self._values,
                curve={name: curve.points() for name, curve in self._curves.items()},
                reason=reason,
                message=message,
                tail=tail,
            ),
            self._environment.objectives,
        )
        if encoded.dropped:
            _warn(f"the termination message has no room for {', '.join(encoded.dropped)}")
        try:
            write(path, encoded.payload)
        except OSError as error:
            _warn(f"the termination message cannot be written to {path}: {error.strerror}")

    def _serve(self) -> None:
        text = self._environment.metrics_port
        if text is None:
            return
        try:
            port = int(text)
            self._server = MetricsServer(self._last_values, self._environment.metrics_address, port)
        except (ValueError, OverflowError):
            _warn(f"{names.METRICS_PORT} is {text}, which is no TCP port; metrics are not served")
        except OSError as error:
            _warn(f"port {text} cannot be bound ({error.strerror}); metrics are not served")

    def _uncaught(self, error: BaseException) -> int | None:
        code = self.fail_with(error)
        if code is ExitCode.ERROR:
            return None
        if code is ExitCode.OUT_OF_MEMORY:
            traceback.print_exception(error)
        else:
            _warn(describe(error))
        return code

    def _exiting(self, code: int | None) -> None:
        if self._finished or self._failed:
            return
        if self.should_stop:
            self.fail(Reason.TERMINATED, "SIGTERM arrived, and the script ended without trial.stop()")
        elif code:
            self.fail(Reason.ERROR, f"the script exited with code {code} without calling trial.finish(...)")
        else:
            self.fail(Reason.NO_RESULT, "the script ended without calling trial.finish(...)")

    @classmethod
    def _forget_in_child(cls) -> None:
        """Undo in a forked child what its parent's trial has installed.

        Otherwise a data loader's worker would shrug off the SIGTERM that is to end it, keep the port open,
        and overwrite the trial's termination message when it ends.
        """
        cls._creating = threading.Lock()
        trial, cls._current = cls._current, None
        if trial is not None:
            trial._hooks.remove()
            if trial._server is not None:
                trial._server.close_inherited()


os.register_at_fork(after_in_child=Trial._forget_in_child)


def _checked_step(step: int) -> int:
    if isinstance(step, bool) or not isinstance(step, int) or step < 0:
        raise ValueError(f"the step {step!r} must be an integer of at least 0")
    return step


def _checked(metrics: Mapping[str, SupportsFloat]) -> dict[str, float]:
    values = {}
    for name, value in metrics.items():
        if not _METRIC_NAME.fullmatch(name):
            raise ValueError(
                f"the metric name {name!r} must begin with a letter or underscore, hold only letters, "
                "digits and _ . : / -, and have at most 128 characters"
            )
        if isinstance(value, (str, bytes)):
            raise ValueError(f"the metric {name} is {value!r}, which is text and not a number")  # noqa: TRY004
        try:
            values[name] = float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ValueError(f"the metric {name} is not a number: {error}") from error
    return values


def _print(head: str, values: Mapping[str, float], *, exact: bool = False) -> None:
    shown = (f"{name}={_shown(value, exact)}" for name, value in values.items())
    print("  ".join((head, *shown)), flush=True)


def _shown(value: float, exact: bool) -> str:
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value) if exact else f"{value:.6g}"


def _warn(text: str) -> None:
    print(f"kubestudy: {text}", file=sys.stderr, flush=True)
