"""The operator's settings: what variables mean, and what is said of those that mean nothing."""

from __future__ import annotations

import pytest

from kubestudy.api.gpus import share_of
from kubestudy.cli.exits import Exit
from kubestudy.cli.operator_command import run_operator
from kubestudy.controller.settings import Settings


def test_shares_of_gpus_that_are_given_go_before_the_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "KUBESTUDY_GPU_RESOURCES", '{"nvidia.com/gpu.shared": 0.25, "example.com/*": 2, "*.nvidia.com": 0}'
    )
    shares = Settings().gpu_shares
    assert [share_of(name, shares) for name in ("nvidia.com/gpu.shared", "example.com/x", "gpu.nvidia.com")] == [
        0.25,
        2,
        0,
    ]
    assert [share_of(name, shares) for name in ("nvidia.com/gpu", "amd.com/gpu", "cpu")] == [1, 1, 0]


def test_none_given_are_the_usual_ones() -> None:
    assert share_of("nvidia.com/mig-1g.10gb", Settings().gpu_shares) == pytest.approx(1 / 7)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("GPU_RESOURCES", "{", "(KUBESTUDY_GPU_RESOURCES): is no JSON"),
        ("GPU_RESOURCES", '{"a/b": -1}', "(KUBESTUDY_GPU_RESOURCES): a/b: Input should be greater than or equal to 0"),
        ("GPU_RESOURCES", '{"a/b": NaN}', "(KUBESTUDY_GPU_RESOURCES): a/b: Input should be"),
        ("GPU_RESOURCES", "[]", "(KUBESTUDY_GPU_RESOURCES): Input should be a valid dictionary"),
        ("PROMETHEUS_HEADERS", "team", "(KUBESTUDY_PROMETHEUS_HEADERS): is no JSON"),
        ("PROMETHEUS_HEADERS", "[" * 100_000, "(KUBESTUDY_PROMETHEUS_HEADERS): is no JSON"),
        ("PROMETHEUS_HEADERS", '{"X Scope": "a"}', "'X Scope' is no name of an HTTP header"),
        ("PROMETHEUS_HEADERS", '{"": "a"}', "'' is no name of an HTTP header"),
        ("PROMETHEUS_HEADERS", '{"A": "b\\r\\nC: d"}', "the value of A is no value of an HTTP header"),
        ("PROMETHEUS_HEADERS", '{"A": "\\ud800"}', "the value of A is no value of an HTTP header"),
        ("PROMETHEUS_HEADERS", '{"A": 1}', "(KUBESTUDY_PROMETHEUS_HEADERS): A: Input should be a valid string"),
        ("HISTORY_PORT", "x", "--history-port (KUBESTUDY_HISTORY_PORT): Input should be a valid integer"),
    ],
)
def test_a_wrong_setting_is_named(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv(f"KUBESTUDY_{name}", value)
    assert run_operator({}) is Exit.INVALID
    assert says in capsys.readouterr().err


def test_headers_that_are_refused_are_not_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBESTUDY_PROMETHEUS_HEADERS", '{"Authorization": "Bearer s3cr3t", "a b": "c"}')
    assert run_operator({}) is Exit.INVALID
    said = capsys.readouterr().err
    assert "'a b' is no name" in said
    assert "s3cr3t" not in said


@pytest.mark.parametrize(
    "url",
    ["http://me:pass/s3cret@prometheus:9090", "http://me:s3cret@:9090", "http://", "http://me:s3cret@prometheus:port",
     "https://p?password=s3cret", "http://p:99999", "http://p/#x", "http://[::1"],
)  # fmt: skip
def test_a_url_that_names_no_server_is_refused_without_its_password(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_operator({"prometheus_url": url}) is Exit.INVALID
    said = capsys.readouterr().err
    assert "is no URL of a server" in " ".join(said.split())
    assert "s3cret" not in said


@pytest.mark.parametrize(
    ("namespaces", "given", "confined"),
    [("", None, False), ("team", None, True), ("team", False, False), ("", True, True)],
)
def test_expressions_are_confined_in_namespaced_mode_unless_it_is_said_otherwise(
    namespaces: str, given: bool | None, confined: bool
) -> None:
    assert Settings(namespaces=namespaces, prometheus_confine=given).confined is confined


def test_an_operator_that_is_told_so_confines_expressions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBESTUDY_PROMETHEUS_CONFINE", "true")
    monkeypatch.setenv("KUBESTUDY_PROMETHEUS_NAMESPACE_PARAMETER", "namespace")
    monkeypatch.setenv("KUBESTUDY_PROMETHEUS_URL", "http://prometheus:9090")
    settings = Settings()
    assert settings.confined
    assert settings.prometheus is not None
    assert settings.prometheus.namespace_parameter == "namespace"
