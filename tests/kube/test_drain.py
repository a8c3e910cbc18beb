"""What the Eviction API's answers mean."""

from __future__ import annotations

import pytest

from agent.kube import drain, paths
from agent.kube.api import KubeApi
from agent.kube.errors import Retryable
from agent.model.actions import Target
from tests.kube.apihttp import Json
from tests.kube.apiserver import ApiServer, status

PATH = paths.pods("default", "web")
BUDGET = {"causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods"}]}


@pytest.fixture
def pod(server: ApiServer) -> Target:
    return Target("web", server.put(PATH, {})["metadata"]["uid"], namespace="default")


def test_an_evicted_pod_is_done(api: KubeApi, server: ApiServer, pod: Target) -> None:
    assert drain.evict(api, pod) == drain.EvictionAnswer(done=True, outcome="evicted")
    assert server.calls[-1].path == "/api/v1/namespaces/default/pods/web/eviction"
    assert server.calls[-1].body == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"namespace": "default", "name": "web"},
        "deleteOptions": {"preconditions": {"uid": pod.uid}},
    }


def test_a_pod_that_is_gone_is_done(api: KubeApi, server: ApiServer, pod: Target) -> None:
    server.remove(PATH)
    assert drain.evict(api, pod) == drain.EvictionAnswer(done=True, outcome="gone")


def test_another_pod_of_the_same_name_is_left_alone(api: KubeApi, server: ApiServer, pod: Target) -> None:
    server.remove(PATH)
    server.put(PATH, {})
    assert drain.evict(api, pod) == drain.EvictionAnswer(done=True, outcome="gone")
    assert server.stored(PATH) is not None


def refused(server: ApiServer, code: int, reason: str, message: str, details: Json | None = None) -> None:
    server.evictions.append((code, status(code, reason, message, details=details)))


def test_a_budget_is_named_and_asked_again(api: KubeApi, server: ApiServer, pod: Target) -> None:
    refused(server, 429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.", BUDGET)
    assert drain.evict(api, pod) == drain.EvictionAnswer(
        done=False,
        message="Cannot evict pod as it would violate the pod's disruption budget. "
        "The disruption budget web needs 2 healthy pods",
        retry_after_seconds=drain.BUDGET_RETRY_SECONDS,
        outcome="blocked",
    )


def test_a_budget_that_is_still_counted_says_when(api: KubeApi, server: ApiServer, pod: Target) -> None:
    refused(server, 429, "TooManyRequests", "Cannot evict pod.", BUDGET | {"retryAfterSeconds": 10})
    assert drain.evict(api, pod).retry_after_seconds == 10.0


def test_throttling_is_not_taken_for_a_budget(api: KubeApi, server: ApiServer, pod: Target) -> None:
    refused(server, 429, "TooManyRequests", "too many requests, please try again later", {"retryAfterSeconds": 1})
    answer = drain.evict(api, pod)
    assert (answer.done, answer.outcome, answer.retry_after_seconds) == (False, "throttled", 1.0)


def test_two_budgets_on_one_pod_are_reported_and_not_hammered(api: KubeApi, server: ApiServer, pod: Target) -> None:
    text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    refused(server, 500, "InternalError", text)
    answer = drain.evict(api, pod)
    assert (answer.done, answer.outcome) == (False, "several-budgets")
    assert answer.retry_after_seconds == drain.SLOW_RETRY_SECONDS


def test_a_refusal_is_reported_and_tried_slowly(api: KubeApi, server: ApiServer, pod: Target) -> None:
    refused(server, 403, "Forbidden", "namespace default is being terminated")
    answer = drain.evict(api, pod)
    assert (answer.done, answer.outcome) == (False, "denied")
    assert answer.message == "may not be evicted: namespace default is being terminated"


def test_a_server_error_is_no_answer(api: KubeApi, server: ApiServer, pod: Target) -> None:
    refused(server, 500, "InternalError", "etcdserver: request timed out")
    with pytest.raises(Retryable, match="request timed out"):
        drain.evict(api, pod)
