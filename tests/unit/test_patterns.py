"""No pattern of the code backtracks over what users write: each is tried on hostile texts made of its own parts.

A pattern that tries again at every character takes four times as long for a text twice as long. Texts are grown by 32,
which such a pattern needs 1024 times as long for, and a good one 32 times.
"""

from __future__ import annotations

import ast
import functools
import importlib
import itertools
import pkgutil
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]
from types import ModuleType
from typing import Any

import pytest
from pydantic import BaseModel

import kubestudy
import kubestudy_trainer
from kubestudy.api import base, quantity

_SEARCHES = frozenset({"match", "fullmatch", "search", "findall", "finditer", "sub", "subn", "split"})
_SHORT, _GROWTH = 128, 32
_SUSPICIOUS = _GROWTH * 8
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)


@dataclass(frozen=True)
class Use:
    """A pattern, and a method of it that is called.

    Attributes:
        where: The module, and what it calls the pattern.
        pattern: The pattern.
        method: The method's name.
    """

    where: str
    pattern: re.Pattern[str]
    method: str

    def __str__(self) -> str:
        return f"{self.where} {self.method}"


# --- which patterns there are ----------------------------------------------------------------------------------------


def modules() -> Iterator[ModuleType]:
    for package in (kubestudy, kubestudy_trainer):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


@functools.cache
def tree_of(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text())


def calls(module: ModuleType) -> list[ast.Call]:
    tree = tree_of(module)
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]


def method(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Attribute)
    return call.func.attr


def is_of_re(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name) and call.func.value.id == "re"


def compiled(module: ModuleType) -> dict[str, re.Pattern[str]]:
    """Return the patterns that a module holds: by themselves, or in its tuples and mappings."""
    found: dict[str, re.Pattern[str]] = {}
    for name, value in vars(module).items():
        for i, pattern in enumerate(patterns_in(value)):
            found[f"{name}[{i}]" if i else name] = pattern
    return found


def patterns_in(value: object) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple | list):
        for inner in value:
            yield from patterns_in(inner)
    elif isinstance(value, dict):
        yield from patterns_in(list(value.values()))


def uses() -> list[Use]:
    found = []
    for module in modules():
        called = {method(call) for call in calls(module)} & _SEARCHES
        for name, pattern in compiled(module).items():
            # By what is called in the module, whatever it is called on: never too few.
            found += [Use(f"{module.__name__}.{name}", pattern, method) for method in sorted(called or _SEARCHES)]
        for call in filter(is_of_re, calls(module)):
            if method(call) in _SEARCHES:
                text = ast.literal_eval(call.args[0])  # only what is written out can be tried here
                found.append(Use(f"{module.__name__}:{call.lineno}", re.compile(text), method(call)))
    return list({(use.pattern, use.method): use for use in found}.values())


USES = uses()


# --- hostile texts ---------------------------------------------------------------------------------------------------


def example(parts: Any) -> str:
    """Return a short text that a pattern's parts fit."""
    return "".join(_example(kind, given) for kind, given in parts)


def _example(kind: Any, given: Any) -> str:
    if kind is _constants.LITERAL:
        return chr(given)
    if kind is _constants.NOT_LITERAL:
        return next(c for c in "a0" if ord(c) != given)
    if kind is _constants.ANY:
        return "a"
    if kind is _constants.IN:
        return members(given)[0]
    if kind in _REPEATS:
        least, _, inner = given
        return example(inner) * max(1, least)
    if kind is _constants.SUBPATTERN:
        return example(given[-1])
    if kind is _constants.ATOMIC_GROUP:
        return example(given)
    if kind is _constants.BRANCH:
        return max(map(example, given[1]), key=len)
    return ""  # an anchor, or what is looked at beside the text


def members(given: Any) -> str:
    """Return some characters of a class: all kinds that it names."""
    if given[0][0] is _constants.NEGATE:
        inside = re.compile(f"[{''.join(_written(item) for item in given[1:])}]")
        return "".join(c for c in "a0-./:x_~ é" if not inside.fullmatch(c)) or "\x01"
    return "".join(_first(kind, item) for kind, item in given)


def _written(item: tuple[Any, Any]) -> str:
    kind, given = item
    if kind is _constants.LITERAL:
        return re.escape(chr(given))
    if kind is _constants.RANGE:
        return f"{re.escape(chr(given[0]))}-{re.escape(chr(given[1]))}"
    return {"CATEGORY_SPACE": r"\s", "CATEGORY_DIGIT": r"\d", "CATEGORY_WORD": r"\w"}[str(given)]


def _first(kind: Any, given: Any) -> str:
    if kind is _constants.LITERAL:
        return chr(given)
    if kind is _constants.RANGE:
        return chr(given[0]) + chr(given[1])
    return {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "0", "CATEGORY_NOT_SPACE": "a"}.get(str(given), "a")


def pieces(parts: Any) -> Iterator[str]:
    """Go through texts that a part of a pattern fits: each run of neighbours, and what stands in groups and classes."""
    items = list(parts)
    for start, end in itertools.combinations(range(len(items) + 1), 2):
        yield example(items[start:end])
    for kind, given in items:
        if kind is _constants.IN:
            yield from members(given)
        for inner in _inner(kind, given):
            yield from pieces(inner)


