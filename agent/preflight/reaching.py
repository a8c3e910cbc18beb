"""Whether nodes reach the API server that they are told, and whether AWS knows us and agrees about the time."""

import ipaddress
import socket
import ssl
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Final

from agent.join.facts import authority_of
from agent.preflight.finding import Finding
from agent.preflight.site import Site

SKEW_SECONDS: Final = 30
"""AWS refuses signatures that are five minutes off; certificates and tokens are judged by the same clock."""
_TIMEOUT_SECONDS: Final = 5.0


def endpoint(site: Site) -> Iterator[Finding]:
    """The endpoint of the join facts takes connections, with a certificate of the CA that nodes pin."""
    facts = site.facts
    host, _, port = facts.endpoint.rpartition(":")
    host = host.strip("[]")
    if _is_loopback(host):
        fix = "set apiServerEndpoint to an address that nodes reach, or kubeadm's controlPlaneEndpoint"
        yield Finding("endpoint", "fail", f"nodes are told {facts.endpoint}, which is themselves", fix)
        return
    context = ssl.create_default_context(cadata=authority_of(site.api))
    try:
        with socket.create_connection((host, int(port)), _TIMEOUT_SECONDS) as raw:
            context.wrap_socket(raw, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        fix = "add the name to the API server's certificate (kubeadm: apiServer.certSANs), or set apiServerEndpoint"
        yield Finding("endpoint", "fail", f"{facts.endpoint}: {error.verify_message}", fix)
        return
    except OSError as error:
        fix = "open the port from the nodes' security group, or set apiServerEndpoint"
        yield Finding("endpoint", "fail", f"{facts.endpoint} cannot be reached from here: {error}", fix)
        return
    yield Finding("endpoint", "ok", f"nodes join at {facts.endpoint}; its certificate is of the pinned CA")


def account(site: Site) -> Iterator[Finding]:
    """Who we are to AWS, and its clock against ours."""
    answer = site.caller
    yield Finding("aws", "ok", f"{answer['Arn']} in {site.settings.region}")
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    if said is None:
        return
    skew = abs((site.clock() - _time(said)).total_seconds())
    if skew > SKEW_SECONDS:
        message = f"this machine's clock is {skew:.0f} s off AWS's"
        yield Finding("aws", "warn", message, "run chrony with 169.254.169.123 (Amazon Time Sync)")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _time(text: str) -> datetime:
    return parsedate_to_datetime(text)
