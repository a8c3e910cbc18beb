"""userData: the bytes that make an EC2 instance a node, the same for a whole class, and nothing secret in them.

Templates are looked for in the configured folder, then inside the installed package, then beside it (a checkout).
Whatever a template prints is quoted for the shell by its type; only what passes the filters ``verbatim`` and ``json``,
which stand in quoted here-documents, is printed as it is.
"""

import functools
import hashlib
import shlex
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Final

import msgspec
from jinja2 import ChoiceLoader, Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agent.join.errors import TemplateFault
from agent.join.facts import JoinFacts
from agent.manifests.nodeclass import EC2NodeClassSpec
from agent.model.names import UNREGISTERED_TAINT, USERDATA_MODE

MAX_BYTES: Final = 16_384
"""EC2's limit on user data before it is base64-encoded."""

MACHINE: Final = "@JOINERY_MACHINE@"
"""Stands in the scripts of fixed machines for a JSON document."""

_TEMPLATES: Final = {"Ubuntu": "ubuntu.sh.j2"}
_CUSTOM: Final = "Custom"
_FOLDER: Final = "userdata_templates"
_TAINT: Final = f"{UNREGISTERED_TAINT}:NoExecute"
_ECR: Final = {
    "apiVersion": "kubelet.config.k8s.io/v1",
    "kind": "CredentialProviderConfig",
    "providers": [
        {
            "name": "ecr-credential-provider",
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "matchImages": ["*.dkr.ecr.*.amazonaws.com", "*.dkr.ecr.*.amazonaws.com.cn"],
            "defaultCacheDuration": "12h",
        }
    ],
}


class RenderOptions(msgspec.Struct, frozen=True):
    """What is the same for every class of a cluster."""

    node_name: str = "instance-id"
    """The setting ``nodeName``: instance-id or private-dns."""
    templates: Path | None = None
    """A folder whose templates come before our own."""
    token_wait_seconds: int = 600
    """How long an instance waits for its metadata, and for a token; then it powers itself off."""
    join_wait_seconds: int = 780
    """How long kubeadm join is repeated; less than registrationTimeoutSeconds, after which the instance goes anyway."""
    retry_seconds: int = 2
    """The first pause between two tries; pauses double up to 15 seconds."""


class _Verbatim(str):
    """Text that is printed without quotes."""

    __slots__ = ()


def supported_families() -> frozenset[str]:
    """Values of ``amiFamily`` that can be rendered."""
    return frozenset({*_TEMPLATES, _CUSTOM})


def render(
    spec: EC2NodeClassSpec,
    facts: JoinFacts,
    annotations: Mapping[str, str] | None = None,
    options: RenderOptions | None = None,
) -> str:
    """The userData of every instance of a class.

    Args:
        spec: the class; its ``amiFamily`` chooses the template, its ``userData`` is the user's own script.
        facts: what a machine must know to join.
        annotations: of the class; ``joinery.sh/userdata: jinja`` makes its ``userData`` a template.
        options: of the cluster.

    Raises:
        TemplateFault: the family has no template, the user's script cannot be wrapped, a template uses a name that does
            not exist, or the result is longer than EC2 takes.
    """
    options = options or RenderOptions()
    family = spec.family
    if family not in supported_families():
        known = ", ".join(sorted(supported_families()))
        raise TemplateFault(f"amiFamily {family} has no userData template yet; there are {known}")
    script = _user_script(spec.user_data or "", facts, annotations or {})
    if family == _CUSTOM:
        return _checked(script)
    if script and not script.startswith("#!"):
        raise TemplateFault(
            f"userData of amiFamily {family} is a script and must begin with #!; anything else (cloud-config, MIME, "
            "Ignition) goes as it is with amiFamily Custom"
        )
    return _checked(
        _render(_environment(options.templates), _TEMPLATES[family], _values(spec.kubelet, facts, script, options))
    )


def render_fixed(template: str, options: RenderOptions, packages: tuple[str, ...] = ("kubelet", "kubeadm")) -> str:
    """A script of a fixed machine, for Terraform, which puts what it knows of the machine in place of ``MACHINE``.

    Such a script reads its facts when it runs: there is no cluster yet when Terraform writes it. It may be longer than
    EC2 takes, since Terraform compresses it and cloud-init unpacks it.

    Raises:
        TemplateFault: there is no such template, or it uses a name that does not exist.
    """
    values = {
        "fixed": True,
        "host": False,
        "machine": MACHINE,
        "node_name": "instance-id",
        "kubelet_flags": "$kubelet_flags",
        "kubernetes_packages": list(packages),
        "kubelet": None,
        "ecr_provider": _ECR,
        "user_script": "",
        "token_wait_seconds": options.token_wait_seconds,
        "join_wait_seconds": options.join_wait_seconds,
        "retry_seconds": options.retry_seconds,
    }
    return _render(_environment(options.templates), template, values)


class Host(msgspec.Struct, frozen=True):
    """A machine that is there already, and what it is to be as a node."""

    name: str
    labels: dict[str, str] = {}
    taints: tuple[str, ...] = ()
    """As kubelet's flag has them: ``key=value:effect``."""
    reset: bool = False
    """Undo an earlier join first (``kubeadm reset``)."""


