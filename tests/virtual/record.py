"""Writes the history: each write of the agent with what was true at that moment."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

from agent.model import names
from tests.kube.apiserver import Where
from tests.virtual import history as h
from tests.virtual.cloud import TYPES, Cloud, Instance, is_ours, nano_usd
from tests.virtual.fibers import Fibers
from tests.virtual.kubernetes import CLAIMS, LEASES, NODES, PODS, POOLS, SECRETS, Answer, Cluster, Json
from tests.virtual.workloads import is_waited_for

OK = 300


class Recorder:
    """Knows the truth and the names by which our things are known."""

    def __init__(self, fibers: Fibers, cluster: Cluster, cloud: Cloud, identity: tuple[str, str]) -> None:
        self.history: list[h.Record] = []
        self._fibers = fibers
        self._cluster = cluster
        self._cloud = cloud
        self._cluster_name, self._cluster_uid = identity
        self.last_write = 0.0
        self.skew = timedelta(0)
        """How far ahead a daemon's clock may be, by which deadlines are counted."""
        self._lease = ("", 0.0)
        """Who had the daemon's Lease last, and until when: by the true clock, whatever the holder's own says."""
        cluster.watchers.append(self._changed)
        launched, ended = cloud.on_launch, cloud.on_end

        def on_launch(instance: Instance) -> None:
            self.launched(instance)
            launched(instance)

        def on_end(instance: Instance) -> None:
            self.ended(instance)
            ended(instance)

        cloud.on_launch, cloud.on_end = on_launch, on_end

    def add(self, record: h.Record) -> None:
        self.history.append(record)

    @property
    def now(self) -> float:
        return self._fibers.now

    def ours(self, instance: Instance) -> bool:
        return is_ours(instance, self._cluster_name, self._cluster_uid)

    def launched(self, i: Instance) -> None:
        vcpus, mib, _ = TYPES[i.kind]
        about = (i.tags.get(names.TAG_CLAIM_UID, ""), i.tags.get(names.TAG_POOL, ""))
        self.add(
            h.Launched(
                at=self.now,
                instance=i.id,
                claim_uid=about[0],
                pool=about[1],
                vcpus=vcpus,
                memory_bytes=mib << 20,
                nano_usd=nano_usd(i.kind, i.capacity_type),
                ours=self.ours(i),
            )
        )
        self.said("tags", repr(i.tags))

    def ended(self, i: Instance) -> None:
        self.add(h.Ended(at=self.now, instance=i.id))

    def said(self, where: str, text: str) -> None:
        self.add(h.Said(at=self.now, where=where, text=text))

    def wrote(self, process: str, service: str, about: tuple[str, str, str]) -> None:
        action, subject, effect = about
        if service != "ssm" and not action.endswith(("leases", "secrets", "selfsubjectreviews")):
            self.last_write = self.now
        self.add(
            h.Write(
                at=self.now,
                process=process,
                service=service,
                action=action,
                subject=subject,
                effect=effect,
                holder=self.holder(),
            )
        )

    def holder(self) -> str:
        """Who has the Lease now; empty for nobody."""
        holder, until = self._lease
        return holder if self.now <= until else ""

    # The agent's writes, looked at before and after.

    def before_kube(self, method: str, where: Where) -> h.Record | None:
        if where.subresource == "eviction":
            pod = self._cluster.objects[PODS].get(f"{where.namespace}/{where.name}", {"metadata": {}})
            pinned = pod["metadata"].get("annotations", {}).get(names.DO_NOT_DISRUPT) == "true"
            return h.Evicted(at=self.now, pod=f"{where.namespace}/{where.name}", pinned=pinned)
        if method != "DELETE":
            return None
        if where.collection == PODS:
            return self._pod_deleted(f"{where.namespace}/{where.name}")
        if where.collection == NODES:
            machine = self._cloud.instances.get(where.name)
            node = self._cluster.objects[NODES].get(where.name, {"metadata": {}})
            control = names.CONTROL_PLANE in node["metadata"].get("labels", {})
            return h.NodeDeleted(
                at=self.now, node=where.name, runs=machine is not None and machine.alive, control_plane=control
            )
        return self._disrupted(where.name) if where.collection == CLAIMS else None

    def after_kube(self, process: str, about: tuple[str, str, str], record: h.Record | None, answer: Answer) -> None:
        if about[0] == "POST events":
            text = str(self._cluster.events[-1])
            self.said("Event", text)
            if "SweepBrake" in text:
                self.add(h.Braked(at=self.now))
        if answer[0] < OK:
            self.wrote(process, "kube", about)
            if record is not None:
                self.add(record)

    def terminating(self, name: str) -> None:
        """TerminateInstances was asked for."""
        found = self._cloud.instances.get(name)
        if found is None:
            return
        claims = self._cluster.items(CLAIMS)
        self.add(
            h.Terminated(
                at=self.now,
                instance=name,
                ours=self.ours(found),
                has_claim=any(accounts(c, found) for c in claims),
                claims=len(claims),
                alive=sum(1 for i in self._cloud.alive() if self.ours(i)),
                approved=self._approved(),
                undrained=self._undrained(found, next((c for c in claims if accounts(c, found)), None)),
            )
        )

    def close(self, pending: tuple[str, ...] = ()) -> None:
        """The end: what there is."""
        claims = self._cluster.items(CLAIMS)
        live = [i for i in self._cloud.alive() if self.ours(i)]
        pairs = tuple((i.id, next((str(c["metadata"]["uid"]) for c in claims if accounts(c, i)), "")) for i in live)
        self.add(h.Closed(at=self.now, instances=pairs, pending=pending))

    def _approved(self) -> bool:
        data = self._cluster.objects["api/v1/configmaps"].get("joinery-system/joinery-approvals", {}).get("data", {})
        return "sweepUntil" in data

    def _pod_deleted(self, key: str) -> h.PodDeleted:
        pod = self._cluster.objects[PODS].get(key)
        node = pod["spec"].get("nodeName", "") if pod else ""
        grace = pod["spec"].get("terminationGracePeriodSeconds", 30) if pod else 0
        deadline = self._deadline(node)
        due = deadline is not None and self._cluster.now() + self.skew >= deadline - timedelta(seconds=grace + 1)
        return h.PodDeleted(at=self.now, pod=key, due=due)

    def _deadline(self, node: str) -> datetime | None:
        for claim in self._cluster.items(CLAIMS):
            if claim.get("status", {}).get("providerID", "").endswith(f"/{node}") and node:
                return deadline_of(claim)
        return None

    def _undrained(self, instance: Instance, claim: Json | None) -> tuple[str, ...]:
        node = self._cluster.objects[NODES].get(instance.id)
        deadline = deadline_of(claim) if claim is not None else None
        if (
            node is None
            or instance.state != "running"
            or (deadline is not None and self._cluster.now() + self.skew >= deadline)
        ):
            return ()
        if claim is not None and names.REGISTERED not in node["metadata"].get("labels", {}):
            return ()
        return tuple(
            f"{p['metadata']['namespace']}/{p['metadata']['name']}"
            for p in self._cluster.items(PODS)
            if p["spec"].get("nodeName") == instance.id and is_waited_for(p, self._cluster.now() + self.skew)
        )

    def _disrupted(self, name: str) -> h.Disrupted | None:
        claim = self._cluster.objects[CLAIMS].get(name)
        if claim is None or not is_true(claim, "DisruptionReason"):
            return None
        pool = claim["metadata"]["labels"].get(names.NODEPOOL, "")
        mine = [c for c in self._cluster.items(CLAIMS) if c["metadata"]["labels"].get(names.NODEPOOL) == pool]
        counted = [c for c in mine if is_true(c, "Initialized") and not is_true(c, "InstanceTerminating")]
        others = [c for c in counted if c["metadata"]["name"] != name]
        going = sum(1 for c in others if "deletionTimestamp" in c["metadata"] and is_true(c, "DisruptionReason"))
        found = self._cluster.objects[POOLS].get(pool)
        allowed = min((_allowed(b, len(counted)) for b in _budgets(found)), default=len(counted))
        return h.Disrupted(at=self.now, claim=name, pool=pool, going=going, allowed=allowed)

    def _changed(self, collection: str, _kind: str, body: Json) -> None:
        if collection == LEASES and body["metadata"]["name"] == "joinery":
            spec = body["spec"]
            self._lease = (spec.get("holderIdentity", ""), self.now + spec["leaseDurationSeconds"])
        if collection == SECRETS:
            secret = base64.b64decode(body["data"]["token-secret"]).decode()
            self.add(h.Secret(at=self.now, text=secret))


