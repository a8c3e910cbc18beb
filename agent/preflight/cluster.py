"""The API server answers, knows our kinds, and lets the daemon do what it has to."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from agent.kube import paths
from agent.kube.errors import NotFound
from agent.kube.rbac import Rule, grants
from agent.preflight.finding import Finding
from agent.preflight.site import Site

OLDEST_MINOR: Final = 30
"""ValidatingAdmissionPolicy, which keeps the daemon's Secrets to bootstrap tokens, is v1 since Kubernetes 1.30."""
_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


class _Allowed(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Allowed


def answers(site: Site) -> Iterator[Finding]:
    """Its version."""
    version = str(msgspec.json.decode(site.api.get("/version"))["gitVersion"])
    found = re.match(r"v1\.(\d+)", version)
    if found is None or int(found[1]) < OLDEST_MINOR:
        yield Finding("api-server", "fail", f"{site.api.server} is {version}", f"upgrade to 1.{OLDEST_MINOR} or newer")
    else:
        yield Finding("api-server", "ok", f"{site.api.server} answers, {version}")


def kinds(site: Site) -> Iterator[Finding]:
    """Whether it serves NodePools, NodeClaims and EC2NodeClasses."""
    missing = []
    for name, path in (
        ("NodePool", paths.node_pools()),
        ("NodeClaim", paths.node_claims()),
        ("EC2NodeClass", paths.node_classes()),
    ):
        try:
            site.api.get(path, {"limit": "1"})
        except NotFound:
            missing.append(name)
    if missing:
        yield Finding("crds", "fail", f"the cluster has no {', '.join(missing)}", "joinery install")
    else:
        yield Finding("crds", "ok", "NodePool, NodeClaim and EC2NodeClass are served")


def rights(site: Site) -> Iterator[Finding]:
    """Every rule that `joinery install` makes, asked of the API server for the identity in use."""
    asked, refused = 0, []
    for grant in grants(site.settings.namespace):
        for rule in grant.rules:
            for resource, verb, name in _parts(rule):
                asked += 1
                if not _may(site, grant.namespace, rule.group, (resource, verb, name)):
                    where = f" in {grant.namespace}" if grant.namespace else ""
                    refused.append(f"{verb} {resource}{where} ({rule.reason})")
    if refused:
        more = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        yield Finding("rights", "fail", f"the daemon may not {refused[0]}{more}", "joinery install")
    else:
        yield Finding("rights", "ok", f"all of {asked} rights in the cluster are there")


def _parts(rule: Rule) -> Iterable[tuple[str, str, str]]:
    return ((r, v, n) for r in rule.resources for v in rule.verbs for n in (rule.names or ("",)))


def _may(site: Site, namespace: str, group: str, asked: tuple[str, str, str]) -> bool:
    resource, verb, name = asked
    resource, _, subresource = resource.partition("/")
    attributes = {
        "namespace": namespace,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "verb": verb,
        "name": name,
    }
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {k: v for k, v in attributes.items() if v}},
    }
    return msgspec.json.decode(site.api.create(_REVIEWS, body), type=_Review).status.allowed
