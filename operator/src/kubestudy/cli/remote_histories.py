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
    """Run `kubestudy history` in a pod of the operator.

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
        pods.extend(await remote.operator_pods())
        if not pods:
            raise StudyError(
                f"no pod of an operator runs in namespace {namespace} (--operator-namespace names another). In one that"
                f" goes by other labels, this does the same: kubectl exec -it -n {namespace} POD -c {_CONTAINER} --"
                f" {' '.join(command)}"
            )
        return Exit.COMPLETED

    code = do(target, act)
    if not pods:
        return code
    terminal = ["-i", "-t"] if ask else []
    return become_kubectl(["exec", *terminal, "-n", namespace, pods[0], "-c", _CONTAINER, "--", *command], target)
