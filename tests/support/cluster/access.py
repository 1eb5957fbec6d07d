"""A way into a cluster: kubectl as its administrator, and the API server asked without a process.

    python -m support.cluster.access

tells in a sentence why the cluster that KUBECONFIG names cannot be used, and then ends with exit code 2.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes import client, config

from support.cluster import processes
from support.cluster.tools import CONTROL_PLANE, kubernetes

_ANSWER_SECONDS = 60
_FIRST_ANSWER_SECONDS = 5
# Where the API server has what tests ask for again and again, by the name that kubectl takes.
_PATHS = {
    "hps": "/apis/kubestudy.dev/v1alpha1/namespaces/{}/hyperparameterstudies",
    "jobs": "/apis/batch/v1/namespaces/{}/jobs",
    "pods": "/api/v1/namespaces/{}/pods",
    "events": "/api/v1/namespaces/{}/events",
}
_SELECTORS = {"-l": "labelSelector", "--field-selector": "fieldSelector"}


class Access:
    """A way into a cluster, as its administrator.

    Args:
        kubeconfig: Where it is written.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self.programs = kubernetes(*CONTROL_PLANE)
        self._client: client.ApiClient | None = None

    def kubeconfig_for(self, token: str, path: Path, namespace: str = "default") -> Path:
        """Write a kubeconfig of the same cluster for whoever has a token."""
        text = self.kubectl("config", "view", "--minify", "--raw", "--flatten", "-o", "json")
        return write_kubeconfig(path, json.loads(text)["clusters"][0]["cluster"], token, namespace)

    def kubectl(
        self, *arguments: str | Path, stdin: str | None = None, check: bool = True, timeout: float = 120
    ) -> str:
        """Run kubectl as the cluster's administrator; return what it prints.

        Raises:
            ClusterError: It did not succeed, and `check` is set; the message is what it said.
        """
        done = subprocess.run(
            [self.programs.folder / "kubectl", f"--kubeconfig={self.kubeconfig}", *map(str, arguments)],
            input=stdin, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise processes.ClusterError(f"kubectl {' '.join(map(str, arguments))}: {done.stderr.strip()}")
        return done.stdout

    def get(self, *arguments: str, namespace: str = "default") -> Any:
        """Return what `kubectl get ... -o json` prints; None if there is no such object.

        Tests ask again and again until something is true, and a process for each question would take more of the
        machine than what they wait for. So what they ask for most is asked for here; the rest by kubectl.

        Raises:
            ClusterError: There was no answer, or another than the object.
        """
        asked = _path_of(arguments, namespace)
        if asked is None:
            text = self.kubectl("get", *arguments, "-n", namespace, "-o", "json", "--ignore-not-found")
            return json.loads(text) if text.strip() else None
        status, text = self._ask(*asked)
        if status == HTTPStatus.NOT_FOUND:
            return None
        if status != HTTPStatus.OK:
            raise processes.ClusterError(f"{asked[0]}: HTTP {status}: {text[:500]}")
        return json.loads(text)

    def _ask(self, path: str, query: list[tuple[str, str]], seconds: float = _ANSWER_SECONDS) -> tuple[int, str]:
        asking = self._client = self._client or self._new_client()
        verb, url, headers, *_ = asking.param_serialize("GET", path, query_params=query, auth_settings=["BearerToken"])
        try:
            answer = asking.call_api(verb, url, headers, _request_timeout=seconds)
            return answer.status, answer.read().decode()
        except (urllib3.exceptions.HTTPError, client.ApiException) as error:
            raise processes.ClusterError(f"{url}: {getattr(error, 'reason', None) or error}") from error

    def _new_client(self) -> client.ApiClient:
        made: client.ApiClient = config.new_client_from_config(str(self.kubeconfig), persist_config=False)
        return made

    def why_no_answer(self) -> str | None:
        """Say in a sentence why the cluster cannot be used; None if it answers."""
        try:
            self._client = self._new_client()
        except Exception as error:  # whatever can be wrong in a file
            return f"it is no kubeconfig that can be used: {error}"
        try:
            status, text = self._ask("/version", [], _FIRST_ANSWER_SECONDS)
        except processes.ClusterError as error:
            return f"its server does not answer: {error}"
        return None if status == HTTPStatus.OK else f"its server refuses: HTTP {status}: {text[:200]}"


def _path_of(arguments: tuple[str, ...], namespace: str) -> tuple[str, list[tuple[str, str]]] | None:
    """Return path and query of what `kubectl get` would be told to get; None where only kubectl knows."""
    kind, *rest = arguments
    if kind not in _PATHS:
        return None
    path, query = _PATHS[kind].format(namespace), []
    words = iter(rest)
    for word in words:
        flag, _, value = word.partition("=")
        if flag in _SELECTORS:
            query.append((_SELECTORS[flag], value or next(words)))
        elif word.startswith("-"):
            return None
        else:
            path += f"/{word}"
    return path, query


def write_kubeconfig(path: Path, cluster: dict[str, Any], token: str, namespace: str = "default") -> Path:
    """Write a kubeconfig of one cluster and one token."""
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
                "current-context": "c",
            }
        )
    )
    path.chmod(0o600)
    return path


def why_not_the_given_one() -> str | None:
    """Say in a sentence why the cluster that KUBECONFIG names cannot be used; None if it can, or none is named."""
    given = os.environ.get("KUBECONFIG")
    if not given:
        return None
    if Path(given).is_file():
        why = Access(Path(given)).why_no_answer()
    elif os.pathsep in given:
        why = "name one file"
    else:
        why = "there is no such file"
    return why and f"KUBECONFIG is {given}: {why}. Unset it to test on a cluster of its own"


if __name__ == "__main__":
    if told := why_not_the_given_one():
        print(told, file=sys.stderr)
        sys.exit(2)
