"""How tests and the sandbox steer the embedded EC2: JSON over HTTP under paths that AWS does not have."""

import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from agent.sim.faults import Faults, Rule, Throttle
from agent.sim.fleet import Fleets
from agent.sim.instances import Instances
from agent.sim.query import Answer, Wsgi

JSON = "application/json"
ZONES = ("a", "c")


class Admin:
    """Answers the paths that begin with an underscore."""

    def __init__(self, app: Wsgi, region: str, faults: Faults, fleets: Fleets, instances: Instances) -> None:
        self._app = app
        self._region = region
        self._faults = faults
        self._fleets = fleets
        self._instances = instances
        self._stop_pauses = threading.Event()

    def pause(self, seconds: float) -> None:
        """Wait, as an injected delay does."""
        self._stop_pauses.wait(seconds)

    def answer(self, path: str, environ: dict[str, Any]) -> Answer:
        """One request."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        method = environ.get("REQUEST_METHOD", "GET")
        value = msgspec.json.decode(body) if body else {}
        query = {k: v[0] for k, v in parse_qs(environ.get("QUERY_STRING", "")).items()}
        handler = self._handlers().get((path, method))
        if handler is None:
            return Answer(404, b'{"error": "no such path"}', JSON)
        found = handler(query if method == "GET" else value)
        return Answer(200, msgspec.json.encode(found if found is not None else {}), JSON)

    def _handlers(self) -> dict[tuple[str, str], Callable[[dict[str, Any]], object]]:
        faults, capacity, calls = self._faults, self._fleets.capacity, self._faults.calls
        return {
            ("/_seed", "POST"): self._seed,
            ("/_faults", "POST"): lambda v: faults.rules.append(msgspec.convert(v, Rule)),
            ("/_faults", "DELETE"): lambda _: faults.clear(),
            ("/_throttle", "POST"): lambda v: faults.throttle(msgspec.convert(v, Throttle)),
            ("/_capacity", "POST"): capacity.update,
            ("/_capacity", "DELETE"): lambda _: capacity.clear(),
            ("/_delays", "POST"): self._delay,
            ("/_calls", "GET"): lambda q: [c for c in calls if q.get("action", c["action"]) == c["action"]],
            ("/_calls", "DELETE"): lambda _: calls.clear(),
            ("/_instances", "GET"): lambda _: self._listed(),
            ("/_instances", "POST"): self._by_hand,
        }

    def _delay(self, wanted: dict[str, Any]) -> None:
        for name, seconds in wanted.items():
            setattr(self._instances.delays, name, float(seconds))

    def _backend(self) -> Any:  # noqa: ANN401 - moto's own
        from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 - only in a process that serves
        from moto.ec2.models import ec2_backends  # noqa: PLC0415 - likewise

        return ec2_backends[DEFAULT_ACCOUNT_ID][self._region]

    def _seed(self, wanted: dict[str, Any]) -> dict[str, object]:
        """VPC, a subnet in two zones, a security group, and the role with its profile, tagged for discovery."""
        from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 - as above
        from moto.iam.models import iam_backends  # noqa: PLC0415 - as above

        backend = self._backend()
        tags = {"karpenter.sh/discovery": wanted.get("discovery", "true")}
        vpc = backend.create_vpc("10.42.0.0/16")
        subnets = {}
        for number, letter in enumerate(ZONES):
            zone = f"{self._region}{letter}"
            subnet = backend.create_subnet(vpc.id, f"10.42.{number}.0/24", availability_zone=zone)
            backend.create_tags([subnet.id], tags)
            subnets[zone] = subnet.id
        group = backend.create_security_group("nodes", "Nodes of the cluster", vpc.id)
        backend.create_tags([group.id], tags)
        name = wanted.get("profile", "karpenter-node-profile")
        iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
        role = wanted.get("role", "joinery-node")
        if role not in {r.name for r in iam.get_roles()}:
            iam.create_role(role, "{}", "/", "", "", [], "3600")
            iam.create_instance_profile(name, "/", [])
            iam.add_role_to_instance_profile(name, role)
        return {"vpc": vpc.id, "subnets": subnets, "securityGroup": group.id, "instanceProfile": name}

    def _listed(self) -> list[dict[str, object]]:
        """Every instance with what it was launched with."""
        return [
            {
                "id": i.id,
                "state": i.state,
                "type": i.instance_type,
                "zone": i.placement.zone,
                "privateIp": i.private_ip,
                "userData": i.user_data.decode() if i.user_data else "",
                "tags": {t["key"]: t["value"] for t in i.get_tags()},
            }
            for reservation in self._backend().reservations.values()
            for i in reservation.instances
        ]

    def _by_hand(self, wanted: dict[str, str]) -> None:
        """Terminate or stop an instance as a person in the console would."""
        backend = self._backend()
        if wanted["do"] == "terminate":
            backend.terminate_instances([wanted["id"]])
            self._instances.mark_terminated(wanted["id"], time.monotonic())
        elif wanted["do"] == "stop":
            backend.stop_instances([wanted["id"]])
