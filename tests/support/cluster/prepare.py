"""Builds every program that the tests use: `python -m support.cluster.prepare`. The first time that takes a while."""

from __future__ import annotations

from support.cluster.node import install_packages, why_not_here
from support.cluster.tools import CONTAINERD, CONTROL_PLANE, HELM, HELM_DOCS, KWOK, NODE, PROMETHEUS, kubernetes


def main() -> None:
    """Build what is missing; nothing is left to be built inside a test, whose time is limited."""
    tools = [kubernetes(*CONTROL_PLANE), KWOK, HELM, HELM_DOCS, PROMETHEUS]
    if why_not_here() is None:
        install_packages()
        tools += [kubernetes(*NODE), CONTAINERD]
    for tool in tools:
        tool.programs()


if __name__ == "__main__":
    main()