HOST_WAIT_SECONDS: Final = 240
"""How long ``kubeadm join`` is repeated on a machine at which somebody is waiting."""


def render_host(host: Host, facts: JoinFacts, options: RenderOptions) -> str:
    """The script that joins a machine over SSH. It finds its token in ``/run/joinery/pushed``, and nothing else secret.

    Raises:
        TemplateFault: a template uses a name that does not exist.
    """
    flags = [f"--node-labels={','.join(f'{k}={v}' for k, v in sorted(host.labels.items()))}"] if host.labels else []
    flags += [f"--register-with-taints={','.join(host.taints)}"] if host.taints else []
    values = _values({}, facts, "", options) | {
        "host": True,
        "name": host.name,
        "reset": host.reset,
        "kubelet_flags": " ".join(flags),
        "token_wait_seconds": 0,
        "join_wait_seconds": HOST_WAIT_SECONDS,
    }
    return _render(_environment(options.templates), "host.sh.j2", values)


def _user_script(text: str, facts: JoinFacts, annotations: Mapping[str, str]) -> str:
    if "\0" in text:
        raise TemplateFault("userData holds a NUL character, which no script can")
    mode = annotations.get(USERDATA_MODE, "")
    if mode not in {"", "jinja"}:
        raise TemplateFault(f"the annotation {USERDATA_MODE} is {mode!r}; it may be jinja or be left out")
    if mode != "jinja" or not text:
        return text
    # A class may be written by people who may not act as the agent: their expressions reach nothing but the facts.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_quoted, keep_trailing_newline=True)
    environment.filters["verbatim"] = _Verbatim
    values = msgspec.to_builtins(facts) | {"host": facts.host, "minor": facts.minor}
    try:
        return environment.from_string(text).render(values)
    except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as e:
        raise TemplateFault(f"userData is no Jinja template that can be rendered: {_said(e)}") from e


def _values(settings: Mapping[str, object], facts: JoinFacts, script: str, options: RenderOptions) -> dict[str, object]:
    kubelet = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration"} | dict(settings)
    return {
        "facts": facts,
        "ca_hash": facts.ca_cert_hashes[0].removeprefix("sha256:"),
        "fixed": False,
        "host": False,
        "node_name": options.node_name,
        "kubelet_flags": f"--register-with-taints={_TAINT}",
        "kubernetes_packages": ["kubelet", "kubeadm"],
        "kubelet": kubelet if settings else None,
        "ecr_provider": _ECR,
        "user_script": script.removesuffix("\n"),
        "user_delimiter": f"JOINERY_{hashlib.sha256(script.encode()).hexdigest()[:12]}",
        "token_wait_seconds": options.token_wait_seconds,
        "join_wait_seconds": options.join_wait_seconds,
        "retry_seconds": options.retry_seconds,
    }


def _environment(configured: Path | None) -> Environment:
    return _environment_of(tuple(str(folder) for folder in _folders(configured)))


@functools.lru_cache(maxsize=4)
def _environment_of(folders: tuple[str, ...]) -> Environment:
    """Kept, because compiling the templates takes far longer than rendering them; a file that changed is read anew."""
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader(folder) for folder in folders]),
        autoescape=False,  # noqa: S701 - shell, not HTML: finalize quotes
        undefined=StrictUndefined,
        finalize=_quoted,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["verbatim"] = _Verbatim
    environment.filters["json"] = lambda value: _Verbatim(msgspec.json.format(msgspec.json.encode(value)).decode())
    return environment


def _folders(configured: Path | None) -> list[Path]:
    if configured is not None and not configured.is_dir():
        raise TemplateFault(f"the folder of userData templates {configured} does not exist")
    inside = Path(str(resources.files("agent"))) / _FOLDER
    beside = Path(__file__).resolve().parents[2] / _FOLDER
    found = [folder for folder in (configured, inside, beside) if folder is not None and folder.is_dir()]
    if not found:
        raise TemplateFault("the package was installed without its userData templates; install it again")
    return found


def _render(environment: Environment, template: str, values: Mapping[str, object]) -> str:
    try:
        return environment.get_template(template).render(values)
    except (TemplateError, TypeError, ValueError) as e:
        raise TemplateFault(f"the userData template {template} cannot be rendered: {_said(e)}") from e


def _quoted(value: object) -> str:
    """Print a value so that the shell reads back exactly it; a value without one reading is refused."""
    if isinstance(value, _Verbatim):
        return value
    if isinstance(value, str):
        return shlex.quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, StrictUndefined):
        return str(value)  # raises, and names the variable
    raise TypeError(f"a {type(value).__name__} cannot be printed into a script; use the filter json")


def _said(error: Exception) -> str:
    line = getattr(error, "lineno", None)
    return f"{error} (line {line})" if line else str(error)


def _checked(text: str) -> str:
    size = len(text.encode())
    if size > MAX_BYTES:
        raise TemplateFault(
            f"userData is {size} bytes, {size - MAX_BYTES} more than the {MAX_BYTES} that EC2 takes; "
            "put files into the image or fetch them from the script"
        )
    return text
