"""Whatever is slow to import, a manifest is read and checked without it."""

from __future__ import annotations

import json
import subprocess
import sys

PYDANTIC = {"pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection"}
YAML = {"yaml", "cython_runtime"}
CODE = """
import json, pkgutil, sys
import kubestudy.api
before = set(sys.modules)  # what an installed package does as Python starts is not ours
for module in pkgutil.walk_packages(kubestudy.api.__path__, "kubestudy.api."):
    __import__(module.name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules.keys() - before})))
"""


def test_reading_a_manifest_needs_pydantic_and_yaml_and_nothing_else() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=True)
    found = {name for name in json.loads(done.stdout) if name not in sys.stdlib_module_names}
    assert {name for name in found if not name.startswith("_")} <= {"kubestudy", *PYDANTIC, *YAML}
