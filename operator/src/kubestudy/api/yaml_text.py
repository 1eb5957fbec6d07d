"""From a YAML or JSON text to data, with the line and column of what is no YAML.

YAML is read as Kubernetes' own tools read it: `1e-4` is a number and `1:30` a text (PyYAML has both otherwise), dates
are texts, a key that stands twice is an error, and a document may not unfold to more than a manifest can hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from kubestudy.api.limits import MANIFEST_BYTES, MANIFEST_DEPTH, MANIFEST_NODES
from kubestudy.api.problems import ManifestError, Problem

_BARE_BOOLEANS = frozenset("yYnN")

_PREFIX = "tag:yaml.org,2002:"
_INT = re.compile(r"^([-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*))$")
_FLOAT = re.compile(
    r"^([-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+"
    r"|\.(inf|Inf|INF))|\.(nan|NaN|NAN))$"
)
_RESOLVERS = (("int", _INT, "-+0123456789"), ("float", _FLOAT, "-+.0123456789"))


# PyYAML's safe loader in Python: its C twin names no column for some faults, and a manifest is short.
class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with JSON's numbers, and with a place for every fault."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a node; whatever its constructor stumbles over is a fault at the node's place."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, KeyError, AttributeError, IndexError, TypeError, OverflowError) as error:
            kind = node.tag.removeprefix(_PREFIX)
            raise yaml.MarkedYAMLError(None, None, f"this is no {kind}", node.start_mark) from error


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag.removeprefix(_PREFIX) in ("null", "bool", "merge")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(_PREFIX + _kind, _pattern, list(_first))


def documents(text: str, source: str) -> list[Any]:
    """Read every document of a YAML or JSON text.

    Args:
        text: The text.
        source: What errors call it: the file's name.

    Raises:
        ManifestError: It is no YAML; the sentence names line and column.
    """
    if len(text.encode()) > MANIFEST_BYTES.value:
        most = f"{MANIFEST_BYTES.value // 1024} KiB"
        raise ManifestError(source, [Problem("", f"is larger than a manifest can be ({most})")])
    try:
        found = _read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ManifestError(source, [Problem("", f"{where}{error.problem or error.context}")]) from error
    except yaml.reader.ReaderError as error:
        lines = text[: error.position].split("\n")
        where = f"line {len(lines)}, column {len(lines[-1]) + 1}"
        raise ManifestError(source, [Problem("", f"{where}: a character that YAML does not allow")]) from error
    except RecursionError as error:
        raise ManifestError(source, [Problem("", "is nested too deeply")]) from error
    if any(too_deep(document) for document in found):
        raise ManifestError(source, [Problem("", f"is nested too deeply: {MANIFEST_DEPTH.value} levels at most")])
    if "\\" in text and not _is_text(found):
        raise ManifestError(source, [Problem("", "holds half of a character: \\ud800 to \\udfff come in pairs")])
    return [document for document in found if document is not None]


def _is_text(data: Any) -> bool:
    """Tell whether UTF-8 can hold data: an escape in quotes can stand for half of a character."""
    try:
        json.dumps(data, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(text: str) -> list[Any]:
    if text.lstrip().startswith("{"):
        try:
            return [json.loads(text, object_pairs_hook=_distinct)]
        except ValueError:
            pass  # no JSON: YAML's flow style looks alike, and its reader names the place of a fault
    for node in yaml.compose_all(text, _Loader):
        if node is not None:
            _check(node)
    return list(yaml.load_all(text, _Loader))  # a SafeLoader


def bare_words(text: str) -> list[str]:
    """Return warnings of words that are texts here and booleans to kubectl, whose YAML is older: a bare y or n."""
    found = []
    for token in yaml.scan(text, _Loader):
        if isinstance(token, yaml.ScalarToken) and token.plain and token.value in _BARE_BOOLEANS:
            line = token.start_mark.line + 1
            found.append(f'line {line}: kubectl takes a bare {token.value} for a boolean: write "{token.value}"')
    return found


def worded_booleans(text: str) -> list[str]:
    """Return warnings of choices that are words and are read as booleans: yes, no, on, off without quotes."""
    found = []
    for root in yaml.compose_all(text, _Loader):
        for node in _listed(root):
            if node.tag == f"{_PREFIX}bool" and node.value.lower() not in ("true", "false"):
                what = node.value.lower() in ("yes", "on")
                said = f"a bare {node.value} is the boolean {str(what).lower()}, and reaches the program so"
                found.append(f'line {node.start_mark.line + 1}: {said}: write "{node.value}" for the word')
    return found


def _listed(root: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    """Go through the scalars in lists of `choices`, and in those of `when`."""
    todo, seen = [(root, False)], set[int]()
    while todo:
        node, wanted = todo.pop()
        if isinstance(node, yaml.ScalarNode) and wanted:
            yield node
        elif isinstance(node, yaml.CollectionNode) and id(node) not in seen:
            seen.add(id(node))
            if isinstance(node, yaml.MappingNode):
                todo += [(value, wanted or key.value in ("choices", "when")) for key, value in reversed(node.value)]
            else:
                todo += [(item, wanted) for item in reversed(node.value)]


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _check(root: yaml.Node) -> None:
    """Refuse keys that stand twice, and aliases that unfold to a huge or endless document (a "YAML bomb")."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in open_nodes:
            raise yaml.MarkedYAMLError(None, None, "an alias stands for a part of itself", node.start_mark)
        if id(node) not in sizes:
            open_nodes.add(id(node))
            total = 1
            if isinstance(node, yaml.MappingNode):
                _check_keys(node)
                total += sum(size(key) + size(value) for key, value in node.value)
            elif isinstance(node, yaml.SequenceNode):
                total += sum(size(item) for item in node.value)
            if total > MANIFEST_NODES.value:
                raise yaml.MarkedYAMLError(None, None, "unfolds to too much for a manifest", node.start_mark)
            open_nodes.discard(id(node))
            sizes[id(node)] = total
        return sizes[id(node)]

    size(root)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(None, None, "a list or mapping cannot be a key", key.start_mark)
        if key.tag == f"{_PREFIX}merge":
            continue
        if (key.tag, key.value) in seen:
            raise yaml.MarkedYAMLError(None, None, f"the key {key.value!r} stands here twice", key.start_mark)
        seen.add((key.tag, key.value))


def too_deep(document: Any) -> bool:
    """Tell whether data are nested deeper than a manifest may be; what walks them could run out of stack."""
    level = [document]
    for _ in range(MANIFEST_DEPTH.value):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
