"""`make cluster` and `make cluster-down`: `python -m support.cluster up | down`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from support.cluster import processes
from support.cluster.cluster import ROOT, Cluster
from support.cluster.deployed import import_images, make_volume
from support.cluster.node import why_not_here

FOLDER = ROOT / ".cluster"


def main() -> None:
    """Start a cluster and leave it running, ready for `kubectl apply -k operator/deploy`; or end it."""
    # Set for kubectl's sake, most likely to this very cluster.
    os.environ.pop("KUBECONFIG", None)
    cluster = Cluster(FOLDER)
    running = processes.running(FOLDER / "kube-apiserver.pid")
    if sys.argv[1:] == ["down"]:
        cluster.down()
        shutil.rmtree(FOLDER, ignore_errors=True)
        return
    programs = cluster.access.programs.programs()
    if running:
        print("it runs already; make cluster-down ends it", file=sys.stderr)
    else:
        if any(FOLDER.glob("*.pid")):  # what a restart of the machine, or a kill, left
            cluster.down()
            shutil.rmtree(FOLDER)
            cluster = Cluster(FOLDER)
        _start(cluster)
    cluster.operator_kubeconfig()  # for an operator that is debugged: see CONTRIBUTING.md
    print(f"export KUBECONFIG={cluster.access.kubeconfig} PATH={programs}:{ROOT / '.venv' / 'bin'}:$PATH")


def _start(cluster: Cluster) -> None:
    print("starting a cluster in .cluster", file=sys.stderr, flush=True)
    cluster.up()
    if cluster.node is None:
        print(f"no real node, only simulated ones: {why_not_here()}", file=sys.stderr)
        return
    print("putting both images on its node", file=sys.stderr, flush=True)
    import_images(cluster)
    volume = Path(FOLDER / "volume")
    volume.mkdir(exist_ok=True)
    volume.chmod(0o777)
    make_volume(cluster, volume)


if __name__ == "__main__":
    main()
