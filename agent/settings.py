"""The daemon's settings, /etc/joinery/agent.yaml: each field with its unit, its default and why."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AllowInfNan, BaseModel, Strict

from agent.manifests.documents import load_documents
from agent.manifests.examine import examine
from agent.manifests.faults import path_text
from agent.manifests.meanings import meanings
from agent.manifests.scalars import Between, Flag, Matching, NonEmpty, Whole
from agent.manifests.written import Rule, Written
from agent.model import names
from agent.model.plan import Limits

DEFAULT_PATH = "/etc/joinery/agent.yaml"
Decimals = Annotated[float, Strict(), AllowInfNan(False)]
Seconds = Annotated[Whole, Between(1, 86_400)]
_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
Endpoint = Annotated[
    str, Matching(rf"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):{_PORT}", "host:port, such as 10.0.0.10:6443", 300)
]
MAX_TOKEN_SECONDS = 7200


class SettingsError(ValueError):
    """The settings cannot be used; the text has one line per fault."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = tuple(faults)


class TokenSettings(Written):
    """The bootstrap token that machines join with."""

    ttl_seconds: Annotated[Whole, Between(600, MAX_TOKEN_SECONDS)] = 7200
    """How long a token lives, in seconds. At most two hours: a leaked one is useless soon."""
    rotate_seconds: Annotated[Whole, Between(300, MAX_TOKEN_SECONDS)] = 3600
    """Age at which the published token is replaced, in seconds."""
    overlap_seconds: Annotated[Whole, Between(60, 3600)] = 900
    """How long the replaced token still joins, in seconds: as long as a machine may take from reading the token to
    joining."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "ttlSeconds must be at least rotateSeconds plus overlapSeconds, or a published token could be dead",
            holds=lambda t: t.ttl_seconds >= t.rotate_seconds + t.overlap_seconds,
            reads=("ttlSeconds", "rotateSeconds", "overlapSeconds"),
            at="ttlSeconds",
        ),
        Rule(
            "overlapSeconds must be less than rotateSeconds, or more than two tokens would live at once",
            holds=lambda t: t.overlap_seconds < t.rotate_seconds,
            reads=("rotateSeconds", "overlapSeconds"),
            at="overlapSeconds",
        ),
    )


class Settings(Written):
    """Everything that can be set. Only clusterName and region have no default."""

    cluster_name: Annotated[
        str, Matching(r"[A-Za-z0-9][A-Za-z0-9._-]*", "a name of letters, digits, dots and dashes", 64)
    ]
    """The cluster's name: value of the tag joinery.sh/cluster and part of the parameter names."""
    region: Annotated[str, Matching(r"[a-z]{2,}(-[a-z]+)+-[0-9]+", "an AWS region such as ap-northeast-2")]
    """AWS region of the cluster. Not guessed: a daemon in the wrong region would see no instance and buy again."""
    kubeconfig: NonEmpty | None = None
    """Kubeconfig of the daemon. Unset: $KUBECONFIG, else /etc/joinery/kubeconfig."""
    api_server_endpoint: Endpoint | None = None
    """host:port under which machines reach the API server. Unset: as the cluster's own cluster-info says."""
    namespace: NonEmpty = names.NAMESPACE
    """Namespace of the Lease and the ServiceAccount. Another name only when yours are prescribed."""
    batch_idle_seconds: Annotated[Decimals, Between(0, 60)] = 1.0
    """How long to wait for further pending pods after the last new one, in seconds, so that a burst is one decision."""
    batch_max_seconds: Annotated[Decimals, Between(0, 300)] = 10.0
    """The longest that a pending pod waits for others, in seconds, so that a steady trickle cannot hold it up."""
    max_nodes: Annotated[Whole, Between(0)] = 100
    """Brake over all pools: nodes that Joinery may have at once, so that one wrong manifest has a bounded price. 0 buys
    nothing."""
    max_price_per_hour: Annotated[Decimals, Between(0, 1_000_000)] | None = None
    """Brake over all pools: US dollars per hour that Joinery's nodes may cost together, at list price. Unset: none."""
    launches_per_minute: Annotated[Whole, Between(1, 1000)] = 20
    """Brake over all pools: launches in any minute. A loop that buys wrongly is slowed down to this."""
    launch_timeout_seconds: Seconds = 300
    """After this many seconds a claim without an instance is given up; EC2 answers a launch at once or not at all."""
    registration_timeout_seconds: Seconds = 900
    """After this many seconds an instance whose node has not joined is terminated; a good join takes one to three
    minutes."""
    capacity_error_seconds: Seconds = 180
    """How long an offering that EC2 refused for want of capacity is left out, in seconds. Shorter asks in vain, longer
    misses capacity that came back."""
    orphan_grace_seconds: Seconds = 600
    """How long an instance without a claim is left alone before it is terminated, in seconds; it may only be one that
    the cache has not seen yet."""
    token: TokenSettings = TokenSettings()
    """The bootstrap token that machines join with."""
    admission: Literal["verified", "token"] = "verified"
    """verified: only certificates for instances that Joinery or Terraform launched are approved, by Joinery. token:
    kubeadm's own approval, for whoever has a token."""
    node_name: Literal["instance-id", "private-dns"] = "instance-id"
    """How nodes are named. private-dns is for clusters with the AWS cloud controller manager that need it."""
    ssm_prefix: Annotated[str, Matching(r"/[A-Za-z0-9._/-]+", "a parameter path such as /joinery/prod", 500)] | None = (
        None
    )
    """Path of the parameters in Parameter Store. Unset: /joinery/<clusterName>."""
    kms_key_id: NonEmpty | None = None
    """KMS key of the token's parameter. Unset: the account's key for Parameter Store."""
    preference_policy: Literal["Respect", "Ignore"] = "Respect"
    """Whether preferences of pods count as required until they cannot be met; PreferNoSchedule always does."""
    min_values_policy: Literal["Strict", "BestEffort"] = "Strict"
    """BestEffort lowers minValues when nothing satisfies them; Strict leaves the pods pending."""
    spot_to_spot_consolidation: Flag = True
    """Whether a spot node may be replaced by a cheaper spot node. Saves money, at the price of more moves."""
    repair: Flag = True
    """Whether nodes that stay NotReady are replaced, at most a fifth of a pool at once."""
    lease_duration_seconds: Annotated[Whole, Between(5, 300)] = 15
    """Seconds without renewal after which another daemon takes over. Longer than an API server's restart, shorter than
    people wait."""
    log_format: Literal["auto", "json", "console"] = "auto"
    """auto: readable on a terminal, JSON otherwise."""
    observe_record: NonEmpty = "/var/lib/joinery/observed.jsonl"
    """Where `joinery run --dry-run` keeps what it would have done, for `joinery report`. At most 16 MiB with the file
    before it."""
    userdata_templates: NonEmpty | None = None
    """Directory of userData templates to use instead of those that are shipped."""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "batchIdleSeconds must not be more than batchMaxSeconds",
            holds=lambda s: s.batch_idle_seconds <= s.batch_max_seconds,
            reads=("batchIdleSeconds", "batchMaxSeconds"),
            at="batchIdleSeconds",
        ),
    )

    @property
    def parameter_prefix(self) -> str:
        """Path of the parameters, without a slash at its end."""
        return (self.ssm_prefix or f"/joinery/{self.cluster_name}").rstrip("/")

    @property
    def token_parameter(self) -> str:
        """Name of the parameter that holds the token."""
        return f"{self.parameter_prefix}/bootstrap-token"

    @property
    def facts_parameter(self) -> str:
        """Name of the parameter that holds the public join facts."""
        return f"{self.parameter_prefix}/join-facts"

    @property
    def limits(self) -> Limits:
        """What decisions depend on."""
        price = self.max_price_per_hour
        return Limits(
            max_nodes=self.max_nodes,
            max_price_nano_usd=round(price * 1e9) if price is not None else None,
            launches_per_minute=self.launches_per_minute,
            launch_timeout_seconds=self.launch_timeout_seconds,
            registration_timeout_seconds=self.registration_timeout_seconds,
            orphan_grace_seconds=self.orphan_grace_seconds,
            preference_policy=self.preference_policy,
            min_values_policy=self.min_values_policy,
            spot_to_spot_consolidation=self.spot_to_spot_consolidation,
            repair=self.repair,
            node_name=self.node_name,
            admission=self.admission,
        )


