"""A part of the report: a heading, plots under it, or the sentence that stands where one would be empty."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import plotly.graph_objects as go


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of plot in the report.

    Attributes:
        title: Its heading.
        caption: How to read it, and what it leaves out.
        figures: The plot, in several parts where one would be too wide; empty where there is none.
        missing: Why there is none.
    """

    title: str
    caption: str
    figures: list[go.Figure] = field(default_factory=list)
    missing: str = ""


def drawn(title: str, caption: str, *draw: Callable[[], go.Figure]) -> Section:
    """Draw; what Optuna cannot draw must not cost the rest of the report."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figures = [one() for one in draw]
    except Exception as error:  # whatever a plot trips over
        return Section(title, caption, missing=f"Optuna could not draw it ({type(error).__name__}: {error})")
    figures = [figure for figure in figures if figure.data]
    return Section(title, caption, figures, "" if figures else "there is too little to draw")
