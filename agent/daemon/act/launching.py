"""From a planned node to an instance: the claim, the template, the intent, the request, the record.

The order is the safety: the claim exists before money is spent, and the exact request stands on the claim
before it is sent, so that whoever comes after a crash can ask for the same instance by the same token.
"""

from datetime import datetime, timedelta

import msgspec
import structlog

from agent.aws import errors as aws
from agent.aws.fleet import FleetAnswer, FleetError, LaunchedInstance, client_token
from agent.aws.templates import TemplateContent
from agent.daemon.act.registry import Hands, effect
from agent.kube import errors as kube
from agent.kube import paths, wire
from agent.model import names
from agent.model.actions import AdoptMachine, ClaimDraft, ContinueLaunch, Launch, RecordLaunch, Target
from agent.model.constraints import named_value
from agent.model.ec2 import CapacityError, CapacityType, LaunchRequest, Machine, Override
from agent.model.kubernetes import Condition, NodeClaim
from agent.model.names import ClassName, PoolName
from agent.model.plan import LastAnswer, Lesson
from agent.model.reasons import Reason, ReasonCode

log = structlog.get_logger(__name__)

CLAIMS = "nodeclaims"
DENIED_RETRY = timedelta(minutes=2)
"""How long a definite refusal that more offerings cannot mend (denied, invalid) rests before the next attempt."""


@effect
def create_claim(hands: Hands, draft: ClaimDraft) -> NodeClaim:
    """Write the NodeClaim. Its name comes from the decision, so that a repeated create is a conflict."""
    try:
        raw = hands.api.create(paths.node_claims(), wire.claim_manifest(draft))
    except kube.Retryable:
        hands.cache.unknown(CLAIMS)
        raise
    hands.cache.wrote(CLAIMS, raw)
    return wire.node_claim(raw)


@effect
def ensure_template(hands: Hands, content: TemplateContent) -> tuple[str, str]:
    """The launch template of this content: found by its hash, else created."""
    return hands.templates.ensure(content)


@effect
def write_intent(hands: Hands, claim: Target, request: LaunchRequest) -> None:
    """Annotate the claim with the exact request; the resourceVersion is the fence between two writers."""
    text = msgspec.json.encode(request).decode()
    body = {
        "metadata": {
            "resourceVersion": claim.resource_version,
            "uid": claim.uid,
            "annotations": {names.LAUNCH_INTENT: text},
        }
    }
    hands.cache.wrote(CLAIMS, hands.api.merge_patch(paths.node_claims(claim.name), body))


@effect
def create_fleet(hands: Hands, claim: Target, request: LaunchRequest) -> FleetAnswer:
    """Buy one instance. The token is made of claim and attempt: sent twice, it is still one instance."""
    hands.learn(Lesson(sent=(names.ClaimUid(claim.uid), hands.clock())))
    return hands.ec2.create_fleet(request, client_token(names.ClaimUid(claim.uid), request.attempt))


@effect
def label_claim(hands: Hands, action: RecordLaunch) -> Target:
    """Put what the instance turned out to be on the claim's labels; the node gets them when it registers."""
    body = {"metadata": {"resourceVersion": action.claim.resource_version, "labels": action.labels}}
    raw = hands.api.merge_patch(paths.node_claims(action.claim.name), body)
    hands.cache.wrote(CLAIMS, raw)
    meta = wire.node_claim(raw).meta
    return Target(name=meta.name, uid=meta.uid, resource_version=meta.resource_version)


@effect
def record_launch(hands: Hands, claim: Target, action: RecordLaunch, conditions: tuple[Condition, ...]) -> None:
    """Write status.providerID, what the instance has, and Launched=True."""
    status = {
        "providerID": f"aws:///{action.zone}/{action.instance}",
        "imageID": action.image_id,
        "capacity": wire.quantities(action.capacity),
        "allocatable": wire.quantities(action.allocatable),
        "conditions": wire.conditions(conditions),
    }
    body = {"metadata": {"resourceVersion": claim.resource_version}, "status": status}
    hands.cache.wrote(CLAIMS, hands.api.merge_patch(paths.status(paths.node_claims(claim.name)), body))


def launch(hands: Hands, action: Launch) -> None:
    """Carry out a planned launch from the beginning."""
    claim = create_claim(hands, action.draft)
    hands.learn(Lesson(launched=hands.clock()))
    target = Target(name=claim.name, uid=claim.uid, resource_version=claim.meta.resource_version)
    reservation = named_value(action.draft.requirements, names.RESERVATION) or ""
    attempt = _Attempt(target, action.draft.pool, action.draft.node_class, 1, reservation)
    _buy(hands, attempt, action.capacity_type, action.candidates)


def continue_launch(hands: Hands, action: ContinueLaunch) -> None:
    """Buy for a claim that exists: the stored request again, or the next attempt."""
    if action.request is not None:
        _send(hands, action.claim, action.request)
    else:
        attempt = _Attempt(action.claim, action.pool, action.node_class, action.attempt, action.reservation)
        _buy(hands, attempt, action.capacity_type, action.candidates)


