"""Expressions confined to a namespace: what is added, what is refused, and that looking takes no time."""

from __future__ import annotations

import time

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.metrics.promql import PromqlError, operators_in, problem_in, within_namespace

OURS = 'namespace="team"'


@pytest.mark.parametrize(
    ("text", "confined"),
    [
        ("up", "up{§}"),
        (r"max(foo{pod=~'a\\.b'})", r"max(foo{§,pod=~'a\\.b'})"),
        ("up{}", "up{§,}"),
        ('{"foo"}', '{§,"foo"}'),
        ('foo { a = "b" }', 'foo {§, a = "b" }'),
        ('rate(foo{a="}{"}[5m:1m] offset 5m)', 'rate(foo{§,a="}{"}[5m:1m] offset 5m)'),
        ("sum by (x) (foo)", "sum by (x) (foo{§})"),
        ("SUM(foo) BY (x) AND bar", "SUM(foo{§}) BY (x) AND bar{§}"),
        ('sum(a) / on (b, c) group_left (d) e{f="g"}', 'sum(a{§}) / on (b, c) group_left (d) e{§,f="g"}'),
        ("quantile(0.5, foo) > bool 1e-5 + Inf", "quantile(0.5, foo{§}) > bool 1e-5 + Inf"),
        ("foo @ 160.250 - -100.000 ^ 2", "foo{§} @ 160.250 - -100.000 ^ 2"),
        ("foo @ end() offset -5m", "foo{§} @ end() offset -5m"),
        ("topk by (a) (3, foo:bar:sum)", "topk by (a) (3, foo:bar:sum{§})"),
        ('label_replace(foo, "a", "$1", "b", "(.*)")', 'label_replace(foo{§}, "a", "$1", "b", "(.*)")'),
        ("vector(1) + time() - 0x1F", "vector(1) + time() - 0x1F"),
        ('foo # of one trial\n/ bar{a="#"}', 'foo{§}  \n/ bar{§,a="#"}'),
        ("sum", "sum{§}"),
        (f"foo{{{OURS}}}", f"foo{{§,{OURS}}}"),
        ('foo{namespace=~"t.*"}', 'foo{§,namespace=~"t.*"}'),
    ],
)
def test_every_selector_gets_the_namespace_and_all_else_stays(text: str, confined: str) -> None:
    assert within_namespace(text, "team") == confined.replace("§", OURS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{__name__=~".+"}', "names no metric"),
        ('foo + {a="b"}', "names no metric"),
        ('foo{namespace="other"}', "names another namespace: only series of team may be read here"),
        ('foo{"namespace"="other"}', "names another namespace"),
        ('foo{a="b" or c="d"}', "selects by alternatives"),
        ("info(foo)", "info() reads series of other namespaces"),
        ("sum(info(foo, {__name__=~'.+'}))", "names no metric"),
        ("by", "write its braces out"),
        ("offset", "write its braces out"),
        ('foo{a="\\d"}', "is not understood"),
        # What one parser takes for a comment or a string, and another one does not.
        ("foo #\r + secret", "characters that belong to no expression"),
        ("foo #\u2028 + secret", None),
        ("foo{a=`\\`} + secret{b=`x`}", "backslash between backquotes"),
        ('foo{a="\n"} + secret{b="\n"}', "no string of one line"),
        ("foo\u00a0+ bar", "characters that belong to no expression"),
        ('foo{a="b', "no string of one line"),
        ("foo +", "is not understood"),
        ("foo offset inf", "is not understood"),  # the parser panics
        ("foo offset NaN", "is not understood"),
        ("x+" * 101 + "x", "more than 100 operators"),
        ("(" * 101 + "x" + ")" * 101, "more than 100 operators"),
        ("-" * 4096 + "x", "more than 100 operators"),
    ],
)
def test_what_cannot_be_confined_is_refused(text: str, said: str | None) -> None:
    if said is None:
        assert within_namespace(text, "team").strip() == f"foo{{{OURS}}}"
        return
    with pytest.raises(PromqlError) as raised:
        within_namespace(text, "team")
    assert said in str(raised.value)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('max(foo{a="b"})', None),
        ("rate(foo[5m] smoothed)", None),  # newer than the parser: Prometheus has the word
        ("foo{namespace='other'}", None),
        ('{__name__=~".+"}', "names no metric, and may read every series there is: write metric{...}"),
        ('max({namespace="team"})', "names no metric"),
        ('{__name__="foo"}', None),
        ("x+" * 101 + "x", "let a recording rule compute a part of it"),
    ],
)
def test_every_selector_names_its_metric(text: str, said: str | None) -> None:
    problem = problem_in(text)
    assert problem is None if said is None else said in str(problem)


def test_what_stands_in_strings_and_comments_is_no_operator() -> None:
    assert operators_in('a{b="+-*/((((", c!="d"} + b # + + + +\n > c') == 3


@pytest.mark.parametrize(
    "text",
    [
        '"\\"' * 20_000, 'x{a="' * 8_000, "by(" * 20_000, "by (" + "by " * 20_000, "x " * 30_000, "x   " * 15_000,
        "#" * 65_000, "`" * 65_001, "[" * 65_000, "-" * 65_000, "{" * 65_000, 'x{' + 'a="b",' * 10_000 + "}",
        "1." * 30_000, 'x{a=~"' + "(" * 30_000 + ")" * 30_000 + '"}', 'x{a=~"' + "(a{1000}){1000}" * 4000 + '"}',
        "x" * 65_000,
    ],
    ids=range(16),
)  # fmt: skip
def test_a_text_of_its_bound_takes_no_time(text: str) -> None:
    began = time.thread_time()
    problem_in(text)
    try:
        within_namespace(text, "team")
    except PromqlError as error:
        assert len(str(error)) < 500
    assert time.thread_time() - began < 3


WORDS = st.sampled_from(
    ["foo", "bar", "sum", "by", "without", "on", "offset", "and", "or", "bool", "rate", "max", "group_left", "info",
     "(", ")", "{", "}", "[", "]", "[5m]", "5m", "1e-5", "+", "-", "==", "@", "start()", ",", "\n", " ", "# c\n", "\r",
     "#", 'a="b"', "a=~'c.*'", '"x"', "'y'", "`z`", "`\\`", '"\\""', "namespace", 'namespace="other"', "=", "!=",
     "__name__", "é", "nan", "-1", "1e300", 'namespace="team"', "{}", "inf", ":"]
)  # fmt: skip


@settings(deadline=None, max_examples=1500)
@given(st.lists(WORDS, max_size=14).map("".join) | st.text(max_size=40))
def test_nothing_that_is_sent_has_a_selector_without_the_namespace(text: str) -> None:
    try:
        sent = within_namespace(text, "team")
    except PromqlError:
        return
    found = []
    promql_parser.walk(
        promql_parser.parse(sent),
        lambda node: found.append(str(node.matchers)) if isinstance(node, promql_parser.VectorSelector) else None,
    )
    assert all(OURS in matchers for matchers in found)
