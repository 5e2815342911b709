"""Every recorded refusal becomes a sentence that a person can act on."""

from __future__ import annotations

import json

import pytest

from mlconsole.errors import Exit, Problem
from mlconsole.services.kubernetes import problems
from mlconsole.services.kubernetes.problems import ApplyConflict, FieldConflict, Invalid, problem_of
from tests.services.kubernetes import recordings

CASES: list[tuple[str, type[Problem], Exit, list[str]]] = [
    ("apply-conflict", problems.ApplyConflict, Exit.OUTSIDE_FAILED, ["mlconsole owns .spec.replicas", "--force"]),
    (
        "apply-invalid",
        problems.Invalid,
        Exit.WRONG_USE,
        ["Deployment ml-model-deployment", "spec.replicas: Invalid value: -2", "containers[0].image: Required value"],
    ),
    ("apply-unknown-field-strict", problems.Invalid, Exit.WRONG_USE, [".spec.replics does not exist", "spelling"]),
    ("apply-immutable-selector", problems.Invalid, Exit.WRONG_USE, ["spec.selector can't be changed", "delete"]),
    ("get-missing", problems.NotFound, Exit.OUTSIDE_FAILED, ["no ml-model-deploymentx among the deployments.apps"]),
    ("namespace-missing", problems.NotFound, Exit.OUTSIDE_FAILED, ["kubectl create namespace absent"]),
    ("list-resource-version-too-large", problems.ServerFailed, Exit.OUTSIDE_FAILED, ["Too large", "Try again"]),
    ("unauthorized", problems.Unauthorized, Exit.OUTSIDE_FAILED, ["context lab", "Log in again"]),
    (
        "forbidden",
        problems.Forbidden,
        Exit.OUTSIDE_FAILED,
        ["may not list pods in namespace errs", "kubectl auth can-i list pods -n errs"],
    ),
    ("kind-unknown", problems.NotFound, Exit.OUTSIDE_FAILED, ["rollouts of argoproj.io/v1alpha1"]),
    (
        "pod-quota-exceeded",
        problems.QuotaExceeded,
        Exit.OUTSIDE_FAILED,
        ["The quota q is used up: requested: pods=1, used: pods=1, limited: pods=0", "larger quota"],
    ),
    ("bad-json", problems.Invalid, Exit.WRONG_USE, ["error decoding YAML"]),
]


def refusal(name: str) -> Problem:
    entry = recordings.responses()[name]
    body = entry["body"] if isinstance(entry["body"], str) else json.dumps(entry["body"])
    request = entry["request"]
    return problem_of(entry["status"], body.encode(), method=request["method"], path=request["path"], context="lab")


@pytest.mark.parametrize(("name", "kind", "exit_code", "parts"), CASES)
def test_a_recorded_refusal_says_what_is_wrong_and_what_to_do(
    name: str, kind: type[Problem], exit_code: Exit, parts: list[str]
) -> None:
    problem = refusal(name)
    assert type(problem) is kind
    assert problem.exit_code == exit_code
    assert problem.next_step
    for part in parts:
        assert part in str(problem)


def test_a_watch_that_is_too_old_is_told_by_its_status() -> None:
    body = json.dumps(recordings.responses()["watch-too-old"]["body"]["object"]).encode()
    assert isinstance(problem_of(410, body, method="GET", path="/api/v1/pods", context="lab"), problems.Expired)


def test_no_recorded_refusal_is_left_out_of_these_tests() -> None:
    refused = {name for name, entry in recordings.responses().items() if entry["status"] >= 400}
    assert refused == {case[0] for case in CASES}


def test_conflicts_name_each_owner_with_its_fields() -> None:
    problem = problems.conflict_of(
        (
            FieldConflict(manager="hpa", field=".spec.replicas"),
            FieldConflict(manager="kubectl-edit", field=".metadata.labels.a"),
        )
    )
    assert isinstance(problem, ApplyConflict)
    assert "hpa owns .spec.replicas; kubectl-edit owns .metadata.labels.a" in problem.sentence


def test_a_strict_decoding_error_names_the_field() -> None:
    body = json.dumps(
        {"kind": "Status", "code": 400, "message": 'strict decoding error: unknown field "spec.replics"'}
    ).encode()
    problem = problem_of(400, body, method="POST", path="/apis/apps/v1/namespaces/a/deployments", context="lab")
    assert isinstance(problem, Invalid)
    assert problem.fields == ("spec.replics",)


def test_a_busy_server_says_when_to_come_back() -> None:
    body = json.dumps({"kind": "Status", "code": 429, "details": {"retryAfterSeconds": 7}}).encode()
    problem = problem_of(429, body, method="GET", path="/api/v1/pods", context="lab")
    assert isinstance(problem, problems.TooManyRequests)
    assert problem.retry_after == 7


@pytest.mark.parametrize("body", [b"", b"\x1b]0;x\x07<html>", b"[]", b"null", b"\xff\xfe"])
@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 410, 422, 429, 500, 502, 504])
def test_any_body_at_any_status_is_a_problem_without_escapes(code: int, body: bytes) -> None:
    problem = problem_of(code, body, method="GET", path="/api/v1/namespaces/a/pods", context="lab")
    assert "\x1b" not in str(problem)
    assert problem.sentence
