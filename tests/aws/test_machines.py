"""Looking at instances and ending them."""

import pytest

from agent.aws import errors
from agent.aws.ec2 import Ec2
from agent.model import names
from agent.model.names import ClaimUid
from tests.sim.server import CLUSTER, CLUSTER_UID, World


def test_all_pages_are_read(world: World) -> None:
    launched = {world.launch(f"claim-{n}") for n in range(7)}
    world.server.ask("/_pages", {"limit": 2})
    assert {m.id for m in world.ec2.machines()} == launched
    assert len(world.server.calls("DescribeInstances")) == 4


def test_a_page_that_is_lost_is_an_error_and_never_half_a_list(world: World) -> None:
    for n in range(3):
        world.launch(f"claim-{n}")
    world.server.ask("/_pages", {"limit": 1})
    world.server.fault(
        "DescribeInstances", match={"NextToken": "ZnJvbSAy*"}, code="InternalError", status=500, times=-1
    )
    with pytest.raises(errors.Retryable):
        world.ec2.machines()


def test_only_this_clusters_instances_are_listed_with_terraforms(world: World) -> None:
    ours = world.launch("a")
    base = world.launch("b", **{names.TAG_ROLE: "base"})
    world.launch("c", **{names.TAG_CLUSTER: "another"})
    found = {str(m.id): m for m in world.ec2.machines()}
    assert set(found) == {ours, base}
    assert found[base].is_base(CLUSTER)
    assert not found[base].is_ours(CLUSTER, CLUSTER_UID)


def test_a_new_instance_is_not_seen_at_first_and_then_it_is(world: World) -> None:
    world.server.ask("/_delays", {"hidden": 60})
    instance = world.launch()
    assert world.ec2.machine(instance) is None
    assert world.ec2.machines() == ()
    assert world.ec2.machines_of_claim(ClaimUid("claim-uid")) == ()
    world.server.ask("/_delays", {"hidden": 0})
    assert world.ec2.machine(instance) is not None


def test_states_are_shown_as_ec2_shows_them(world: World) -> None:
    world.server.ask("/_delays", {"pending": 60, "shutting_down": 60})
    instance = world.launch()
    assert [(m.state, m.alive) for m in world.ec2.machines()] == [("pending", True)]
    world.server.ask("/_delays", {"pending": 0})
    assert [m.state for m in world.ec2.machines()] == ["running"]
    world.ec2.terminate(instance)
    assert [(m.state, m.alive) for m in world.ec2.machines()] == [("shutting-down", False)]
    world.server.ask("/_delays", {"shutting_down": 0})
    assert [m.state for m in world.ec2.machines()] == ["terminated"]
    world.server.ask("/_delays", {"forgotten": 0})
    assert world.ec2.machines() == ()
    assert world.ec2.machine(instance) is None


def test_a_claims_instance_is_found_when_it_is_terminated(world: World) -> None:
    world.server.ask("/_delays", {"shutting_down": 0})
    world.ec2.terminate(world.launch())
    assert [m.state for m in world.ec2.machines_of_claim(ClaimUid("claim-uid"))] == ["terminated"]
    assert world.ec2.machines_of_claim(ClaimUid("another")) == ()


def test_the_reason_of_an_end_is_read(world: World) -> None:
    instance = world.launch()
    world.server.ask("/_instances", {"id": instance, "do": "interrupt"})
    machine = world.ec2.machine(instance)
    assert machine is not None
    assert machine.state_reason == "Server.SpotInstanceTermination"


@pytest.mark.parametrize(
    "tags",
    [
        {names.TAG_ROLE: "base"},
        {names.TAG_ROLE: "control-plane"},
        {names.TAG_CLUSTER_UID: "another"},
        {names.TAG_CLUSTER: "another"},
        {names.TAG_MANAGED: "false"},
    ],
)
def test_what_is_not_ours_is_never_terminated(world: World, tags: dict[str, str]) -> None:
    instance = world.launch(**tags)
    with pytest.raises(errors.NotOurs, match="left alone"):
        world.ec2.terminate(instance)
    assert world.server.calls("TerminateInstances") == []
    assert world.server.ask("/_instances", method="GET")[0]["state"] in {"pending", "running"}


def test_terminating_twice_or_what_is_gone_is_fine(world: World) -> None:
    instance = world.launch()
    world.ec2.terminate(instance)
    world.ec2.terminate(instance)
    world.ec2.terminate("i-0123456789abcdef0")
    assert len(world.server.calls("TerminateInstances")) == 1


def test_gone_between_look_and_call_is_fine(world: World) -> None:
    instance = world.launch()
    world.server.fault("TerminateInstances", code="InvalidInstanceID.NotFound")
    world.ec2.terminate(instance)


def test_a_termination_whose_answer_is_lost_is_repeated_harmlessly(world: World) -> None:
    instance = world.launch()
    world.server.fault("TerminateInstances", moment="after")
    with pytest.raises(errors.Retryable):
        world.ec2.terminate(instance)
    world.ec2.terminate(instance)
    machine = world.ec2.machine(instance)
    assert machine is not None
    assert not machine.alive


def test_another_cluster_of_the_same_name_is_another_cluster(world: World) -> None:
    instance = world.launch()
    with pytest.raises(errors.NotOurs):
        Ec2(world.session, CLUSTER, "the-uid-of-another").terminate(instance)


def test_the_console_is_read_as_text_and_empty_when_the_instance_is_gone(world: World) -> None:
    instance = world.launch()
    world.server.ask("/_instances", {"id": instance, "do": "console", "text": "kubeadm join: done\n"})
    assert world.ec2.console_output(instance) == "kubeadm join: done\n"
    assert world.ec2.console_output("i-0123456789abcdef0") == ""


def test_a_console_without_live_output_is_read_as_of_the_last_boot(world: World) -> None:
    instance = world.launch()
    world.server.ask("/_instances", {"id": instance, "do": "console", "text": "booted\n"})
    world.server.fault("GetConsoleOutput", match={"Latest": "true"}, code="UnsupportedOperation")
    assert world.ec2.console_output(instance) == "booted\n"