def load(path: str) -> Settings:
    """Read the settings file.

    Raises:
        SettingsError: it is not there, cannot be read, or has faults, all of which are named.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([f"{path}: is not UTF-8 text"]) from error
    found = load_documents(text, path)
    if found.faults:
        raise SettingsError([str(f) for f in found.faults])
    if len(found.documents) != 1:
        raise SettingsError([f"{path}: must hold exactly one document, not {len(found.documents)}"])
    return parse(found.documents[0].obj, path)


def parse(raw: dict[str, Any], source: str) -> Settings:
    """Read settings from what YAML made of them. Raises ``SettingsError``."""
    examined = examine(Settings, raw)
    if examined.faults or examined.value is None:
        raise SettingsError([f"{source}: {path_text(p)}: {t}" if p else f"{source}: {t}" for p, t in examined.faults])
    return examined.value


def defaults() -> Settings:
    """Settings of nobody's cluster, for a plan made from files alone."""
    return Settings.model_validate({"clusterName": "kubernetes", "region": "us-east-1"})


def override(settings: Settings, assignments: Sequence[str]) -> Settings:
    """Settings with ``KEY=VALUE`` (``token.ttlSeconds=3600``) laid over them, for `joinery plan --set`.

    The value is read as YAML, so ``true`` and ``20`` are what they look like, and an empty one means unset.

    Raises:
        SettingsError: an assignment without ``=``, an unknown key, or a value that does not fit.
    """
    whole: dict[str, Any] = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise SettingsError([f"--set {assignment}: must be KEY=VALUE"])
        found = load_documents(f"value: {text}", "--set")
        if found.faults or len(found.documents) != 1:
            raise SettingsError([f"--set {assignment}: the value cannot be read"])
        _assign(whole, key.split("."), found.documents[0].obj.get("value"))
    return parse(whole, "--set")


