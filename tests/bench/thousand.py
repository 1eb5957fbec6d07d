"""1,000 studies at once on simulated nodes: 900 that do nothing (suspended, or waiting for a node), 100 that run.

The soak's harness without hostile tenants and faults: what the operator holds and how late it is.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from soak.report import as_text
from soak.run import Options, soak
from soak.verdict import Bounds

# Looking costs the operator time too: its /metrics of a thousand studies take a thread a quarter of a second.
_OPTIONS = Options(seconds=300, studies=1000, tenants=20, idle=900, every=0, prometheus=False, beset=False, sample=5.0)
_BOUNDS = Bounds(memory=500.0)


def main() -> None:
    """Run it."""
    with tempfile.TemporaryDirectory() as folder:
        phases, wrong = soak(Path(folder), _OPTIONS, _BOUNDS, lambda text: print(f" {text}", flush=True))
    print(as_text(phases, wrong))
