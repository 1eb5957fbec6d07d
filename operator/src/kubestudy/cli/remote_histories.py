"""`kubectl study history`: `kubestudy history` in the operator's pod, where the storage is.

The operator's port for histories is read-only and has no login, so nothing is purged by it. Who may execute a command
in the operator's pod is an administrator.
"""

from __future__ import annotations

from collections.abc import Sequence

from kubestudy.cli.exits import Exit
from kubestudy.cli.remote import Remote
from kubestudy.cli.remote_acts import become_kubectl, do
from kubestudy.cli.target import Target
from kubestudy.study.ports import StudyError

# As the operator's image has it.
_PROGRAM = "/opt/kubestudy/bin/kubestudy"
_CONTAINER = "operator"


def in_operator(
    arguments: Sequence[str], namespace: str, context: str | None, kubeconfig: str | None, *, ask: bool = False
) -> Exit:
    """Run `kubestudy history` in the pod of the operator that leads.

    Args:
        arguments: What follows `kubestudy history`.
        namespace: The operator's namespace.
        context: The kubeconfig's context.
        kubeconfig: The kubeconfig.
        ask: Whether it is to be able to ask somebody at this terminal.
    """
    target = Target(namespace, context, kubeconfig)
    command = [_PROGRAM, "history", *arguments]
    pods: list[str] = []

    async def act(remote: Remote) -> Exit:
        lease = await remote.lease(namespace)
        if lease is None or lease.holder is None:
            raise StudyError(
                f"no operator is found in namespace {namespace} by its Lease (--operator-namespace names another)."
                f" In a pod of one, this does the same: kubectl exec -it -n {namespace} POD -c {_CONTAINER} --"
                f" {' '.join(command)}"
            )
        pods.append(lease.holder.rpartition("_")[0])
        return Exit.COMPLETED

    code = do(target, act)
    if not pods:
        return code
    terminal = ["-i", "-t"] if ask else []
    return become_kubectl(["exec", *terminal, "-n", namespace, pods[0], "-c", _CONTAINER, "--", *command], target)
