"""Readings in the background of a study's turns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from kubestudy.study.ports import Trouble
from kubestudy.study.readings import Readings
from kubestudy.study.trial import Observed, Sample, TrialPhase

TRIAL = Observed(3, TrialPhase.RUNNING, 0.0)


class Broken:
    """Metrics with a fault of their own, at first."""

    interval = 0.0

    def __init__(self) -> None:
        self.faults = 1

    async def read(self, trials: Sequence[Observed]) -> Mapping[int, Sequence[Sample]]:
        if self.faults:
            self.faults -= 1
            raise OverflowError("cannot convert float \x1b[31m infinity")
        return {3: [Sample("loss", 7, 0.5)]}

    def trouble(self) -> Trouble | None:
        return None


def test_a_reading_that_fails_is_a_trouble_until_one_succeeds_and_never_an_error() -> None:
    async def play() -> None:
        readings = Readings(Broken(), lambda: 0.0)
        readings.begin([TRIAL])
        await asyncio.wait(readings.under_way)
        assert readings.finished({3}, "loss") == []
        trouble = readings.trouble()
        assert trouble is not None
        assert trouble.reason == "InternalError"
        assert "OverflowError: cannot convert float infinity" in trouble.message
        readings.begin([TRIAL])
        await asyncio.wait(readings.under_way)
        assert readings.finished({3}, "loss") == [(3, Sample("loss", 7, 0.5))]
        assert readings.trouble() is None

    asyncio.run(play())
