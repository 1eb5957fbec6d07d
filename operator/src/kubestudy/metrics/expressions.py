"""A study's Prometheus expressions, evaluated over trials that ended (implements `ExpressionEvaluator`).

Source: Prometheus' HTTP API, /api/v1/query with `time`: the trial's end, so that a range of $(window) is its own run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from kubestudy.api.expansion import expand
from kubestudy.api.limits import ANSWER_SERIES, PROMQL_LENGTH
from kubestudy.api.text import clean
from kubestudy.metrics.answers import PrometheusError, Series
from kubestudy.metrics.promql import PromqlError, problem_in, within_namespace
from kubestudy.metrics.server import PrometheusServer
from kubestudy.study.ports import MeasureError
from kubestudy.study.trial import Observed

# A server that is away is waited for, about 25 minutes; values that are not there yet, a few scrapes.
_UNAVAILABLE_ATTEMPTS = 30
_EMPTY_ATTEMPTS = 4
_SERIES_SHOWN = 3
_SENT_LENGTH = 600
_LABELS_LENGTH = 200
_SUPPOSED_SECONDS = 60.0


class PrometheusEvaluator:
    """Evaluates one study's expressions.

    Args:
        server: The server.
        expressions: The expressions, by the names that their values are listed under.
        namespace: The study's namespace.
        study: The study's name.
        job_of: Returns the name of a trial's Job.
        settling: Seconds after a trial's end from which on its last values are there.
        confined: Whether every expression is made to read series of the study's namespace alone.
    """

    def __init__(
        self,
        server: PrometheusServer,
        expressions: Mapping[str, str],
        namespace: str,
        study: str,
        job_of: Callable[[int], str],
        settling: float,
        *,
        confined: bool = False,
    ) -> None:
        self._server = server
        self._expressions = expressions
        self._fixed = {"namespace": namespace, "study": study}
        self._job_of = job_of
        self._settling = settling
        self._namespace, self._confined = namespace, confined

    @property
    def settling(self) -> float:
        """Seconds after a trial's end from which on its last values are there."""
        return self._settling

    async def measure(self, trial: Observed) -> Mapping[str, float]:
        """Return the value of each expression over a trial's own window.

        Raises:
            MeasureError: One of them gave no number.
        """
        end = trial.end.at if trial.end is not None else None
        if trial.started is None or end is None:
            raise MeasureError("NoWindow", f"trial {trial.number} has no times of its own: its pod is gone")
        job = self._job_of(trial.number)
        values = self._fixed | variables(trial.number, job, trial.pods, trial.started, end)
        return {name: await self._number(expand(text, values), end) for name, text in self._expressions.items()}

    async def check(self, now: float) -> str | None:
        """Ask the server whether it takes the expressions, over a trial that never was.

        Args:
            now: Unix time.

        Returns:
            What is wrong with the first that it refuses, as it was sent; None if all are fine.

        Raises:
            PrometheusError: The server does not answer.
        """
        values = self._fixed | variables(0, self._job_of(0), (), now - _SUPPOSED_SECONDS, now)
        for text in self._expressions.values():
            sent = expand(text, values)
            problem = problem_in(sent)
            if problem is not None:
                return f"{problem}; the expression as it would be sent: {clean(sent, _SENT_LENGTH)}"
            try:
                found = await self._ask(sent, now)
            except PromqlError as error:
                return _refusal(error, sent)
            except PrometheusError as error:
                if error.passing:
                    raise
                return _refusal(error, sent)
            # Of a trial that never was there may be nothing yet; what is as many as are looked at will be of any trial.
            if len(found) >= ANSWER_SERIES.value:
                return _several(found, sent)
        return None

    async def _ask(self, sent: str, at: float) -> list[Series]:
        """Send an expression, confined to the study's namespace where it is to be.

        Raises:
            PromqlError: It is too long, or cannot be confined.
            PrometheusError: The server does not answer, or refuses it.
        """
        if len(sent) > PROMQL_LENGTH.value:
            raise PromqlError(
                f"the expression has {len(sent)} characters with its variables filled in, and {PROMQL_LENGTH.value} at"
                " most are sent: name $(pods) once"
            )
        confined = within_namespace(sent, self._namespace) if self._confined else sent
        return await self._server.query(confined, at, limit=ANSWER_SERIES.value, namespace=self._namespace)

    async def _number(self, sent: str, at: float) -> float:
        try:
            found = await self._ask(sent, at)
        except PromqlError as error:
            raise MeasureError("ExpressionRefused", _refusal(error, sent)) from error
        except (PrometheusError, OSError) as error:
            passing = not isinstance(error, PrometheusError) or error.passing
            if passing:
                raise MeasureError(
                    "MetricsUnavailable", str(error), attempts=_UNAVAILABLE_ATTEMPTS, unavailable=True
                ) from error
            raise MeasureError("ExpressionRefused", _refusal(error, sent)) from error
        return one_number(found, sent)


def one_number(found: list[Series], sent: str) -> float:
    """Return the one number that an expression gave.

    Args:
        found: What the server answered.
        sent: The expression.

    Raises:
        MeasureError: There is none, or more than one, or it is none that can be compared.
    """
    if not found:
        raise MeasureError(
            "NothingMeasured",
            f"the expression gave nothing over the trial's window: {clean(sent, _SENT_LENGTH)}",
            attempts=_EMPTY_ATTEMPTS,
        )
    if len(found) > 1:
        raise MeasureError("ManyValues", _several(found, sent))
    if not math.isfinite(found[0].value):
        raise MeasureError("NonFiniteMetric", f"the expression gave {found[0].value}: {clean(sent, _SENT_LENGTH)}")
    return found[0].value


def variables(number: int, job: str, pods: tuple[str, ...], start: float, end: float) -> dict[str, str]:
    """Return what an expression's variables stand for.

    Args:
        number: The trial's number.
        job: Its Job.
        pods: Its pods; where they are not known, every pod of that Job.
        start: Unix time at which it began to run.
        end: Unix time at which it ended.

    Returns:
        By name. `pods` is a regular expression (RE2) that needs no escaping within a string, `start` and `end` are
        Unix times in seconds, `window` is a duration of at least a second.
    """
    names = [pod.replace(".", "[.]") for pod in pods] or [f"{job.replace('.', '[.]')}-.+"]
    return {
        "trial": str(number),
        "job": job,
        "pods": "|".join(names),
        "start": f"{start:.3f}",
        "end": f"{end:.3f}",
        "window": f"{max(1, math.ceil(end - start))}s",
    }


def _several(found: list[Series], sent: str) -> str:
    labels = "; ".join(_labels(series) for series in found[:_SERIES_SHOWN])
    more = f"; and {len(found) - _SERIES_SHOWN} more" if len(found) > _SERIES_SHOWN else ""
    count = f"{len(found)} values, or more," if len(found) >= ANSWER_SERIES.value else f"{len(found)} values"
    return (
        f"the expression gave {count} where one is needed, so aggregate them (max, avg, sum):"
        f" {clean(sent, _SENT_LENGTH)} ({labels}{more})"
    )


def _refusal(error: Exception, sent: str) -> str:
    return f"{error}; the expression as it was sent: {clean(sent, _SENT_LENGTH)}"


def _labels(series: Series) -> str:
    inner = ", ".join(f'{key}="{value}"' for key, value in sorted(series.labels.items()))
    return f"{{{clean(inner, _LABELS_LENGTH)}}} = {series.value:g}"
