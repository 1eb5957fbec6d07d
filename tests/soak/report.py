"""The report of a soak, for people and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from soak.verdict import Phase, figures, greatest_rises, slower, worst_moments

_LATE_SECONDS = 0.5
_LARGE_MIB = 30.0


def as_text(phases: Sequence[Phase], wrong: Sequence[str]) -> str:
    """Return the report as lines."""
    return "\n".join(
        [line for phase in phases for line in _phase(phase)] + list(_comparison(phases)) + list(_end(wrong))
    )


def _phase(phase: Phase) -> Iterator[str]:
    found = figures(phase.samples)
    complete = sum(study.phase == "Complete" for study in phase.studies)
    trials = sum(len(study.told) for study in phase.studies)
    ordered = sum(restart.ordered for restart in phase.restarts)
    asked = len(phase.studies)
    yield f"{phase.name}: {phase.seconds:.0f} s, {complete} of {asked} honest studies complete, {trials} trials"
    yield (
        f"  operator: lag p99 {found.lag * 1000:.0f} ms, longest wait for an answer {found.silence:.1f} s,"
        f" memory {found.memory:.0f} MiB ({found.growth:.2f} times from its second quarter to its last),"
        f" {found.threads} threads, {found.files} descriptors, p99 from an end to the next Job {found.relaunch:g} s;"
        f" {ordered} ends ordered, {len(phase.restarts) - ordered} not"
    )
    if phase.faults:
        yield "  faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(phase.faults.items()))
    if phase.attacks:
        counted = ", ".join(f"{kind} {made}+{refused}" for kind, (made, refused) in sorted(phase.attacks.items()))
        yield f"  hostile objects, created+refused: {counted}"
    for sample, kinds in worst_moments(phase):
        if max(sample.lag, sample.took) > _LATE_SECONDS:
            yield f"  {max(sample.lag, sample.took):.1f} s late during {', '.join(sorted(set(kinds))) or 'nothing'}"
    for rise, kinds in greatest_rises(phase):
        if rise > _LARGE_MIB:
            yield f"  {rise:.0f} MiB more memory within a sample during {', '.join(sorted(set(kinds))) or 'nothing'}"


def _comparison(phases: Sequence[Phase]) -> Iterator[str]:
    if len(phases) < 2:
        return
    ratios = sorted(
        beside / without for without, beside in slower(phases[0].studies, phases[-1].studies).values() if without
    )
    if ratios:
        yield (
            "honest studies beside hostile ones, against the same without:"
            f" median {ratios[len(ratios) // 2]:.2f} times, slowest {ratios[-1]:.2f} times"
        )


def _end(wrong: Sequence[str]) -> Iterator[str]:
    if not wrong:
        yield "all of it holds"
        return
    yield f"{len(wrong)} things do not hold:"
    yield from (f"- {text}" for text in wrong)


def as_data(phases: Sequence[Phase], wrong: Sequence[str]) -> dict[str, Any]:
    """Return the report as data."""
    return {
        "phases": [
            {**asdict(phase), "samples": len(phase.samples), "figures": asdict(figures(phase.samples))}
            for phase in phases
        ],
        "wrong": list(wrong),
    }
