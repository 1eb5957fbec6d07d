"""What Grafana would ask Prometheus for: every panel's expressions, variables filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

# Grafana's own: four scrapes, and the time that is shown.
_INTERVALS = {"$__rate_interval": "20s", "$__range": "5m", "$__interval": "5s"}


def panels(folder: Path, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Go through all dashboards of a folder.

    Args:
        folder: Where the JSON files are.
        values: What their variables stand for.

    Yields:
        What a panel is called, and one of its expressions.
    """
    for path in sorted(folder.glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expression = target["expr"]
                for name, value in {**{f"${key}": value for key, value in values.items()}, **_INTERVALS}.items():
                    expression = expression.replace(name, value)
                assert "$" not in expression, f"{path.name}: a variable of {expression} is not known"
                yield f"{path.name}: {panel['title']}", expression
