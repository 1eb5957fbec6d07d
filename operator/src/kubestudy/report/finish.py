"""What every plot gets before it is put into the page: the page's look, and labels that are plain text."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io

HEIGHT = 420
_FONT = {"family": "system-ui, sans-serif", "size": 13, "color": "#1d2733"}
# Plotly reads labels as a small HTML; these tags are Optuna's own, all others come from names and choices.
_OWN_TAGS = ("<br>", "<extra>", "</extra>")
_CONFIG = {"displaylogo": False, "responsive": True}


def dress(figure: go.Figure, height: int = HEIGHT) -> go.Figure:
    """Give a plot the page's look; its title goes, since the page has a heading over it."""
    figure.update_layout(
        template="plotly_white",
        title=None,
        font=_FONT,
        autosize=True,
        width=None,
        height=height,
        margin={"l": 70, "r": 30, "t": 24, "b": 56},
    )
    figure.update_xaxes(automargin=True, exponentformat="power")
    figure.update_yaxes(automargin=True, exponentformat="power")
    return figure


def legend_above(figure: go.Figure) -> go.Figure:
    """Put a plot's legend over it, where it takes no width."""
    return figure.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"})


def as_html(figure: go.Figure) -> str:
    """Write a plot as a piece of HTML that needs plotly.js beside it. No label in it is read as HTML."""
    plain = _plain(figure.to_plotly_json())
    html: str = plotly.io.to_html(plain, _CONFIG, include_plotlyjs=False, full_html=False, validate=False)
    return html


def _plain(part: Any) -> Any:
    match part:
        case dict():
            return {key: _plain(value) for key, value in part.items()}
        case list() | tuple():
            return [_plain(value) for value in part]
        case np.ndarray() if part.dtype == object:
            return [_plain(value) for value in part.tolist()]
        case str() if "<" in part or "&" in part:
            text = part.replace("&", "&amp;").replace("<", "&lt;")
            for tag in _OWN_TAGS:
                text = text.replace(tag.replace("<", "&lt;"), tag)
            return text
    return part
