"""`joinery run --dry-run` beside a cluster whose pods wait: nothing is written, and `joinery report` adds it up."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.kinds import items
from agent.report.observing import read
from agent.sim.embedded import Steering
from agent.sim.sandbox import apply
from tests.cluster.processes import wait_until
from tests.sim.test_sandbox import Started, start

__all__ = ["start"]
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WRITTEN = {
    "claims": paths.node_claims(),
    "leases": paths.leases("joinery-system"),
    "pools": paths.node_pools(),
    "classes": paths.node_classes(),
    "secrets": paths.secrets("kube-system"),
}
"""Whatever a daemon writes that no other part of the sandbox does."""


def _versions(api: KubeApi) -> dict[str, dict[str, str]]:
    return {
        kind: {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in items(api, path)}
        for kind, path in WRITTEN.items()
    }


def _joinery(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "agent", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _wanted(record: Path) -> int:
    """Pods that the last line would have bought nodes for."""
    if not record.exists():
        return 0
    lines, _ = read(record)
    return sum(len(w.pods) for w in lines[-1].wanted) if lines else 0


def test_who_only_observes_writes_nothing_but_its_record_and_can_tell_what_it_would_have_cost(
    start: Callable[..., Started],
    tmp_path: Path,
) -> None:
    started = start("--no-daemon")
    environment = os.environ | started.environment
    [command] = re.findall(r"^  joinery (run .*)$", started.said, re.MULTILINE)
    given = command.split()
    settings, record = tmp_path / "observing.yaml", tmp_path / "observed.jsonl"
    own: dict[str, Any] = yaml.safe_load(Path(given[given.index("--settings") + 1]).read_text())
    settings.write_text(yaml.safe_dump(own | {"observeRecord": str(record)}))
    given[given.index("--settings") + 1] = str(settings)
    ec2 = Steering(environment["AWS_ENDPOINT_URL"])
    with KubeApi.from_kubeconfig(environment["KUBECONFIG"]) as api:
        for name in ("worker-scalable.yaml", "five-scan-workers.yaml"):
            apply(api, list(yaml.safe_load_all((EXAMPLES / name).read_text())))
        before, machines = _versions(api), ec2.instances()
        daemon = subprocess.Popen([sys.executable, "-m", "agent", *given, "--dry-run"], env=environment)
        try:
            wait_until("five pods would have had nodes", lambda: _wanted(record) == 5)
        finally:
            daemon.terminate()
            assert daemon.wait(30) == 0
        assert _versions(api) == before
    assert ec2.instances() == machines

    said = _joinery(environment, "report", "--settings", str(settings))
    assert re.search(r"It would have bought \d+ nodes?, together", said), said
    assert "of pool worker-scalable" in said
    found = json.loads(_joinery(environment, "report", "--settings", str(settings), "-o", "json"))
    assert float(found["fixedCost"]) > 0
    assert found["removed"] == []
