"""Images, built by buildah from the repository's own Dockerfiles, on a base made of Debian's packages.

No registry of images is needed: the base comes from mmdebstrap, what Python needs from the package index.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.cluster.tools import cache_folder, kubernetes, locked

ROOT = Path(__file__).resolve().parents[3]
# What the manifests and examples call them.
TRAINER = "ghcr.io/kubestudy/trainer:0.1.0"
OPERATOR = "ghcr.io/kubestudy/operator:0.1.0"
_SUITE = "bookworm"
_PACKAGES = "python3,python3-pip,python3-venv,ca-certificates"
_PARTS = {
    "operator/Dockerfile": (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "operator/src",
        "operator/requirements.lock",
        "build-requirements.lock",
    ),
    "trainer-image/Dockerfile": ("trainer-image", "build-requirements.lock"),
}
_PAUSE = 'FROM scratch\nADD pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
_BASE = 'FROM scratch\nADD base.tar /\nRUN ln -sf python3 /usr/bin/python\nCMD ["python3"]\n'


def pause() -> Path:
    """Return the archive of the image that holds a pod together, compiled from Kubernetes' own source."""
    source = kubernetes("kubelet").source("k8s.io/kubernetes") / "build" / "pause" / "linux" / "pause.c"
    key = hashlib.sha256(source.read_bytes() + _PAUSE.encode()).hexdigest()[:12]
    with _once(f"image-pause-{key}") as (folder, archive, done):
        if not done:
            subprocess.run(["gcc", "-Os", "-static", "-s", "-o", "pause", str(source)], cwd=folder, check=True)
            (folder / "Dockerfile").write_text(_PAUSE)
            _build(folder, folder / "Dockerfile", "pause:1", archive)
    return archive


def base() -> Path:
    """Return the archive of the base image: Debian with Python."""
    key = hashlib.sha256((_SUITE + _PACKAGES + _BASE).encode()).hexdigest()[:12]
    with _once(f"image-base-{key}") as (folder, archive, done):
        if not done:
            print("making the base image (once; a minute)", file=sys.stderr, flush=True)
            sources = Path("/etc/apt/sources.list.d/debian.sources")
            subprocess.run(
                [
                    "mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}",
                    '--aptopt=Acquire::Check-Valid-Until "false"', "--dpkgopt=path-exclude=/usr/share/doc/*",
                    "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
                    _SUITE, "base.tar", str(sources if sources.exists() else "/etc/apt/sources.list"),
                ],
                cwd=folder, check=True, timeout=900,
            )  # fmt: skip
            (folder / "Dockerfile").write_text(_BASE)
            _build(folder, folder / "Dockerfile", "base:1", archive)
            (folder / "base.tar").unlink()
    return archive


def image(name: str, dockerfile: str, arguments: Mapping[str, str] | None = None, context: Path = ROOT) -> Path:
    """Build an image from a Dockerfile on the base image.

    Args:
        name: Name and tag: the image is `localhost/NAME`.
        dockerfile: The Dockerfile, relative to the context.
        arguments: Build arguments.
        context: The build's context.

    Returns:
        Its archive.
    """
    base()
    arguments = {"BASE": "localhost/base:1", **(arguments or {})}
    key = hashlib.sha256(repr((name, sorted(arguments.items()))).encode())
    for path in sorted(_sources(context, dockerfile)):
        key.update(str(path.relative_to(context)).encode() + path.read_bytes())
    stem = name.replace("/", "-").replace(":", "-")
    with _once(f"image-{stem}-{key.hexdigest()[:12]}") as (_, archive, done):
        if not done:
            _build(context, context / dockerfile, name, archive, arguments)
    return archive


def _sources(context: Path, dockerfile: str) -> Iterator[Path]:
    """Go through the files that an image is made of, as git knows them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=context, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    tops = (*_PARTS[dockerfile], dockerfile) if context == ROOT else ("",)
    return (context / name for name in listed if name.startswith(tops) and (context / name).is_file())


@contextlib.contextmanager
def _once(name: str) -> Iterator[tuple[Path, Path, bool]]:
    """Lock a folder of the cache; say where the archive belongs, and whether it is there."""
    with locked(cache_folder() / name) as folder:
        archive = folder / "image.tar"
        yield folder, archive, archive.exists()


def _build(
    context: Path, dockerfile: Path, name: str, archive: Path, arguments: Mapping[str, str] | None = None
) -> None:
    store = cache_folder() / "buildah"
    store.mkdir(parents=True, exist_ok=True)
    (store / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    (store / "pip.conf").write_text(_pip_configuration())
    authorities = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    buildah = ["buildah", "--root", str(store / "root"), "--runroot", str(store / "run"), "--storage-driver", "overlay"]
    policy = ["--signature-policy", str(store / "policy.json")]
    # RUN steps use the machine's network, authorities and package index; none of these stay in the image.
    mounts = [
        "-v",
        f"{authorities}:/etc/ssl/certs/ca-certificates.crt:ro",
        "-v",
        f"{store / 'pip.conf'}:/etc/pip.conf:ro",
    ]
    given = [part for key, value in (arguments or {}).items() for part in ("--build-arg", f"{key}={value}")]
    command = [
        *buildah, "bud", *policy, "--isolation", "chroot", "--network", "host", "--pull-never", "--layers=true",
        "--format", "oci", *mounts, *given, "-f", str(dockerfile), "-t", f"localhost/{name}", str(context),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    if done.returncode:
        raise RuntimeError(f"{dockerfile} cannot be built:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    draft = archive.with_suffix(".new")
    draft.unlink(missing_ok=True)
    target = f"docker-archive:{draft}:localhost/{name}"
    subprocess.run([*buildah, "push", "--quiet", *policy, f"localhost/{name}", target], check=True, timeout=600)
    draft.replace(archive)


def _pip_configuration() -> str:
    """Return the machine's own pip settings, as a file for the build."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=False
    ).stdout
    lines = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        name = key.rpartition(".")[2]
        if name not in ("cert", "find-links"):
            lines[name] = value.strip("'\"")
    lines["cert"] = "/etc/ssl/certs/ca-certificates.crt"
    return "\n".join(["[global]", *(f"{name} = {value}" for name, value in lines.items())]) + "\n"
