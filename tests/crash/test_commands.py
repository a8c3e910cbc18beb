"""An administrator's commands, killed at each of their writes from outside, and repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from agent.cli.install import installation
from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.install import install
from agent.kube.kinds import items
from agent.model.names import NAMESPACE
from agent.sim.apiserver import Api, ApiServer
from tests.crash.stage import KILLED, SharedEc2, Stage, run_command
from tests.crash.witness import Blow, Witness, operator_kubeconfig
from tests.virtual.history import Write
from tests.virtual.invariants import Bounds, violations

Record = Callable[[str, object], None]
MOMENTS = ("before", "cut", "lost", "after")
OURS = {"labelSelector": "app.kubernetes.io/managed-by=joinery"}


class Bare:
    """An API server where nothing is installed yet, an administrator, and a witness."""

    def __init__(self, server: ApiServer, folder: Path, ec2: SharedEc2) -> None:
        self.server = server
        self.kubeconfig = operator_kubeconfig(server, folder)
        self._log = folder / "install.log"
        self.witness = Witness(server.api, ec2)

    def install(self) -> int:
        arguments = ("install", "--kubeconfig", str(self.kubeconfig))
        return run_command(self.witness, arguments, {}, self._log)

    def install_again(self) -> None:
        """What the command does, undisturbed and therefore without a process."""
        with KubeApi.from_kubeconfig(str(self.kubeconfig)) as api:
            install(api, installation(NAMESPACE))


@contextmanager
def bare(ec2: SharedEc2) -> Iterator[Bare]:
    with TemporaryDirectory() as name, ApiServer(Path(name)) as server:
        found = Bare(server, Path(name), ec2)
        try:
            yield found
        finally:
            found.witness.ec2.stop()


@pytest.fixture
def started(ec2: SharedEc2) -> SharedEc2:
    ec2.start()
    ec2.ready()
    return ec2


@cache
def whole(ec2: SharedEc2) -> tuple[dict[str, str], int]:
    """What an undisturbed installation leaves, and how many writes it takes."""
    with bare(ec2) as there:
        assert there.install() == 0
        return objects(there.server.api), there.witness.writes


@pytest.mark.parametrize("moment", MOMENTS)
def test_an_installation_killed_at_any_write_is_finished_by_the_next(
    moment: str, started: SharedEc2, record_property: Record
) -> None:
    record_property("case", ("joinery install, each write", moment))
    expected, writes = whole(started)
    assert writes > 10
    for number in range(1, writes + 1):
        with bare(started) as there:
            there.witness.blow = Blow(f"write {number}", moment)
            status = there.install()
            if moment == "lost":
                assert there.witness.struck
                assert status in {0, 1}
            elif moment != "after" or number < writes:
                assert status == KILLED, f"write {number}"
            there.witness.blow = None
            there.install_again()
            assert objects(there.server.api) == expected, f"write {number}"


def test_a_rotation_of_three_tokens_takes_every_step(ec2: SharedEc2, tmp_path: Path) -> None:
    """What the cases below disturb has all steps, those that only a later rotation takes among them."""
    with Stage(tmp_path, ec2) as stage:
        rotated_twice(stage)
        before = len(stage.witness.history)
        assert rotate(stage) == 0
        writes = [w.action for w in stage.witness.history[before:] if isinstance(w, Write)]
    assert {"POST secrets", "PutParameter", "PATCH secrets", "DELETE secrets"} <= set(writes)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_rotation_killed_at_any_write_leaves_a_token_that_works(
    moment: str, ec2: SharedEc2, tmp_path: Path, record_property: Record
) -> None:
    record_property("case", ("joinery token rotate, each write", moment))
    with Stage(tmp_path, ec2) as stage:
        rotated_twice(stage)
        number, struck = 0, True
        while struck:
            number += 1
            stage.witness.blow, stage.witness.struck = Blow(f"write {number}", moment), False
            status = rotate(stage)
            struck = stage.witness.struck
            if struck and moment != "lost":
                assert status == KILLED, f"write {number}"
            stage.witness.blow = None
            assert stage.command("token", "verify", *where(stage)) == 0, f"write {number}: nobody could join"
            # The next rotation, as the timer starts it, clears up.
            assert rotate(stage, "--if-due") == 0
            assert stage.command("token", "verify", *where(stage)) == 0
            assert len(items(stage.api, paths.secrets("kube-system"), OURS)) <= 2
        stage.witness.recorder.said("log", (stage.folder / "command.log").read_text())
        assert [str(v) for v in violations(stage.witness.history, Bounds())] == []
    assert number > (3 if moment == "after" else 4)


def rotated_twice(stage: Stage) -> None:
    for _ in range(2):
        assert rotate(stage) == 0


def where(stage: Stage) -> tuple[str, ...]:
    return ("--settings", str(stage.settings), "--kubeconfig", str(stage.operator))


def rotate(stage: Stage, *more: str) -> int:
    return stage.command("token", "rotate", *more, *where(stage))


def objects(api: Api) -> dict[str, str]:
    """Everything that there is, but for versions, times and what is random."""
    found = {}
    for kind in api.store.kinds():
        for stored in api.store.all(kind):
            body = stored.copy()
            meta = body["metadata"]
            for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
                meta.pop(field, None)
            for condition in body.get("status", {}).get("conditions", ()):
                condition.pop("lastTransitionTime", None)
            if kind in {"nodeclaims.karpenter.sh", "events", "secrets", "configmaps", "leases.coordination.k8s.io"}:
                body = {"metadata": {"name": meta["name"]}}
            found[f"{kind} {meta.get('namespace', '')}/{meta['name']}"] = msgspec.json.encode(
                body, order="deterministic"
            ).decode()
    return found
