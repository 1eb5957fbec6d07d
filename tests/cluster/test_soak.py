"""A short soak: every kind of fault and every attack once. `make soak` is the long one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from soak.report import as_text
from soak.run import Options, soak
from soak.verdict import Bounds


@pytest.mark.timeout(900)
def test_hostile_tenants_and_faults_cost_honest_tenants_nothing(tmp_path: Path) -> None:
    if os.environ.get("KUBECONFIG"):
        pytest.skip("KUBECONFIG names a cluster whose control plane is not ours")
    # A cluster of its own: what hostile tenants leave, and the faults, are not for other tests. Those that run beside
    # this one take their time too, in one phase more than in the other.
    options = Options(seconds=80, studies=18, tenants=6, every=1.5, rate=2.0)
    phases, wrong = soak(tmp_path, options, Bounds(allowance=60.0, lag=2.0, silence=10.0))
    assert not wrong, as_text(phases, wrong)
