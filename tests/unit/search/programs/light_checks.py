"""Checks manifests, and looks at what was imported for it."""

import sys

from kubestudy.api.validation import validate
from kubestudy.search.search_checks import search_problems
from support.manifests import LAYERS, manifest

for spec in (
    {},
    {"sampler": {"name": "random", "seed": 1}, "pruner": {"name": "hyperband"}},
    {"sampler": {"name": "grid"}, "parameters": [LAYERS], "budget": {}},
):
    assert validate(manifest(**spec), search_problems)[1] == [], spec
assert validate(manifest(sampler={"name": "grid"}), search_problems)[1] != []
heavy = {"optuna", "numpy", "sqlalchemy", "plotly", "tqdm"} & sys.modules.keys()
assert not heavy, heavy
assert validate(manifest(pruner={"name": "percentile"}), search_problems)[1] != []
assert "optuna" in sys.modules