def _assign(whole: dict[str, Any], key: Sequence[str], value: object) -> None:
    *parents, last = key
    target = whole
    for parent in parents:
        inner = target.get(parent)
        target[parent] = dict(inner) if isinstance(inner, dict) else {}
        target = target[parent]
    target[last] = value


def limits(settings: Settings) -> Limits:
    """What decisions depend on."""
    return settings.limits


def reference() -> str:
    """The reference page of the settings, in Markdown."""
    lines = [
        "<!-- Generated by `make generate` from agent/settings.py; edit the descriptions there. -->",
        "",
        "# Settings",
        "",
        f"`{DEFAULT_PATH}`, YAML. `joinery run` reports every fault of the file at once and starts with none.",
        "",
        "| field | default | meaning |",
        "|---|---|---|",
        *_rows(Settings, ""),
        "",
    ]
    return "\n".join(lines)


def _rows(model: type[BaseModel], path: str) -> list[str]:
    rows = []
    said = meanings(model)
    for name, info in model.model_fields.items():
        where = f"{path}{info.alias or name}"
        if isinstance(info.default, Written):
            rows += _rows(type(info.default), f"{where}.")
            continue
        default = "required" if info.is_required() else "unset" if info.default is None else f"`{_yaml(info.default)}`"
        meaning = " ".join(said.get(name, "").split()).replace("|", "\\|").replace("<", "&lt;")
        rows.append(f"| `{where}` | {default} | {meaning} |")
    return rows


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


__all__ = [
    "DEFAULT_PATH",
    "Settings",
    "SettingsError",
    "TokenSettings",
    "defaults",
    "limits",
    "load",
    "override",
    "parse",
    "reference",
]