def _inner(kind: Any, given: Any) -> Sequence[Any]:
    if kind in _REPEATS:
        return [given[2]]
    if kind is _constants.SUBPATTERN:
        return [given[-1]]
    if kind is _constants.ATOMIC_GROUP:
        return [given]
    return list(given[1]) if kind is _constants.BRANCH else []


def hostile(pattern: re.Pattern[str], length: int) -> Iterator[str]:
    """Go through texts of a length, of repeated parts of what fits, with ends that do not."""
    parsed = _parser.parse(pattern.pattern, pattern.flags)
    repeated = list(dict.fromkeys(filter(None, pieces(parsed))))[:40]
    for begin in ("", example(parsed)):
        for piece in repeated:
            body = begin + piece * (length // len(piece))
            for end in ("", "\x00", "\n\x00"):
                yield body[: length - len(end)] + end


# --- how long they take ----------------------------------------------------------------------------------------------


def run(use: Use, text: str) -> Callable[[], object]:
    call: Any = getattr(use.pattern, use.method)
    if use.method in ("sub", "subn"):
        return lambda: call("", text)
    if use.method == "finditer":
        return lambda: list(call(text))
    return lambda: call(text)


def seconds(do: Callable[[], object], rounds: int) -> float:
    """Return the least time that something took of this thread."""
    took = []
    for _ in range(rounds):
        begin = time.thread_time()
        do()
        took.append(time.thread_time() - begin)
    return min(took)


def growth(use: Use, short: str, long: str) -> float:
    """Return how many times as long a text takes that is 32 times as long; a time below 10 µs counts as that."""
    return seconds(run(use, long), 1) / max(seconds(run(use, short), 3), 1e-5)


def worst(use: Use) -> tuple[float, str]:
    """Return by how much the worst text grows, and the text's beginning."""
    pairs = zip(hostile(use.pattern, _SHORT), hostile(use.pattern, _SHORT * _GROWTH), strict=True)
    found = (0.0, "")
    for short, long in pairs:
        grown = growth(use, short, long)
        if grown > _SUSPICIOUS:  # once more: the machine may have been busy
            grown = min(grown, growth(use, short, long))
        found = max(found, (grown, long[:60]))
        if grown > _SUSPICIOUS:
            break
    return found


@pytest.mark.parametrize("use", USES, ids=str)
def test_no_pattern_takes_longer_than_its_text_is_long(use: Use) -> None:
    grown, text = worst(use)
    assert grown < _SUSPICIOUS, (
        f"{use.pattern.pattern!r} takes {grown:.0f} times as long for {_GROWTH} times as much: {text!r}"
    )


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))([eE][+-]?[0-9]{1,3}|[numkMGTPE]|[KMGTPE]i)?", "fullmatch"),
        (r"(://[^:/@\s]*:)\S*@", "sub"),
        (r"([?&][^=\s&]*password=)[^&\s]+", "sub"),
        (r"(^|/)kubestudy[/-]trainer([-:@].*)?$", "search"),
        (r"\s+$", "search"),
    ],
)
def test_patterns_that_try_again_at_every_character_are_found(pattern: str, method: str) -> None:
    grown, _ = worst(Use("here", re.compile(pattern), method))
    assert grown >= _SUSPICIOUS


# --- that there are no others ----------------------------------------------------------------------------------------


def test_every_pattern_is_seen_here() -> None:
    """Count the calls of `re` in the sources: a pattern made inside a function would not be among those tried."""
    for module in modules():
        made = [call for call in calls(module) if is_of_re(call) and method(call) == "compile"]
        inside = {id(call) for function in functions(module) for call in ast.walk(function)}
        for call in made:
            assert id(call) not in inside, f"{module.__name__}:{call.lineno}: compile it at the module's level"
        assert len(made) <= len(compiled(module)), f"{module.__name__} keeps patterns where they are not seen"
        for call in filter(is_of_re, calls(module)):
            assert method(call) in {*_SEARCHES, "compile", "escape"}, f"{module.__name__}:{call.lineno}"


def functions(module: ModuleType) -> Iterator[ast.AST]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield node


def test_re_is_imported_as_re_alone_and_no_other_engine_is_used() -> None:
    for module in modules():
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("re", "regex", "fnmatch") or (
                    (node.module, [name.name for name in node.names]) == ("fnmatch", ["fnmatchcase"])
                ), module.__name__
            elif isinstance(node, ast.Import):
                assert all(name.asname is None for name in node.names if name.name == "re"), module.__name__
                assert not {name.name for name in node.names} & {"regex", "re2"}, module.__name__


def test_patterns_of_fields_are_tried_by_an_engine_without_backtracking() -> None:
    """Pydantic's own engine, in Rust, takes time in proportion to the text."""
    for module in modules():
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BaseModel):
                assert value.model_config.get("regex_engine", "rust-regex") == "rust-regex", value
    assert base.Model.model_config.get("regex_engine") is None
    assert quantity.DURATION_PATTERN
