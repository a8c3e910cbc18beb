"""`joinery install`, ended at each of its writes and begun anew, leaves what an undisturbed one leaves."""

from __future__ import annotations

from functools import cache

import pytest

from agent.cli.install import installation
from agent.kube.errors import KubeError
from agent.kube.install import install
from agent.kube.kinds import Manifest
from agent.model.names import NAMESPACE
from tests.virtual.fibers import Fibers, Killed
from tests.virtual.kubelink import Weather, kube_api
from tests.virtual.kubernetes import Cluster, Json
from tests.virtual.line import Call, Line, Mishap
from tests.virtual.matrix import Moment


@cache
def manifests() -> list[Manifest]:
    return installation(NAMESPACE)


class Unrecorded:
    """Of an installation no history is kept."""

    def before_kube(self, *_: object) -> None:
        return None

    def after_kube(self, *_: object) -> None:
        return None


class Installation:
    """A cluster, and an administrator who installs."""

    def __init__(self) -> None:
        self.fibers = Fibers()
        self.cluster = Cluster(self.fibers)
        self.cluster.watchers.append(self._establish)
        self.cluster.put("/api/v1/namespaces/kube-system", {"metadata": {}})
        self.writes = 0

    def run(self, at: int = 0, moment: Moment | None = None) -> None:
        """Install once, disturbed at one write."""
        line = Line(self.fibers, "install")
        self.writes = 0

        def mishap(call: Call) -> Mishap | None:
            if not call.write:
                return None
            self.writes += 1
            if self.writes != at:
                # Killed after a write is killed before the next one.
                if moment == "after" and self.writes == at + 1:
                    line.kill()
                    raise Killed
                return None
            if moment == "before":
                line.kill()
                raise Killed
            return Mishap("cut" if moment == "cut" else "lost") if moment in {"cut", "lost"} else None

        def go() -> None:
            line.mishap = mishap
            try:
                install(kube_api(self.cluster, line, Weather(), Unrecorded()), manifests())
            except KubeError:
                assert moment is not None

        self.fibers.spawn(go, "install", "install")
        self.fibers.run(self.fibers.now + 600)

    def objects(self) -> dict[str, Json]:
        """Everything that there is, but for versions and times."""
        found = {}
        for collection, held in self.cluster.objects.items():
            for key, body in held.items():
                meta = {k: v for k, v in body["metadata"].items() if k in {"labels", "annotations", "name"}}
                found[f"{collection}/{key}"] = body | {"metadata": meta}
        return found

    def _establish(self, collection: str, kind: str, body: Json) -> None:
        if collection.endswith("customresourcedefinitions") and kind == "ADDED":
            status = {"conditions": [{"type": "Established", "status": "True"}]}
            self.cluster.change(f"/{collection}/{body['metadata']['name']}", {"status": status})


@pytest.mark.parametrize("moment", ["before", "lost", "cut", "after"])
def test_an_installation_that_was_cut_off_is_finished_by_the_next(moment: Moment) -> None:
    whole = Installation()
    whole.run()
    writes = whole.writes
    assert writes > 10
    for at in range(1, writes + 1):
        broken = Installation()
        broken.run(at, moment)
        broken.run()
        assert broken.objects() == whole.objects(), f"killed {moment} write {at}"
        broken.run()
        assert broken.writes == 0, "a third run changes nothing"
