"""A real node: kubelet, containerd and runc in a box of their own, private mount, pid and network namespaces.

On the machine itself there are only: a pair of interfaces `kubeN` (10.240.N.1 here, 10.240.N.2 in the box), routes to
the pods (10.244.N.0/24) and Services (10.245.N.0/24) behind it, a network namespace, a directory `kubestudyN` in each
cgroup hierarchy, and empty mount points. Pods reach those addresses and nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import yaml

from support.cluster import processes
from support.cluster.control_plane import ControlPlane
from support.cluster.tools import CONTAINERD, NODE, kubernetes
from support.wait import until

_READY_SECONDS = 300
_PACKAGES = {
    "runc": "runc", "buildah": "buildah", "mmdebstrap": "mmdebstrap", "nft": "nftables", "ip": "iproute2",
}  # fmt: skip
_CNI = Path("/usr/lib/cni")


def why_not_here() -> str | None:
    """Say in a sentence why there can be no real node on this machine, and what to do instead; None if there can."""
    instead = "set KUBECONFIG to a cluster you have, for instance one of kind"
    if sys.platform != "linux":
        return f"a real node needs Linux: {instead}"
    if os.geteuid() != 0:
        return f"a real node needs root: run as root, or {instead}"
    if _missing() and shutil.which("apt-get") is None:
        return f"a real node needs {', '.join(_missing())}: install them, or {instead}"
    return None


def _missing() -> list[str]:
    found = [package for program, package in _PACKAGES.items() if shutil.which(program) is None]
    return found if _CNI.is_dir() else [*found, "containernetworking-plugins"]


def install_packages() -> None:
    """Install Debian's packages that a node needs, if any is missing."""
    if not (missing := _missing()):
        return
    print(f"installing {', '.join(missing)}", file=sys.stderr, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        subprocess.run(["apt-get", *command], env=environment, check=True, capture_output=True, timeout=600)


class Node:
    """The node of a control plane that listens on 10.240.N.1.

    Args:
        control_plane: Its control plane.
        number: N, 0 to 250: keeps nodes of one machine apart.
    """

    def __init__(self, control_plane: ControlPlane, number: int) -> None:
        self._control_plane = control_plane
        self.number = number
        self.folder = control_plane.folder / "node"

    @staticmethod
    def make_interfaces(number: int) -> None:
        """Make the pair of interfaces, before the control plane, which listens on one of them."""
        Node._remove_interfaces(number)
        for command in (
            f"ip netns add kubestudy{number}",
            f"ip link add kube{number} type veth peer name eth0 netns kubestudy{number}",
            f"ip addr add 10.240.{number}.1/30 dev kube{number}",
            f"ip link set kube{number} up",
            f"ip route add 10.244.{number}.0/24 via 10.240.{number}.2",
            f"ip route add 10.245.{number}.0/24 via 10.240.{number}.2",
        ):
            subprocess.run(command.split(), check=True, capture_output=True, timeout=30)

    @staticmethod
    def _remove_interfaces(number: int) -> None:
        for command in (f"ip link del kube{number}", f"ip netns del kubestudy{number}"):
            subprocess.run(command.split(), check=False, capture_output=True, timeout=30)

    def up(self, images: list[Path]) -> None:
        """Start it; returns when it is ready.

        Args:
            images: Archives of images to import; pause must be among them.

        Raises:
            ClusterError: It did not come up; the message names its logs.
        """
        programs, containerd = kubernetes(*NODE).programs(), CONTAINERD.programs()
        folder = self.folder
        for name in ("kubelet", "log/pods", "log/containers", "cni"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for point in ("/var/lib/kubelet", "/var/log/pods", "/var/log/containers", "/run/containerd"):
            Path(point).mkdir(parents=True, exist_ok=True)
        for file in ("ca.crt", "kubelet.crt", "kubelet.key", "kubeconfig", "kubelet.kubeconfig"):
            shutil.copyfile(self._control_plane.folder / file, folder / file)
        self._write_configuration(containerd)
        self._make_cgroups()
        environment = {
            "D": str(folder),
            "N": str(self.number),
            "PROGRAMS_NODE": str(programs),
            "PROGRAMS_CONTAINERD": str(containerd),
            "KUBECTL": str(self._control_plane.programs.folder / "kubectl"),
            "IMAGES": " ".join(map(str, images)),
        }
        box = Path(__file__).with_name("box.sh")
        command = ["nsenter", f"--net=/run/netns/kubestudy{self.number}", "unshare", "-mpf", "--kill-child",
                   "--mount-proc", "bash", str(box)]  # fmt: skip
        process = processes.start("box", command, folder, environment)

        def ready() -> bool:
            if process.poll() is not None:
                raise processes.ClusterError(f"the node's box ended: see {folder}/*.log")
            return (folder / "ready").exists()

        try:
            until(ready, _READY_SECONDS, what="the node", error=processes.ClusterError)
        except processes.ClusterError as error:
            raise processes.ClusterError(f"{error}: see {folder}/*.log") from None

    def down(self) -> None:
        """End it: with its pid namespace every container and mount goes."""
        processes.end(self.folder / "box.pid", [signal.SIGKILL])
        self._remove_interfaces(self.number)
        for _ in range(20):  # the kernel empties the cgroups a moment later
            groups = [
                *Path("/sys/fs/cgroup").glob(f"*/kubestudy{self.number}"),
                Path(f"/sys/fs/cgroup/kubestudy{self.number}"),
            ]
            groups = [group for group in groups if group.is_dir()]
            if not groups:
                break
            subprocess.run(
                ["find", *map(str, groups), "-depth", "-type", "d", "-exec", "rmdir", "{}", "+"],
                check=False, capture_output=True, timeout=60,
            )  # fmt: skip
            time.sleep(0.3)

    def import_image(self, archive: Path, *names: str) -> None:
        """Import an image's archive into the running node, and give it more names."""
        self._ctr("images", "import", "--local", str(archive))
        for name in names[1:]:
            self._ctr("images", "tag", "--force", names[0], name)

    def _ctr(self, *arguments: str) -> None:
        children = subprocess.run(
            ["pgrep", "-P", (self.folder / "box.pid").read_text().strip()], check=True, capture_output=True, text=True
        ).stdout.split()
        ctr = [str(CONTAINERD.folder / "ctr"), "-a", "/run/containerd/containerd.sock", "-n", "k8s.io"]
        subprocess.run(
            ["nsenter", "-t", children[0], "-m", *ctr, *arguments], check=True, capture_output=True, timeout=600
        )

    def _make_cgroups(self) -> None:
        for procs in Path("/sys/fs/cgroup").glob("*/cgroup.procs"):
            group = procs.parent / f"kubestudy{self.number}"
            group.mkdir(exist_ok=True)
            for file in ("cpuset.cpus", "cpuset.mems"):
                if (procs.parent / file).exists():
                    (group / file).write_text((procs.parent / file).read_text())
        if Path("/sys/fs/cgroup/cgroup.controllers").exists():  # a machine with cgroup v2 only
            Path(f"/sys/fs/cgroup/kubestudy{self.number}").mkdir(exist_ok=True)

    def _write_configuration(self, containerd: Path) -> None:
        folder, number = self.folder, self.number
        (folder / "resolv.conf").write_text("")
        toml = _CONTAINERD_TOML.format(folder=folder, programs=containerd, runc=shutil.which("runc"))
        (folder / "containerd.toml").write_text(toml)
        network = {
            "cniVersion": "1.0.0",
            "name": "box",
            "plugins": [
                {
                    "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True,
                    "ipam": {
                        "type": "host-local", "dataDir": str(folder / "ipam"),
                        "ranges": [[{"subnet": f"10.244.{number}.0/24"}]], "routes": [{"dst": "10.240.0.0/12"}],
                    },
                }
            ],
        }  # fmt: skip
        (folder / "cni" / "10-box.conflist").write_text(json.dumps(network))
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/kubestudy{number}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(folder / "ca.crt")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(folder / "kubelet.crt"),
            "tlsPrivateKeyFile": str(folder / "kubelet.key"),
            "makeIPTablesUtilChains": False,
            "resolvConf": str(folder / "resolv.conf"),
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
            "imageGCHighThresholdPercent": 100,
            "maxPods": 200,
            "kubeAPIQPS": 200,
            "kubeAPIBurst": 400,
            "eventRecordQPS": 100,
            "eventBurst": 200,
        }  # fmt: skip
        (folder / "kubelet.yaml").write_text(yaml.safe_dump(kubelet))


# Root may not lower oom_score_adj everywhere, AppArmor may be off, and network namespaces must not outlive the box.
_CONTAINERD_TOML = """\
version = 4
root = "{folder}/containerd"
state = "/run/containerd"
imports = []
disabled_plugins = ["io.containerd.internal.v1.tracing", "io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.erofs", "io.containerd.snapshotter.v1.blockfile"]
[plugins."io.containerd.metadata.v1.bolt"]
  no_sync = true
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  runtime_path = "{programs}/containerd-shim-runc-v2"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
    BinaryName = "{runc}"
    SystemdCgroup = false
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "{folder}/cni"
  use_internal_loopback = true
"""  # noqa: E501
