"""What the daemon does by the clock: join facts, the token, lists of templates, its own credential."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog

from agent.aws.errors import AwsError
from agent.aws.ssm import Ssm
from agent.daemon.classes import Classes
from agent.daemon.upkeep import Upkeep
from agent.join.errors import JoinError
from agent.join.facts import facts_for
from agent.join.published import Surroundings, TokenPolicy
from agent.join.rotation import LOCK_NAME, TokenRotation
from agent.kube import paths, wire
from agent.kube.api import KubeApi
from agent.kube.errors import KubeError, NotFound
from agent.kube.identity import IdentityError, Target, renew
from agent.kube.lease import LeaseLock
from agent.kube.times import utc_now
from agent.manifests import kubelet_settings
from agent.model.ec2 import KubeletSettings
from agent.settings import Settings

log = structlog.get_logger(__name__)


class Chores:
    """Jobs that are no part of a decision. None of them raises for what an edge refused; the next run tries again."""

    def __init__(self, settings: Settings, api: KubeApi, classes: Classes, upkeep: Upkeep) -> None:
        self._settings = settings
        self._api = api
        self._classes = classes
        self._upkeep = upkeep

    def read_facts(self) -> bool:
        """Read what machines must know to join, and the cluster's kubelet configuration; whether that worked."""
        settings = self._settings
        try:
            self._classes.facts = facts_for(self._api, settings)
            self._classes.kubelet = _kubelet(self._api)
        except (KubeError, JoinError) as error:
            log.warning("facts.unreadable", error=str(error))
            return False
        return True

    def tend_token(self, rotation: TokenRotation, leading: Callable[[], bool]) -> None:
        """Rotate the token when it is due or does not work; only the leader does."""
        if not leading():
            return
        try:
            outcome = rotation.rotate(self._classes.facts)
        except (KubeError, AwsError, JoinError) as error:
            log.warning("token.failed", error=str(error))
            return
        if outcome.rotated:
            log.info("token.rotated", token_id=outcome.token_id, why=outcome.why)

    def list_templates(self) -> None:
        """Read which launch templates there are."""
        try:
            self._upkeep.list_templates()
        except AwsError as error:
            log.warning("templates.unreadable", error=str(error))

    def renew_identity(self) -> None:
        """Renew the daemon's own token at half of its life, where it is kept in a file."""
        target = Target(
            kubeconfig=Path(self._settings.kubeconfig or Target().kubeconfig), namespace=self._settings.namespace
        )
        if not target.token.is_file():
            return
        try:
            left = renew(self._api, target, utc_now())
        except (KubeError, IdentityError) as error:
            log.warning("identity.not_renewed", error=str(error))
            return
        log.debug("identity", seconds_left=left)


def _kubelet(api: KubeApi) -> KubeletSettings:
    """The cluster's own kubelet configuration, as kubeadm keeps it; kubelet's defaults when there is none."""
    try:
        data = wire.config_map_data(api.get(paths.config_maps("kube-system", "kubelet-config")))
        written = msgspec.yaml.decode(data.get("kubelet", ""))
    except (NotFound, msgspec.MsgspecError):
        return KubeletSettings()
    return kubelet_settings(KubeletSettings(), written if isinstance(written, dict) else {})


def token_rotation(
    api: KubeApi, ssm: Ssm, settings: Settings, identity: str, checkpoint: Callable[[str, str], None]
) -> TokenRotation:
    """The daemon's rotation, which excludes the command's and the timer's by a Lease.

    ``checkpoint`` is told each step and its moment, as that of the effects is.
    """

    def announced(text: str) -> None:
        moment, _, step = text.partition(" ")
        checkpoint(step, moment)

    policy = TokenPolicy.of(settings)
    surroundings = Surroundings(utc_now, time.sleep, random.SystemRandom(), announced)
    return TokenRotation(api, ssm, LeaseLock(api, settings.namespace, LOCK_NAME, identity), policy, surroundings)
