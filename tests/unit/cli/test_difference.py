"""How the difference between two versions of a manifest reads."""

from __future__ import annotations

from kubestudy.cli.difference import differences


def test_of_two_long_texts_the_part_that_differs_is_shown() -> None:
    script = "x = 1\n" * 100
    ((path, sentence),) = differences(["-c", script + "lr = 1"], ["-c", script + "lr = 2"], "command")
    assert path == "command[1]"
    assert sentence.startswith('was "..') is False
    assert 'lr = 1"' in sentence
    assert 'lr = 2"' in sentence
    assert len(sentence) < 250


def test_lists_of_one_length_are_compared_item_by_item() -> None:
    assert differences(["a", "b"], ["a", "c"], "args") == [("args[1]", 'was "b" and is now "c"')]
    assert differences(["a"], ["a", "c"], "args") == [("args", 'was ["a"] and is now ["a", "c"]')]