def accounts(claim: Json, instance: Instance) -> bool:
    """Whether a claim accounts for an instance."""
    provider = claim.get("status", {}).get("providerID", "")
    adopted = claim["metadata"].get("annotations", {}).get(names.ADOPT, "")
    if provider or adopted:
        return instance.id in {provider.rpartition("/")[2], adopted}
    return bool(claim["metadata"]["uid"] == instance.tags.get(names.TAG_CLAIM_UID))


def deadline_of(claim: Json) -> datetime | None:
    """When budgets stop to count for the claim's node."""
    meta = claim["metadata"]
    if written := meta.get("annotations", {}).get(names.TERMINATION_TIMESTAMP):
        return datetime.fromisoformat(written)
    grace = claim["spec"].get("terminationGracePeriod")
    if grace is None or "deletionTimestamp" not in meta:
        return None
    return datetime.fromisoformat(meta["deletionTimestamp"]) + timedelta(seconds=int(grace.removesuffix("s")))


def is_true(claim: Json, kind: str) -> bool:
    """Whether a condition of an object holds."""
    return any(c["type"] == kind and c["status"] == "True" for c in claim.get("status", {}).get("conditions", []))


def _budgets(pool: Json | None) -> list[Json]:
    listed: list[Json] = (pool or {"spec": {}})["spec"].get("disruption", {}).get("budgets", [])
    return [b for b in listed if "schedule" not in b]


def _allowed(budget: dict[str, Any], total: int) -> int:
    text = str(budget["nodes"])
    return -(-total * int(text[:-1]) // 100) if text.endswith("%") else int(text)
