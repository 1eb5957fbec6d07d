"""Reading manifests: YAML or JSON text to data, with the line and column of what is no YAML.

YAML is read as Kubernetes' own tools read it: `1e-4` is a number (PyYAML alone takes it for a text), a key that
stands twice is an error, and a document may not unfold to more than a manifest can hold.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from kubestudy.api.problems import ManifestError, Problem
from kubestudy.api.study import KIND, HyperparameterStudy
from kubestudy.api.validation import validate

MAX_BYTES = 1024 * 1024  # about what etcd takes for one object
MAX_NODES = 100_000


# PyYAML's SafeLoader: its C twin reports no column for tabs and reads manifests no faster than a person notices.
class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with JSON's numbers and without duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (list, dict)):
                raise yaml.MarkedYAMLError(None, None, "a list or mapping cannot be a key", key_node.start_mark)
            if key in seen:
                raise yaml.MarkedYAMLError(None, None, f"the key {key!r} stands here twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def documents(text: str, source: str) -> list[Any]:
    """Read every document of a YAML or JSON text.

    Args:
        text: The text.
        source: What errors call it: the file's name.

    Raises:
        ManifestError: It is no YAML; the sentence names line and column.
    """
    if len(text.encode()) > MAX_BYTES:
        raise ManifestError(source, [Problem("", f"is larger than a manifest can be ({MAX_BYTES // 1024} KiB)")])
    try:
        nodes = [node for node in yaml.compose_all(text, _Loader) if node is not None]
        for node in nodes:
            _bounded(node)
        found = list(yaml.load_all(text, _Loader))  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = error.problem or error.context or "is no YAML"
        raise ManifestError(source, [Problem("", f"{where}{what}")]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        sentence = "is nested too deeply" if isinstance(error, RecursionError) else f"is no YAML: {error}"
        raise ManifestError(source, [Problem("", sentence)]) from error
    return [document for document in found if document is not None]


def _bounded(root: yaml.Node) -> None:
    """Refuse aliases that unfold to a huge or endless document (a "YAML bomb")."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            raise yaml.MarkedYAMLError(None, None, "an alias stands for a part of itself", node.start_mark)
        if id(node) not in sizes:
            open_nodes.add(id(node))
            total = 1
            if isinstance(node, yaml.MappingNode):
                total += sum(size(key) + size(value) for key, value in node.value)
            elif isinstance(node, yaml.SequenceNode):
                total += sum(size(item) for item in node.value)
            if total > MAX_NODES:
                raise yaml.MarkedYAMLError(None, None, "unfolds to too much for a manifest", node.start_mark)
            open_nodes.discard(id(node))
            sizes[id(node)] = total
        return sizes[id(node)]

    size(root)


def read_text(path: Path) -> str:
    """Read a manifest's file.

    Raises:
        ManifestError: It cannot be read, or is no UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ManifestError(str(path), [Problem("", "there is no such file")]) from error
    except UnicodeDecodeError as error:
        raise ManifestError(str(path), [Problem("", f"is no UTF-8 text (byte {error.start})")]) from error
    except OSError as error:
        raise ManifestError(str(path), [Problem("", f"cannot be read: {error.strerror}")]) from error


def load_all(path: Path) -> list[HyperparameterStudy]:
    """Read and validate every study of a file; documents of other kinds are passed over.

    Raises:
        ManifestError: With every problem of every study in it, or when there is no study in it.
    """
    source = str(path)
    found = documents(read_text(path), source)
    studies = [d for d in found if not (isinstance(d, dict) and d.get("kind") not in (None, KIND) and "kind" in d)]
    if len(found) == 1:
        studies = found  # a misspelt kind gets its own sentence
    if not studies:
        raise ManifestError(source, [Problem("", f"holds no {KIND}")])
    valid, problems = [], []
    for document in studies:
        study, wrong = validate(document)
        problems += wrong
        if study is not None:
            valid.append(study)
    if problems:
        raise ManifestError(source, problems)
    return valid


def load(path: Path) -> HyperparameterStudy:
    """Read and validate the one study of a file.

    Raises:
        ManifestError: There is none or more than one, or it is not valid.
    """
    studies = load_all(path)
    if len(studies) > 1:
        names = ", ".join(study.metadata.name for study in studies)
        raise ManifestError(str(path), [Problem("", f"holds {len(studies)} studies ({names}): run one at a time")])
    return studies[0]
