"""How tests and the sandbox steer the embedded EC2: JSON over HTTP under paths that AWS does not have."""

import base64
import gzip
import threading
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from agent.sim import models
from agent.sim.faults import Faults, Rule, Throttle
from agent.sim.instances import Instances
from agent.sim.launches import Launches
from agent.sim.query import Answer

JSON = "application/json"
ZONES = ("a", "c")


class Admin:
    """Answers the paths that begin with an underscore."""

    def __init__(self, region: str, faults: Faults, launches: Launches, instances: Instances) -> None:
        self._region = region
        self._faults = faults
        self._launches = launches
        self._instances = instances
        self._stop_pauses = threading.Event()
        self.page_limit = 0
        """Largest page of any list; 0: as large as it was asked for."""
        self.reset: Callable[[], None] = lambda: None
        self.write_prices: Callable[[dict[str, Any]], None] = lambda _: None

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
        try:
            found = handler(query if method == "GET" else value)
        except (LookupError, TypeError, ValueError) as error:
            said = f"{type(error).__name__}: {error}"
            return Answer(400, msgspec.json.encode({"error": said}), JSON)
        return Answer(200, msgspec.json.encode(found if found is not None else {}), JSON)

    def _handlers(self) -> dict[tuple[str, str], Callable[[dict[str, Any]], object]]:
        faults, capacity, calls = self._faults, self._launches.capacity, self._faults.calls
        return {
            ("/_seed", "POST"): self._seed,
            ("/_faults", "POST"): lambda v: faults.rules.append(msgspec.convert(v, Rule)),
            ("/_faults", "DELETE"): lambda _: faults.clear(),
            ("/_throttle", "POST"): self._throttle,
            ("/_capacity", "POST"): capacity.update,
            ("/_capacity", "DELETE"): lambda _: capacity.clear(),
            ("/_reservations", "POST"): self._launches.reservations.make,
            ("/_prices", "POST"): self.write_prices,
            ("/_delays", "POST"): self._delay,
            ("/_pages", "POST"): self._pages,
            ("/_reset", "POST"): lambda _: self.reset(),
            ("/_calls", "GET"): lambda q: [c for c in calls if q.get("action", c["action"]) == c["action"]],
            ("/_calls", "DELETE"): lambda _: calls.clear(),
            ("/_instances", "GET"): lambda _: self._listed(),
            ("/_instances", "POST"): self._instances.by_hand,
        }

    def _delay(self, wanted: dict[str, Any]) -> None:
        for name, seconds in wanted.items():
            setattr(self._instances.delays, name, float(seconds))

    def _throttle(self, wanted: dict[str, Any]) -> None:
        """One action, or with ``{"like": "ec2"}`` all of EC2's at its own rates."""
        if wanted.get("like") == "ec2":
            self._faults.throttle_like_ec2()
        else:
            self._faults.throttle(msgspec.convert(wanted, Throttle))

    def _pages(self, wanted: dict[str, Any]) -> None:
        self.page_limit = int(wanted["limit"])

    def _seed(self, wanted: dict[str, Any]) -> dict[str, object]:
        """VPC, a subnet in two zones, a security group, and the role with its profile, tagged for discovery."""
        backend, iam = models.ec2_of(self._region), models.iam()
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
        role = wanted.get("role", "joinery-node")
        if role not in {r.name for r in iam.get_roles()}:
            iam.create_role(role, "{}", "/", "", "", [], "3600")
            iam.create_instance_profile(name, "/", [])
            iam.add_role_to_instance_profile(name, role)
        return {"vpc": vpc.id, "subnets": subnets, "securityGroup": group.id, "instanceProfile": name}

    def _listed(self) -> list[dict[str, object]]:
        """Every instance with what it was launched with."""
        self._instances.tick()
        return [
            {
                "id": i.id,
                "state": i.state,
                "type": i.instance_type,
                "zone": i.placement.zone,
                "privateIp": i.private_ip,
                "privateDns": i.private_dns_name,
                "image": i.image_id,
                "capacityType": "spot" if i.lifecycle == "spot" else "on-demand",
                "launchTime": f"{i.launch_time:%Y-%m-%dT%H:%M:%SZ}",
                "userData": _script(i.user_data),
                "tags": {t["key"]: t["value"] for t in i.get_tags()},
            }
            for i in models.instances_of(self._region)
        ]


def _script(user_data: object) -> str:
    """User data as text. Compressed data is expanded, as cloud-init does; what is no text at all is left out."""
    raw = base64.b64decode(str(user_data)) if user_data else b""
    try:
        return (gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw).decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return ""