def record(hands: Hands, action: RecordLaunch) -> None:
    """Record an instance that was found by its tags."""
    claim = hands.cache.get(CLAIMS, action.claim.name)
    if not isinstance(claim, NodeClaim):
        return
    target = label_claim(hands, action)
    launched = Condition("Launched", "True", "Launched", str(action.reason), hands.clock())
    record_launch(hands, target, action, wire.with_condition(claim.conditions, launched, hands.clock()))


def adopt(hands: Hands, action: AdoptMachine) -> None:
    """Rebuild a lost claim; its annotation names the instance, which the next cycle records."""
    create_claim(hands, action.draft)


class _Attempt(msgspec.Struct, frozen=True):
    claim: Target
    pool: PoolName
    node_class: ClassName
    number: int
    reservation: str = ""


def _buy(hands: Hands, attempt: _Attempt, capacity_type: CapacityType, candidates: tuple[Override, ...]) -> None:
    content = hands.blueprint(attempt.node_class, attempt.reservation)
    template_id, version = ensure_template(hands, content)
    request = LaunchRequest(
        attempt=attempt.number,
        template_id=template_id,
        template_version=version,
        capacity_type=capacity_type,
        overrides=candidates,
        tags=content.tags | _tags(hands, attempt),
        reservation=attempt.reservation,
    )
    write_intent(hands, attempt.claim, request)
    _send(hands, attempt.claim, request)


def _tags(hands: Hands, attempt: _Attempt) -> dict[str, str]:
    return {
        names.TAG_NAME: attempt.claim.name,
        names.TAG_CLUSTER: hands.cluster.name,
        names.TAG_CLUSTER_UID: hands.cluster.uid,
        names.TAG_MANAGED: "true",
        names.TAG_CLAIM: attempt.claim.name,
        names.TAG_CLAIM_UID: attempt.claim.uid,
        names.TAG_ATTEMPT: str(attempt.number),
        names.TAG_POOL: attempt.pool,
        names.TAG_CLASS: attempt.node_class,
    }


def _send(hands: Hands, claim: Target, request: LaunchRequest) -> None:
    """Send a request and turn the answer into what the next decision needs.

    An error that leaves open whether the request was carried out passes through: the same request is resent.
    """
    now = hands.clock()
    try:
        answer = create_fleet(hands, claim, request)
    except (aws.Gone, aws.Invalid, aws.Denied, aws.CapacityUnavailable) as error:
        _settle(hands, claim, request, error)
        return
    # Of a reservation that is gone, too, there is nothing to be had.
    passing = (aws.CapacityUnavailable, aws.Gone) if request.reservation else (aws.CapacityUnavailable,)
    refused = tuple(_remembered(hands, request, e, now) for e in answer.errors if e.kind in passing)
    if refused:
        hands.learn(Lesson(capacity_errors=refused))
    if answer.instance is not None:
        hands.machines.add(_machine(answer.instance, request, now))
    elif answer.failure is not None:
        _settle(hands, claim, request, answer.failure)


def _settle(hands: Hands, claim: Target, request: LaunchRequest, error: aws.AwsError) -> None:
    """Remember a definite refusal. What the next attempt composes anew (a template that is gone) needs no rest."""
    now = hands.clock()
    capacity = isinstance(error, aws.CapacityUnavailable)
    at_once = capacity or isinstance(error, aws.Gone | aws.TokenSpent)
    answer = LastAnswer(
        attempt=request.attempt,
        code=error.code,
        message=str(error),
        capacity=capacity,
        at=now,
        retry_at=None if at_once else now + DENIED_RETRY,
    )
    hands.learn(Lesson(answer=(names.ClaimUid(claim.uid), answer)))
    code: ReasonCode = "InsufficientCapacity" if capacity else "LaunchFailed"
    hands.events.publish("NodeClaim", claim.name, Reason(code, str(error)), uid=claim.uid, warning=True)
    log.warning("launch.refused", claim=claim.name, attempt=request.attempt, code=error.code, error=str(error))


def _machine(instance: LaunchedInstance, request: LaunchRequest, now: datetime) -> Machine:
    return Machine(
        id=instance.id,
        instance_type=instance.instance_type,
        zone=instance.zone,
        state="pending",
        launched_at=now,
        capacity_type=instance.capacity_type,
        image_id=instance.image_id,
        subnet_id=instance.subnet_id,
        tags=request.tags,
    )


def _remembered(hands: Hands, request: LaunchRequest, error: FleetError, now: datetime) -> CapacityError:
    anywhere = error.whole_capacity_type
    return CapacityError(
        capacity_type=request.capacity_type,
        until=now + timedelta(seconds=hands.capacity_error_seconds),
        instance_type="" if anywhere else error.instance_type,
        zone="" if anywhere else error.zone,
        reservation=request.reservation,
        code=error.code,
    )
