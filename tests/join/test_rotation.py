"""The published token always works, whatever dies, and whoever interferes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from agent.aws import errors as aws_errors
from agent.aws.session import AwsSession
from agent.aws.ssm import Ssm
from agent.join.errors import LockHeld, LockLost, NotOurToken, PublishFailed, TokenRejected
from agent.join.facts import JoinFacts
from agent.join.published import PublishedToken
from agent.join.rotation import STEPS
from agent.join.tokens import BootstrapToken, secret_manifest
from agent.kube import errors as kube_errors
from agent.model.names import BOOTSTRAP_GROUP
from tests.join.cluster import SECRETS, AwsAnswering, Json
from tests.join.conftest import REGION, World

OLDER_FACTS = "v1.35.1"


class Killed(BaseException):
    """The process is gone."""


def first(world: World) -> str:
    return world.rotation().rotate(world.facts).token_id


def expiry(world: World, token_id: str) -> datetime:
    secret = world.cluster.secret(token_id)
    assert secret is not None
    return datetime.fromisoformat(secret["expiration"])


def later(world: World, **by: int) -> None:
    world.time.sleep(timedelta(**by).total_seconds())


def test_the_first_rotation_publishes_a_token_that_works(world: World) -> None:
    outcome = world.rotation().rotate(world.facts)

    user = world.cluster.user(world.published())
    assert user is not None
    assert user[0] == f"system:bootstrap:{outcome.token_id}"
    assert BOOTSTRAP_GROUP in user[1]
    assert outcome.rotated
    assert outcome.expires_at == world.time.now + timedelta(hours=2)
    facts = world.ssm.get(world.policy.facts_parameter)
    assert facts is not None
    assert facts.value == world.facts.text()


def test_a_token_that_is_not_due_is_kept(world: World) -> None:
    token_id = first(world)
    later(world, minutes=59)

    outcome = world.rotation().rotate(world.facts)

    assert (outcome.rotated, outcome.token_id) == (False, token_id)
    assert world.published_id() == token_id


def test_a_due_token_is_replaced_and_overlaps(world: World) -> None:
    old = first(world)
    later(world, minutes=60)

    outcome = world.rotation().rotate(world.facts)

    assert outcome.rotated
    assert outcome.retired == (old,)
    assert world.cluster.live() == {old, outcome.token_id}
    assert expiry(world, old) == world.time.now + timedelta(minutes=15)
    later(world, minutes=15)
    assert world.cluster.live() == {outcome.token_id}
    assert world.rotation().repair().revoked == (old,)
    assert world.cluster.secret(old) is None


def test_an_overlap_never_lengthens_a_life(world: World) -> None:
    old = first(world)
    later(world, minutes=115)
    end = expiry(world, old)

    world.rotation().rotate(world.facts)

    assert expiry(world, old) == end


def test_two_tokens_live_at_most(world: World) -> None:
    ids = [first(world), *(world.rotation().rotate(force=True).token_id for _ in range(4))]

    assert world.cluster.live() == set(ids[-2:])


def test_the_steps_of_a_rotation_are_in_the_safe_order(world: World) -> None:
    first(world)
    world.rotation().rotate(force=True)
    world.seen.clear()

    world.rotation().rotate(_older(world), force=True)

    steps = ["publish-facts", "create-secret", "publish-token", "revoke-secret", "retire-secret"]
    assert world.seen == [f"{when} {step}" for step in steps for when in ("before", "after")]
    assert sorted(STEPS) == sorted(steps)


def _older(world: World) -> JoinFacts:
    return JoinFacts(
        world.facts.cluster,
        world.facts.region,
        world.facts.endpoint,
        world.facts.ca_cert_hashes,
        world.facts.token_parameter,
        OLDER_FACTS,
    )


def kill_at(world: World, checkpoint: str) -> Callable[[str], None]:
    """From this checkpoint on nothing of the process gets out any more."""

    def check(name: str) -> None:
        if name == checkpoint:
            world.cluster.down = True
            raise Killed

    return check


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("resume", ["rotate", "repair"])
def test_a_crash_at_any_step_leaves_a_working_token_and_is_made_good(
    world: World, step: str, moment: str, resume: str
) -> None:
    first(world)
    before = world.rotation().rotate(force=True).token_id
    later(world, minutes=60)
    world.on_checkpoint = kill_at(world, f"{moment} {step}")
    with pytest.raises(Killed):
        world.rotation().rotate(_older(world), force=True)
    world.on_checkpoint = lambda _: None
    world.cluster.down = False

    assert world.published_id() in world.cluster.live()
    assert len(world.cluster.live()) <= 4
    held = world.published_id()
    rotation = world.rotation()
    outcome = rotation.rotate(_older(world)) if resume == "rotate" else rotation.repair(_older(world))

    state = PublishedToken(world.api, world.ssm, world.policy, world.time.clock).verify()
    assert state.faults == ()
    assert world.published_id() == outcome.token_id
    # What a booting machine may have read a moment ago still joins.
    assert {held, before} <= world.cluster.live()
    assert len(world.cluster.live()) <= 2
    facts = world.ssm.get(world.policy.facts_parameter)
    assert facts is not None
    assert OLDER_FACTS in facts.value
    again = world.rotation().repair()
    assert (again.rotated, again.revoked, again.retired) == (False, (), ())


@pytest.mark.parametrize("moment", ["before create-secret", "after create-secret", "before publish-token"])
def test_a_crash_of_the_very_first_rotation_is_made_good(world: World, moment: str) -> None:
    world.on_checkpoint = kill_at(world, moment)
    with pytest.raises(Killed):
        world.rotation().rotate(world.facts)
    world.on_checkpoint = lambda _: None
    world.cluster.down = False

    outcome = world.rotation().repair(world.facts)

    assert outcome.rotated
    assert world.published_id() == outcome.token_id
    assert len(world.cluster.live()) <= 2


def _gone(world: World, token_id: str) -> None:
    world.cluster.delete(token_id)


def _expired(world: World, token_id: str) -> None:
    world.cluster.edit(token_id, expiration="2026-03-01T11:00:00Z")


def _foreign(world: World, token_id: str) -> None:
    world.cluster.objects[f"{SECRETS}/bootstrap-token-{token_id}"]["metadata"]["labels"] = {}


def _kubeadms(world: World, token_id: str) -> None:
    world.cluster.edit(token_id, auth_extra_groups="system:bootstrappers:kubeadm:default-node-token")


def _unsigned(world: World, token_id: str) -> None:
    world.cluster.edit(token_id, usage_bootstrap_signing="false")


def _other_secret(world: World, token_id: str) -> None:
    world.ssm.put(world.policy.parameter, f"{token_id}.aaaaaaaaaaaaaaaa", secure=True)


def _malformed(world: World, _: str) -> None:
    world.ssm.put(world.policy.parameter, "hello", secure=True)


def _deleted(world: World, _: str) -> None:
    world.ssm.delete(world.policy.parameter)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_gone, "the cluster has no such token"),
        (_expired, "has expired"),
        (_foreign, "somebody else made it"),
        (_kubeadms, "instead of system:bootstrappers:joinery alone"),
        (_unsigned, "usage-bootstrap-signing"),
        (_other_secret, "not the cluster's"),
        (_malformed, "does not hold a bootstrap token"),
        (_deleted, "does not exist"),
    ],
)
def test_repair_mends_what_somebody_broke_and_says_what_it_was(
    world: World, damage: Callable[[World, str], None], why: str
) -> None:
    old = first(world)
    damage(world, old)

    outcome = world.rotation().repair()

    assert outcome.rotated
    assert why in outcome.why
    assert outcome.token_id != old
    assert PublishedToken(world.api, world.ssm, world.policy, world.time.clock).verify().faults == ()


def test_repair_leaves_a_sound_token_alone_however_old(world: World) -> None:
    token_id = first(world)
    later(world, minutes=90)

    assert world.rotation().repair().token_id == token_id


def test_extra_tokens_of_ours_are_revoked_and_foreign_ones_never(world: World) -> None:
    kept = first(world)
    for token_id, labelled in (("extra0", True), ("foreig", False)):
        manifest = secret_manifest(BootstrapToken(token_id, "0" * 16), world.time.now + timedelta(hours=1), "")
        if not labelled:
            manifest["metadata"]["labels"] = {}  # type: ignore[index]
        world.api.create(SECRETS, manifest)

    outcome = world.rotation().repair()

    assert outcome.revoked == ("extra0",)
    assert world.cluster.live() == {kept, "foreig"}


def test_a_token_that_the_cluster_does_not_sign_is_not_published(world: World) -> None:
    old = first(world)
    world.cluster.signs = False

    with pytest.raises(TokenRejected, match="not signed"):
        world.rotation().rotate(force=True)

    assert world.published_id() == old
    assert world.cluster.live() == {old}


def test_an_api_server_that_sees_the_secret_late_is_waited_for(world: World) -> None:
    world.cluster.fail("POST", "selfsubjectreviews", 401, reason="Unauthorized")

    assert world.rotation().rotate(world.facts).rotated


def test_a_value_that_does_not_stick_stops_the_rotation_before_the_old_token_ends(world: World) -> None:
    old = first(world)
    end = expiry(world, old)

    def meddle(name: str) -> None:
        if name == "after publish-token":
            world.ssm.put(world.policy.parameter, "abcdef.0123456789abcdef", secure=True)

    world.on_checkpoint = meddle
    with pytest.raises(PublishFailed, match="somebody else writes it"):
        world.rotation().rotate(force=True)

    assert expiry(world, old) == end


@pytest.mark.parametrize("part", ["secrets", "bootstrap-token-"])
def test_a_lost_answer_of_the_api_server_loses_nothing(world: World, part: str) -> None:
    first(world)
    method = "POST" if part == "secrets" else "PATCH"
    world.cluster.fail(method, part, 500, reason="InternalError", after=True)
    with pytest.raises(kube_errors.Retryable):
        world.rotation().rotate(force=True)

    outcome = world.rotation().repair()

    assert not outcome.rotated
    assert world.published_id() in world.cluster.live()
    assert len(world.cluster.live()) <= 2


def test_a_new_secret_that_is_refused_changes_nothing(world: World) -> None:
    old = first(world)
    world.cluster.fail("POST", "secrets", 403, reason="Forbidden")

    with pytest.raises(kube_errors.Denied):
        world.rotation().rotate(force=True)

    assert world.published_id() == old
    assert world.cluster.live() == {old}


def test_a_token_that_ends_while_it_is_retired_is_no_error(world: World) -> None:
    old = first(world)
    world.cluster.fail("PATCH", old, 404, reason="NotFound")

    assert world.rotation().rotate(force=True).retired == ()


def test_whoever_holds_the_lock_is_named(world: World) -> None:
    holder = world.lock("daemon-on-cp-1")
    assert holder.try_acquire()
    # The holder renews, so its time is never up.
    world.policy = type(world.policy)(world.policy.parameter, world.policy.facts_parameter, lock_wait_seconds=5)

    with pytest.raises(LockHeld, match="daemon-on-cp-1 is changing the tokens") as refused:
        world.rotation().rotate(force=True)

    assert refused.value.holder == "daemon-on-cp-1"
    assert world.published() == ""


def test_a_dead_holder_is_waited_out(world: World) -> None:
    assert world.lock("dead").try_acquire()

    assert world.rotation().rotate(world.facts).rotated


def test_the_lock_is_free_after_success_and_after_failure(world: World) -> None:
    first(world)
    world.cluster.fail("POST", "secrets", 403, reason="Forbidden")
    with pytest.raises(kube_errors.Denied):
        world.rotation().rotate(force=True)

    assert world.lock("next").try_acquire()


def test_nothing_is_written_once_the_lock_is_lost(world: World) -> None:
    old = first(world)

    def steal(name: str) -> None:
        if name == "after create-secret":
            lease = world.cluster.objects["/apis/coordination.k8s.io/v1/namespaces/joinery-system/leases/joinery-token"]
            lease["metadata"]["resourceVersion"] = "stolen"
            lease["spec"]["holderIdentity"] = "thief"

    world.on_checkpoint = steal
    with pytest.raises(LockLost):
        world.rotation().rotate(force=True)

    assert world.published_id() == old


def test_an_api_server_that_is_down_is_named_instead_of_a_lock(world: World) -> None:
    world.cluster.down = True

    with pytest.raises(kube_errors.Retryable):
        world.rotation().rotate(world.facts)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "AccessDeniedException", aws_errors.Denied),
        (400, "ThrottlingException", aws_errors.Throttled),
    ],
)
def test_parameter_store_saying_no_leaves_the_old_token_published(
    world: World, monkeypatch: pytest.MonkeyPatch, status: int, code: str, kind: type[Exception]
) -> None:
    old = first(world)
    published = world.published()

    def answer(operation: str, _: Json) -> tuple[int, Json]:
        if operation == "GetParameter":
            return 200, {"Parameter": {"Name": "p", "Value": published, "Version": 1, "Type": "SecureString"}}
        return status, {"__type": code, "message": "no"}

    service = AwsAnswering(answer)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", service.url)
    session = AwsSession(REGION)
    world.ssm = Ssm(session)
    try:
        with pytest.raises(kind):
            world.rotation().rotate(force=True)
    finally:
        session.close()
        service.close()

    assert old in world.cluster.live()


def test_revoking_the_published_token_publishes_another_first(world: World) -> None:
    leaked = first(world)
    seen: list[set[str]] = []
    world.on_checkpoint = lambda name: seen.append(world.cluster.live()) if name == "before revoke-secret" else None

    outcome = world.rotation().revoke(leaked)

    assert outcome is not None
    assert seen == [{leaked, outcome.token_id}]
    assert world.published_id() == outcome.token_id
    assert world.cluster.live() == {outcome.token_id}


def test_revoking_the_predecessor_publishes_nothing(world: World) -> None:
    old = first(world)
    new = world.rotation().rotate(force=True).token_id

    assert world.rotation().revoke(old) is None
    assert world.cluster.live() == {new}


def test_a_leaked_token_ends_even_when_its_successor_cannot_be_published(world: World) -> None:
    leaked = first(world)
    world.cluster.signs = False

    with pytest.raises(TokenRejected):
        world.rotation().revoke(leaked)

    assert world.cluster.live() == set()


@pytest.mark.parametrize("token_id", ["nobody", "foreig"])
def test_a_token_of_somebody_else_is_not_revoked(world: World, token_id: str) -> None:
    first(world)
    manifest = secret_manifest(BootstrapToken("foreig", "0" * 16), world.time.now + timedelta(hours=1), "")
    manifest["metadata"]["labels"] = {}  # type: ignore[index]
    world.api.create(SECRETS, manifest)

    with pytest.raises(NotOurToken):
        world.rotation().revoke(token_id)

    assert "foreig" in world.cluster.live()


def test_facts_are_written_only_when_they_changed(world: World) -> None:
    first(world)
    found = world.ssm.get(world.policy.facts_parameter)
    world.rotation().repair(world.facts)
    again = world.ssm.get(world.policy.facts_parameter)

    assert found is not None
    assert again is not None
    assert found.version == again.version
