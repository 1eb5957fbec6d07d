"""`make cluster` and `make cluster-down`: `python -m support.cluster up | down`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from support.cluster.cluster import ROOT, Cluster
from support.cluster.deployed import import_images, make_volume
from support.cluster.node import why_not_here


def main() -> None:
    """Start a cluster and leave it running, ready for `kubectl apply -k operator/deploy`; or end it."""
    folder = ROOT / ".cluster"
    cluster = Cluster(folder)
    if sys.argv[1:] == ["down"]:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)
        return
    programs = cluster.access.programs.programs()
    cluster.up()
    if cluster.node is not None:
        import_images(cluster)
        volume = folder / "volume"
        volume.mkdir(exist_ok=True)
        volume.chmod(0o777)
        make_volume(cluster, volume)
    else:
        print(f"no real node, only simulated ones: {why_not_here()}", file=sys.stderr)
    print(f"export KUBECONFIG={cluster.access.kubeconfig} PATH={programs}:{Path(sys.executable).parent}:$PATH")


if __name__ == "__main__":
    main()
