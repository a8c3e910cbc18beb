"""The sandbox's Kubernetes API: in memory, over HTTPS on loopback, as strict as the real one where the agent can tell.

    with ApiServer(folder) as server:
        server.write_kubeconfig(folder / "admin.conf")                            # an administrator
        server.write_kubeconfig(folder / "node.conf", user=User("system:node:i-1", ("system:nodes",)))
        server.url, server.ca_pem, server.api

``Api(clock=…)`` is the same without sockets: ``handle(Request("GET", "/api/v1/nodes", user=ADMIN))`` gives a
``Response``, or for ``watch=true`` a ``WatchStream`` that is read with ``poll()``. With a clock and a seed of one's own
every run is the same.

What kube-controller-manager does at once is done here (``reactions``): garbage collection, contents of namespaces, the
default ServiceAccount, signatures of cluster-info, approval for kubeadm's own group, signing of approved requests.
Deployments, DaemonSets, scheduling, budgets' status and node health are the sandbox's controllers' business.

Not there: server-side apply and managedFields; protobuf and CBOR; aggregated discovery and OpenAPI v2 (kubectl falls
back); schemas of built-in kinds, whose unknown fields are kept; rules in CEL, whether of CRDs
(``x-kubernetes-validations``) or of ValidatingAdmissionPolicies, which are stored and not enforced; conversion between
versions of a CRD; RBAC's aggregation and its guard against escalation; the graph of the node authorizer; logs, exec and
port-forward; quotas and limit ranges.

Conformance to the real API server is tested (tests/conformance) over the calls that the agent makes.
"""

from agent.sim.apiserver.api import Api
from agent.sim.apiserver.messages import ADMIN, Request, Response, User
from agent.sim.apiserver.serving import ApiServer
from agent.sim.apiserver.watching import WatchStream

__all__ = ["ADMIN", "Api", "ApiServer", "Request", "Response", "User", "WatchStream"]
