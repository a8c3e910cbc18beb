"""What a machine has printed, read into one sentence."""

from __future__ import annotations

import pytest

from agent.report.joining import PHASES, read

TOKEN = "abcdef.0123456789abcdef"
BOOTED = (
    "[    3.1] cloud-init: booting\njoinery: phase=begin\njoinery: phase=identity\njoinery: node=i-1 zone=a dns=x\n"
)


def test_a_failure_names_its_phase_and_reason() -> None:
    told = read(
        BOOTED
        + "joinery: phase=packages\njoinery: phase=failed at=packages status=1 reason=packages cannot be installed\n"
    )
    assert told.failed
    assert told.phase == "packages"
    assert told.sentence == (
        "it failed in phase packages (containerd, kubelet and kubeadm are being installed): "
        "packages cannot be installed"
    )


def test_a_machine_on_its_way_says_what_it_waits_for() -> None:
    told = read(
        BOOTED + "joinery: phase=token\njoinery: waiting for /joinery/team/bootstrap-token: HTTP 400 AccessDenied\n"
    )
    assert not told.failed
    assert told.sentence == (
        "it is in phase token: it asks Parameter Store for the bootstrap token; "
        "it says: waiting for /joinery/team/bootstrap-token: HTTP 400 AccessDenied"
    )


def test_a_wait_that_is_over_is_not_told() -> None:
    told = read(BOOTED + "joinery: phase=token\njoinery: waiting for a token: nothing\njoinery: phase=join\n")
    assert told.sentence == f"it is in phase join: {PHASES['join']}"


@pytest.mark.parametrize(
    ("output", "sentence"),
    [("", "it has printed nothing yet"), ("Linux version 6.8\n", "its script has said nothing")],
)
def test_a_machine_that_has_not_begun_is_told(output: str, sentence: str) -> None:
    assert read(output).sentence.startswith(sentence)


def test_a_token_is_never_shown() -> None:
    told = read(BOOTED + f"joinery: phase=user-script\n+ kubeadm join --token {TOKEN}\n")
    assert TOKEN not in "\n".join(told.lines)
    assert "--token [token]" in told.lines[-1]
