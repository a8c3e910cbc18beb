"""What the suite needs of a cluster, whichever it is: a way in as anybody, and a way to make it forget."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec
import yaml

from agent.kube.api import KubeApi
from tests.cluster.access import AdminAccess

Json = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Cluster:
    """One API server. `forget` makes it lose its history, as a compaction does."""

    def __init__(self, kubeconfig: Path, forget: Callable[[], None]) -> None:
        self.kubeconfig = kubeconfig
        self.forget = forget
        self.api = KubeApi.from_kubeconfig(str(kubeconfig))
        """The agent's own client, as administrator."""
        url = urlsplit(self.api.server)
        assert url.hostname is not None
        assert url.port is not None
        self._raw = AdminAccess(kubeconfig, url.hostname, url.port)
        self._names = 0

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        bearer: str | None = None,
    ) -> tuple[int, Json]:
        """Status and answer of one request; `bearer` is a token, an empty one nobody's."""
        status, text = self._raw.request(method, path, body, content_type, bearer)
        return status, json.loads(text) if text.startswith("{") else {"text": text}

    def table(self, path: str) -> Json:
        """As kubectl asks for what it prints."""
        accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
        status, text = self._raw.request("GET", path, accept=accept)
        assert status == 200
        found: Json = json.loads(text)
        return found

    def read(self, path: str, **params: str) -> Json:
        found: Json = msgspec.json.decode(self.api.get(path, params))
        return found

    def create(self, path: str, body: object) -> Json:
        found: Json = msgspec.json.decode(self.api.create(path, body))
        return found

    def patch(self, path: str, body: object) -> Json:
        found: Json = msgspec.json.decode(self.api.merge_patch(path, body))
        return found

    def events(self, path: str, seconds: int = 3, **params: str) -> list[Json]:
        """All that a watch of so many seconds tells."""
        watch = self.api.watch(path, params, seconds, seconds + 20.0)
        try:
            return [msgspec.json.decode(line) for line in watch]
        finally:
            watch.close()

    def name(self, stem: str) -> str:
        """One that nobody had before."""
        self._names += 1
        return f"{stem}-{self._names}"

    def serve_our_kinds(self) -> None:
        """Create the agent's CustomResourceDefinitions unless they are there."""
        for file in sorted((ROOT / "agent/crds").glob("*.yaml")):
            crd = yaml.safe_load(file.read_text("utf-8"))
            code, _ = self.call("POST", CRDS, crd)
            assert code in {201, 409}
            path = f"{CRDS}/{crd['metadata']['name']}"
            until(lambda path=path: "Established" in conditions(self.read(path)))  # type: ignore[misc]

    def close(self) -> None:
        self.api.close()


def conditions(obj: Json) -> Mapping[str, Json]:
    """The conditions of a status that are true, by type."""
    listed = obj.get("status", {}).get("conditions") or ()
    return {c["type"]: c for c in listed if c["status"] == "True"}


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for what a controller, or the real server's own cache, brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.05)


def query(path: str, **params: str) -> str:
    return f"{path}?{urlencode(params)}"
