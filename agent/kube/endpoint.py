"""Where the API server is and how to know it: the part of a kubeconfig that is not about who asks."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import yaml


class EndpointError(Exception):
    """A kubeconfig names no API server; the text says which file and what is wrong."""


class Endpoint(msgspec.Struct, frozen=True):
    """An API server. ``authority`` is its CA bundle in base64, as ``certificate-authority-data`` has it."""

    server: str
    authority: str = ""


class _Cluster(msgspec.Struct, rename="kebab"):
    server: str
    certificate_authority_data: str = ""
    certificate_authority: str = ""


class _NamedCluster(msgspec.Struct):
    name: str
    cluster: _Cluster


class _Context(msgspec.Struct):
    cluster: str


class _NamedContext(msgspec.Struct):
    name: str
    context: _Context


class _Kubeconfig(msgspec.Struct, rename="kebab"):
    current_context: str = ""
    clusters: list[_NamedCluster] = []
    contexts: list[_NamedContext] = []


def read_endpoint(kubeconfig: Path) -> Endpoint | None:
    """The API server of a kubeconfig's current context; None when there is no such file.

    Raises:
        EndpointError: The file cannot be read, or names no API server.
    """
    try:
        found = msgspec.convert(yaml.safe_load(kubeconfig.read_text()), type=_Kubeconfig)
        return _current(found, kubeconfig.parent)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, yaml.YAMLError, StopIteration) as error:
        said = " ".join(str(error).split()) or "its current context names no cluster"
        raise EndpointError(f"{kubeconfig} names no API server: {said}") from error


def _current(found: _Kubeconfig, folder: Path) -> Endpoint:
    context = next(c.context for c in found.contexts if c.name == found.current_context)
    cluster = next(c.cluster for c in found.clusters if c.name == context.cluster)
    if cluster.certificate_authority_data or not cluster.certificate_authority:
        return Endpoint(cluster.server, cluster.certificate_authority_data)
    # A relative path counts from the kubeconfig's folder, as in client-go.
    bundle = (folder / cluster.certificate_authority).read_bytes()
    return Endpoint(cluster.server, base64.b64encode(bundle).decode())


def render_kubeconfig(endpoint: Endpoint, token_file: Path) -> str:
    """A kubeconfig for the holder of the token in a file. JSON is YAML, and nothing in it is secret."""
    cluster: dict[str, Any] = {"server": endpoint.server}
    if endpoint.authority:
        cluster["certificate-authority-data"] = endpoint.authority
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "joinery", "cluster": cluster}],
        "users": [{"name": "joinery", "user": {"tokenFile": str(token_file)}}],
        "contexts": [{"name": "joinery", "context": {"cluster": "joinery", "user": "joinery"}}],
        "current-context": "joinery",
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"
