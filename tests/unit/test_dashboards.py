"""The committed dashboards are the generated ones, and each panel can be read by a person."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.scripts import module_at

CHARTS = Path(__file__).parents[2] / "charts"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return module_at(CHARTS / "make_dashboards.py")


def test_the_committed_files_are_the_generated_ones(generator: ModuleType) -> None:
    committed = {path.name: path.read_text() for path in generator.FOLDER.glob("*.json")}
    assert committed == generator.files(), "run make chart and commit what it writes"


@pytest.mark.parametrize("name", ["studies.json", "study.json"])
def test_every_panel_has_a_unit_a_description_and_a_legend_and_a_place_of_its_own(
    generator: ModuleType, name: str
) -> None:
    panels: list[dict[str, Any]] = json.loads(generator.files()[name])["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["description"].endswith((".", "above.")) and panel["title"]
        if panel["type"] != "text":
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert all(target["legendFormat"] or panel["type"] == "table" for target in panel["targets"])
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken
        taken |= cells
    assert len({panel["id"] for panel in panels}) == len(panels)
