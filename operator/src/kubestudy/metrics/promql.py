"""PromQL as a study may use it: every selector names its metric, and where it is wanted, the study's namespace.

Source: promql-parser, the grammar of Prometheus 3, https://prometheus.io/docs/prometheus/latest/querying/basics/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser as promql

from kubestudy.api.limits import PROMQL_OPERATORS
from kubestudy.api.text import clean

NAMESPACE_LABEL = "namespace"
_NAME_LABEL = "__name__"
_STRING = r""""(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?|`[^`]*+`?"""
_COMMENT = r"\#[^\r\n]*+"
# Strings and comments, also such as never end; each character is looked at once.
_QUOTED = re.compile(f"{_STRING}|{_COMMENT}", re.DOTALL)
# What makes the tree of an expression deeper: the parser's time grows with the square of it.
_OPERATORS = re.compile(r"[-+*/%^(\[]|[<>]|[=!]=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)
_GAP = r"\s*+"
_TOKEN = re.compile(
    rf"""
    (?P<string>{_STRING})
    | (?P<range>\[[^\]]*+\]?)
    | (?P<labels>\b(?:by|without|on|ignoring|group_left|group_right){_GAP}\([^)]*+\)?)
    | (?P<brace>[{{}}])
    | (?P<number>[0-9.][0-9A-Za-z_.]*+)
    | (?P<word>[A-Za-z_:][A-Za-z0-9_:]*+)(?=(?P<called>{_GAP}[({{])?)(?=(?P<grouped>{_GAP}(?:by|without)\b)?)
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
_ONE_LINE = re.compile(r"[^\x00-\x1f\x7f]*")
_PLAIN = re.compile(r"[\t\n -~]*")
_SHOWN = 200
_KEYWORDS = frozenset({
    "and", "or", "unless", "atan2", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "offset",
    "inf", "nan",
})  # fmt: skip
# It reads series that no selector of the expression names.
_READS_MORE = "info"
_PANIC = "PanicException"


class PromqlError(ValueError):
    """An expression is none that a study may use; the sentence says why."""


def operators_in(text: str) -> int:
    """Count what an expression is made of: operators, calls, parentheses and ranges, not what stands in strings."""
    return len(_OPERATORS.findall(_QUOTED.sub("", text)))


def problem_in(text: str) -> str | None:
    """Return what is wrong with an expression, its variables filled in, if anything.

    An expression that is not understood here may be one of a newer language: whether it is right, the server says.
    """
    try:
        _names_metrics(_selectors(_parsed(text)))
    except _UnknownError:
        return None
    except PromqlError as error:
        return str(error)
    return None


def within_namespace(text: str, namespace: str) -> str:
    """Return an expression that reads the same, and series of one namespace alone.

    Args:
        text: PromQL, its variables filled in.
        namespace: What the label `namespace` of every series has to be.

    Raises:
        PromqlError: It cannot be understood, selects without a metric's name or by alternatives, names another
            namespace, or reads series that no selector names.
    """
    text = _plain(text)
    tree = _parsed(text)
    _names_metrics(_selectors(tree))
    _names_no_other(_selectors(tree), namespace)
    for node in _nodes(tree):
        if isinstance(node, promql.Call) and node.func.name == _READS_MORE:
            raise PromqlError(f"{_READS_MORE}() reads series of other namespaces: use a join (group_left) instead")

    confined = _with_matcher(text, f'{NAMESPACE_LABEL}="{namespace}"')
    # What is sent is read once more: where to add was found by its words, and only the parser knows its selectors.
    for selector in _selectors(_parsed(confined)):
        if not _is_of(selector, namespace):
            raise PromqlError(
                f"{_shown(selector)} cannot be confined to the namespace {namespace}: write its braces out"
            )
    return confined


def _plain(text: str) -> str:
    """Return an expression without comments, and in the few characters that every parser takes for the same.

    Raises:
        PromqlError: It has others.
    """

    def replace(found: re.Match[str]) -> str:
        quoted = found[0]
        if quoted.startswith("#"):
            return " "
        if len(quoted) == 1 or quoted[-1] != quoted[0] or not _ONE_LINE.fullmatch(quoted):
            raise PromqlError(
                f"{clean(quoted, _SHOWN)} is no string of one line: end it, and write \\n for a line break"
            )
        if quoted[0] == "`" and "\\" in quoted:
            raise PromqlError(f"{clean(quoted, _SHOWN)} has a backslash between backquotes: use double quotes")
        return quoted

    plain = _QUOTED.sub(replace, text)
    if not _PLAIN.fullmatch(_QUOTED.sub("", plain)):
        raise PromqlError("outside of strings an expression has characters that belong to no expression")
    return plain


def _with_matcher(text: str, matcher: str) -> str:
    """Add a matcher to whatever looks like a selector, and leave all else as it is written."""
    pieces, at, within = [], 0, False
    for token in _TOKEN.finditer(text):
        brace, word = token["brace"], token["word"]
        if brace is not None:
            within = brace == "{"
            added = f"{matcher}," if within else ""
            end = token.end()
        elif word is not None and not within:
            bare = token["called"] is None and token["grouped"] is None and word.lower() not in _KEYWORDS
            added = f"{{{matcher}}}" if bare else ""
            end = token.end("word")
        else:
            continue
        if added:
            pieces += [text[at:end], added]
            at = end
    return "".join([*pieces, text[at:]])


class _UnknownError(PromqlError):
    """The parser does not understand an expression."""


def _parsed(text: str) -> promql.Expr:
    if operators_in(text) > PROMQL_OPERATORS.value:
        raise PromqlError(
            f"the expression has more than {PROMQL_OPERATORS.value} operators, calls and parentheses:"
            " let a recording rule compute a part of it"
        )
    try:
        return promql.parse(text)
    except BaseException as error:
        # A panic of the parser's (offset inf) is no Exception, and its class cannot be imported.
        if not isinstance(error, ValueError | RecursionError) and type(error).__name__ != _PANIC:
            raise
        raise _UnknownError(f"the expression is not understood (parse error: {clean(str(error), _SHOWN)})") from error


def _nodes(tree: promql.Expr) -> Iterator[Any]:
    left: list[Any] = [tree]
    while left:
        node = left.pop()
        yield node
        for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
            child = getattr(node, name, None)
            if isinstance(child, promql.Expr):
                left.append(child)
        left.extend(argument for argument in getattr(node, "args", ()) if isinstance(argument, promql.Expr))


def _shown(selector: promql.VectorSelector) -> str:
    return clean(str(selector), _SHOWN)


def _selectors(tree: promql.Expr) -> list[promql.VectorSelector]:
    return [node for node in _nodes(tree) if isinstance(node, promql.VectorSelector)]


def _names_metrics(selectors: list[promql.VectorSelector]) -> None:
    for selector in selectors:
        named = selector.name or any(
            matcher.name == _NAME_LABEL and matcher.op == promql.MatchOp.Equal and matcher.value
            for matcher in selector.matchers.matchers
        )
        if not named:
            raise PromqlError(
                f"{_shown(selector)} names no metric, and may read every series there is: write metric{{...}}"
            )


def _names_no_other(selectors: list[promql.VectorSelector], namespace: str) -> None:
    for selector in selectors:
        if selector.matchers.or_matchers:
            raise PromqlError(f"{_shown(selector)} selects by alternatives (or within braces): write two selectors")
        for matcher in selector.matchers.matchers:
            exact = matcher.name == NAMESPACE_LABEL and matcher.op == promql.MatchOp.Equal
            if exact and matcher.value != namespace:
                raise PromqlError(
                    f"{_shown(selector)} names another namespace: only series of {namespace} may be read here"
                )


def _is_of(selector: promql.VectorSelector, namespace: str) -> bool:
    return not selector.matchers.or_matchers and any(
        matcher.name == NAMESPACE_LABEL and matcher.op == promql.MatchOp.Equal and matcher.value == namespace
        for matcher in selector.matchers.matchers
    )
