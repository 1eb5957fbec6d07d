"""Which cluster a command is about."""

from __future__ import annotations

from dataclasses import dataclass

# Where the manifests of operator/deploy have the operator, and the chart's instructions.
OPERATOR_NAMESPACE = "kubestudy-system"


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster, and where in it, by kubectl's own options.

    Attributes:
        namespace: The namespace; the context's if left out.
        context: The kubeconfig's context; the current one if left out.
        kubeconfig: The kubeconfig; KUBECONFIG's or ~/.kube/config if left out.
    """

    namespace: str | None = None
    context: str | None = None
    kubeconfig: str | None = None
