"""Writes the chart's README from its values (`make chart`), by helm-docs."""

from __future__ import annotations

import subprocess

from support.cluster.cluster import ROOT
from support.cluster.tools import HELM_DOCS

if __name__ == "__main__":
    subprocess.run(
        [HELM_DOCS.programs() / "helm-docs", f"--chart-search-root={ROOT / 'charts'}"], check=True, timeout=60
    )
