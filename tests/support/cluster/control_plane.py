"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes of this machine."""

from __future__ import annotations

import json
import signal
import ssl
import urllib.request
from pathlib import Path
from typing import Any

import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from support.cluster import processes
from support.cluster.access import Access, write_kubeconfig
from support.wait import until

ADMIN_TOKEN = "admin"
NODE_TOKEN = "node"
NODE = "node1"
_READY_SECONDS = 300
# Every write is counted by who made it; how long each request took is there too.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "None", "users": ["system:apiserver"]}, {"level": "Metadata"}],
}


class ControlPlane(Access):
    """A control plane that keeps everything in one folder.

    Args:
        folder: Where its data, logs and kubeconfig are.
        address: The address the API server listens on.
        services: The range of Service addresses, as a prefix of three numbers.
    """

    def __init__(self, folder: Path, address: str = "127.0.0.1", services: str = "10.245.0") -> None:
        super().__init__(folder / "kubeconfig")
        self.folder = folder
        self.address = address
        self.services = services
        self.audit_log = folder / "audit.jsonl"

    def up(self) -> None:
        """Start it; returns when it answers and its controllers work.

        Raises:
            ClusterError: A part did not come up; the message names its log.
        """
        programs = self.programs.programs()
        self.folder.mkdir(parents=True, exist_ok=True)
        ports = self._ports()
        self._credentials(ports["api"])
        etcd = f"http://127.0.0.1:{ports['etcd']}"
        peer = f"http://127.0.0.1:{ports['peer']}"
        processes.start(
            "etcd",
            [
                programs / "etcd", "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=warn",
                f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
                "--quota-backend-bytes=8589934592", "--auto-compaction-retention=5m",
            ],
            self.folder,
        )  # fmt: skip
        self.start_api_server()
        processes.start(
            "kube-controller-manager",
            [
                programs / "kube-controller-manager", f"--kubeconfig={self.kubeconfig}",
                "--service-account-private-key-file=sa.key", "--root-ca-file=ca.crt",
                "--use-service-account-credentials=true", "--leader-elect=false", "--controllers=*,-nodeipam",
                "--bind-address=127.0.0.1", f"--secure-port={ports['kcm']}",
                # The stock 20 requests a second stop any system that makes Jobs at 3.5 of them a second.
                "--kube-api-qps=5000", "--kube-api-burst=10000", "--concurrent-job-syncs=50",
                "--concurrent-gc-syncs=50", "--terminated-pod-gc-threshold=12500",
            ],
            self.folder,
        )  # fmt: skip
        processes.start(
            "kube-scheduler",
            [
                programs / "kube-scheduler", "--config=scheduler.yaml", "--bind-address=127.0.0.1",
                f"--secure-port={ports['scheduler']}",
            ],
            self.folder,
        )  # fmt: skip
        self._wait("the controller-manager", lambda: self._get("/api/v1/namespaces/default/serviceaccounts/default"))

    def start_api_server(self) -> None:
        """Start the API server alone: after `up`, for one that was ended on purpose."""
        ports = self._ports()
        processes.start(
            "kube-apiserver",
            [
                self.programs.folder / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{ports['etcd']}",
                f"--bind-address={self.address}", f"--secure-port={ports['api']}",
                *([] if self.address.startswith("127.") else [f"--advertise-address={self.address}"]),
                "--tls-cert-file=apiserver.crt", "--tls-private-key-file=apiserver.key", "--client-ca-file=ca.crt",
                "--kubelet-certificate-authority=ca.crt", "--kubelet-client-certificate=apiserver.crt",
                "--kubelet-client-key=apiserver.key", "--kubelet-preferred-address-types=InternalIP",
                "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=sa.pub",
                "--service-account-signing-key-file=sa.key", "--token-auth-file=tokens.csv",
                "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
                f"--service-cluster-ip-range={self.services}.0/24", "--allow-privileged=true",
                "--audit-policy-file=audit-policy.yaml", f"--audit-log-path={self.audit_log}",
                "--audit-log-maxsize=2000", "--audit-log-mode=batch", "--audit-log-batch-max-wait=1s",
                "--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000",
            ],
            self.folder,
        )  # fmt: skip
        self._wait("the API server", lambda: self._get("/readyz"))

    def stop_api_server(self) -> None:
        """End the API server alone, at once."""
        processes.end(self.folder / "kube-apiserver.pid", [signal.SIGKILL])

    def down(self) -> None:
        """End every process of it, at once: nobody will read what they would still write."""
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"):
            processes.end(self.folder / f"{name}.pid", [signal.SIGKILL])

    @property
    def url(self) -> str:
        """The API server's URL."""
        return f"https://{self.address}:{self._ports()['api']}"

    # --- parts -----------------------------------------------------------------------------------------------------

    def _ports(self) -> dict[str, int]:
        kept = self.folder / "ports.json"
        if not kept.exists():
            names = ("api", "etcd", "peer", "kcm", "scheduler", "kwok")
            kept.write_text(json.dumps({name: processes.free_port() for name in names}))
        found: dict[str, int] = json.loads(kept.read_text())
        return found

    def _credentials(self, port: int) -> None:
        if (self.folder / "ca.crt").exists():
            return
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.folder / "ca.crt"))
        names = (
            self.address, "127.0.0.1", f"{self.services}.1", "localhost", "kubernetes", "kubernetes.default",
            "kubernetes.default.svc",
        )  # fmt: skip
        # The API server shows the same certificate to the kubelet, which lets system:masters do everything.
        self._certificate(authority, "apiserver", *names, organization="system:masters")
        self._certificate(authority, "kubelet", NODE, str(self.node_address))
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        (self.folder / "sa.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        (self.folder / "sa.pub").write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        (self.folder / "tokens.csv").write_text(
            f'{ADMIN_TOKEN},admin,admin,"system:masters"\n{NODE_TOKEN},system:node:{NODE},{NODE},"system:nodes"\n'
        )
        (self.folder / "audit-policy.yaml").write_text(yaml.safe_dump(_AUDIT_POLICY))
        where = {"server": self.url, "certificate-authority": str(self.folder / "ca.crt")}
        write_kubeconfig(self.kubeconfig, where, ADMIN_TOKEN)
        write_kubeconfig(self.folder / "kubelet.kubeconfig", where, NODE_TOKEN)
        (self.folder / "scheduler.yaml").write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "kubescheduler.config.k8s.io/v1",
                    "kind": "KubeSchedulerConfiguration",
                    "leaderElection": {"leaderElect": False},
                    "clientConnection": {"kubeconfig": str(self.kubeconfig), "qps": 5000, "burst": 10000},
                }
            )
        )

    @property
    def node_address(self) -> str:
        """Where the real node is, if there is one: the other end of the pair of interfaces."""
        prefix, last = self.address.rsplit(".", 1)
        return f"{prefix}.{int(last) + 1}"

    def _certificate(self, authority: trustme.CA, name: str, *names: str, organization: str | None = None) -> None:
        made = authority.issue_cert(*names, common_name=name, organization_name=organization)
        made.cert_chain_pems[0].write_to_path(str(self.folder / f"{name}.crt"))
        made.private_key_pem.write_to_path(str(self.folder / f"{name}.key"))
        (self.folder / f"{name}.key").chmod(0o600)

    def _get(self, path: str) -> bool:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        context = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        return processes.answers(request, context)

    def _wait(self, what: str, answers: Any) -> None:
        try:
            until(answers, _READY_SECONDS, what=what, error=processes.ClusterError)
        except processes.ClusterError as error:
            raise processes.ClusterError(f"{error}: see {self.folder}/*.log") from None
