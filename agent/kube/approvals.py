"""What operators have allowed by command, kept in a ConfigMap so that it outlives both the command and the daemon."""

from datetime import datetime
from typing import Final

from agent.kube import paths
from agent.kube.api import KubeApi
from agent.kube.errors import NotFound
from agent.kube.wire import config_map_data
from agent.model.names import NAMESPACE
from agent.model.plan import Approvals

CONFIG_MAP: Final = "joinery-approvals"


def approvals(raw: bytes) -> Approvals:
    """Read the ConfigMap. A time that cannot be read allows nothing."""
    data = config_map_data(raw)
    return Approvals(
        sweep_until=_time(data.get("sweepUntil", "")),
        adopt_until=_time(data.get("adoptUntil", "")),
        paused=data.get("paused") == "true",
    )


def allow(api: KubeApi, changes: dict[str, str | None], namespace: str = NAMESPACE) -> Approvals:
    """Merge ``changes`` into the ConfigMap, made if it is not there; None takes a key away.

    Raises:
        KubeError: the API server did not take it.
    """
    path = paths.config_maps(namespace, CONFIG_MAP)
    try:
        return approvals(api.merge_patch(path, {"data": changes}))
    except NotFound:
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CONFIG_MAP, "namespace": namespace},
            "data": {k: v for k, v in changes.items() if v is not None},
        }
        return approvals(api.create(paths.config_maps(namespace), body))


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
