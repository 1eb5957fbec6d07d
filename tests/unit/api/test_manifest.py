"""Files are read as kubectl reads them; what cannot be read is refused in one sentence, never with a traceback."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kubestudy.api.limits import MANIFEST_BYTES
from kubestudy.api.manifest import documents, load, load_all
from kubestudy.api.problems import ManifestError
from support.manifests import LR, manifest


def read(text: str) -> Any:
    (document,) = documents(text, "study.yaml")
    return document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 0.0001),
        ("1E5", 100000.0),
        ("-1e+3", -1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        (".inf", math.inf),
        ("0x1F", 31),
        ("yes", True),
        ("off", False),
        ("2024-01-31", "2024-01-31"),
        ("1:30", "1:30"),
        ("12:30:45", "12:30:45"),
        ("1:30.5", "1:30.5"),
        ("=", "="),
        ("~", None),
        ('"1e-4"', "1e-4"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_a_value_is_what_kubectl_takes_it_for(text: str, value: Any) -> None:
    read_value = read(f"a: {text}")["a"]
    assert read_value == value
    assert type(read_value) is type(value)


def test_merge_keys_and_aliases_work() -> None:
    text = "base: &a {x: 1}\nh: {k: &b {<<: *a, x: 2}}\nc: {<<: *b, y: 3}\n"
    assert read(text) == {"base": {"x": 1}, "h": {"k": {"x": 2}}, "c": {"x": 2, "y": 3}}


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_read_too(indent: Any) -> None:
    assert read(json.dumps(manifest(), indent=indent)) == manifest()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("a: [1", "line 1, column 6"),
        ("a: 1\nb:\n\t- c", "line 3, column 1"),
        ("a: 1\n  b: 2", "line 2, column 4"),
        ("a: 1\na: 2", "line 2, column 1"),
        ("a: *nobody", "line 1, column 4"),
        ("[a]: 1", "line 1, column 1"),
        ("? !!set {a}\n: 1", "line 1, column 3"),
        ("a: !!python/object:os.system x", "line 1, column 4"),
        ("a: !!bool maybe", "line 1, column 4"),
        ("a: !!timestamp noon", "line 1, column 4"),
        ('a: !!int ""', "line 1, column 4"),
        ("a: !!int x", "line 1, column 4"),
        ("a: !!float x", "line 1, column 4"),
        ("a: " + "9" * 5000, "line 1, column 4"),
        ('a: 1\nb: "x\x07"', "line 2, column 6"),
        ("a: \x00", "line 1, column 4"),
        ("a: &a [*a]", "line 1, column 4"),
    ],
)
def test_what_is_no_yaml_is_refused_with_line_and_column(text: str, where: str) -> None:
    with pytest.raises(ManifestError) as caught:
        documents(text, "study.yaml")
    said = str(caught.value)
    assert where in said
    assert "\n" not in said
    assert said.startswith("study.yaml: ")
    assert len(said) < 300


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (bomb(9), "unfolds to too much"),
        ("[" * 100_000, "nested too deeply"),
        ("- " * 20_000, "nested too deeply"),
        ("{a: " * 50_000, "nested too deeply"),
        ("a: " + "x" * MANIFEST_BYTES.value, "larger than a manifest can be"),
    ],
    ids=["bomb", "brackets", "dashes", "braces", "huge"],
)
def test_a_hostile_file_is_refused(text: str, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        documents(text, "study.yaml")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet="a1:-[]{}&*!<'\"\n #?|>%@~.\t", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        documents(text, "study.yaml")
    except ManifestError as error:
        assert str(error).startswith("study.yaml: ")


def write(folder: Path, *found: Any) -> Path:
    path = folder / "study.yaml"
    path.write_text("---\n".join(yaml.safe_dump(document) for document in found))
    return path


def test_other_kinds_of_objects_in_the_file_are_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, {"kind": "ConfigMap", "apiVersion": "v1"}, manifest())
    assert load(path).metadata.name == "example"


def test_two_studies_in_a_file_are_both_loaded_and_not_run_as_one(tmp_path: Path) -> None:
    path = write(tmp_path, manifest(), manifest())
    assert len(load_all(path)) == 2
    with pytest.raises(ManifestError, match="holds 2 studies"):
        load(path)


def test_each_line_names_the_file_and_the_field(tmp_path: Path) -> None:
    path = write(tmp_path, manifest(parameters=[{**LR, "low": 2}], paralelism=2))
    with pytest.raises(ManifestError) as caught:
        load(path)
    assert str(caught.value).splitlines() == [
        f"{path}: spec.paralelism: there is no such field: did you mean parallelism?",
        f"{path}: spec.parameters[0].low: 2 is not below high (1)",
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no HyperparameterStudy"),
        (b"# only a comment\n", "holds no HyperparameterStudy"),
        (b"kind: \xff\xfe", "is no UTF-8 text"),
        (b"just text", "is no HyperparameterStudy"),
        (b"- a\n- b", "is no HyperparameterStudy"),
        (b"kind: HyperparameterStudi\n", "did you mean HyperparameterStudy"),
    ],
)
def test_a_file_without_a_study_says_so(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=says):
        load(path)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + yaml.safe_dump(manifest()).encode())
    assert load(path).metadata.name == "example"


def test_a_folder_or_nothing_at_all_is_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        load(tmp_path)
    with pytest.raises(ManifestError, match="no such file"):
        load(tmp_path / "absent.yaml")


def test_an_endless_file_is_refused_without_being_read_to_its_end() -> None:
    # Reading it whole would take all memory; a limit on the address space makes that a failure of this test alone.
    import resource
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from kubestudy.api.manifest import load;"
        "from kubestudy.api.problems import ManifestError\n"
        "try: load(Path('/dev/zero'))\nexcept ManifestError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)),
    )
    assert "/dev/zero: " in done.stdout, done.stderr[-300:]


@pytest.mark.parametrize("text", ['a: "\\ud800"', '{"a": "\\ud800"}', '"\\udfff": 1'])
def test_half_a_character_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="holds half of a character"):
        documents(text, "here")
    assert documents('a: "\\U0001F600"', "here") == [{"a": "\U0001f600"}]
