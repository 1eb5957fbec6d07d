"""Which cluster a command is about."""

from __future__ import annotations

from dataclasses import dataclass

# What the manifests of operator/deploy call the operator, and where they have it; the chart's labels differ.
OPERATOR_NAMESPACE = "kubestudy-system"
OPERATOR_NAME = "kubestudy-operator"
OPERATOR_SELECTOR = "app.kubernetes.io/name in (kubestudy, kubestudy-operator)"


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
