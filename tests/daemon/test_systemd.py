"""What systemd would receive, read from a socket such as systemd's own."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.daemon.systemd import Notifier, watchdog_seconds


class Listener:
    """A datagram socket that stands where systemd's would."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.settimeout(5)
        self.environment = {"NOTIFY_SOCKET": address}

    def lines(self) -> list[str]:
        return self._socket.recv(65536).decode().split("\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    name = f"@joinery-test-{os.getpid()}-{time.monotonic_ns()}" if request.param == "abstract" else f"{tmp_path}/notify"
    opened = Listener(name)
    yield opened
    opened.close()


def test_each_message_is_one_datagram(listener: Listener) -> None:
    notifier = Notifier.from_environment(listener.environment)

    assert notifier.ready("leader, 18 nodes")
    assert listener.lines() == ["READY=1", "STATUS=leader, 18 nodes"]
    assert notifier.status("nothing to do")
    assert listener.lines() == ["STATUS=nothing to do"]
    assert notifier.watchdog()
    assert listener.lines() == ["WATCHDOG=1"]
    assert notifier.extend_timeout(1.5)
    assert listener.lines() == ["EXTEND_TIMEOUT_USEC=1500000"]
    assert notifier.stopping()
    assert listener.lines() == ["STOPPING=1"]


def test_a_reload_tells_the_monotonic_time_that_notify_reload_asks_for(listener: Listener) -> None:
    before = time.monotonic_ns() // 1000

    assert Notifier.from_environment(listener.environment).reloading()

    first, second = listener.lines()
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_of_several_lines_cannot_smuggle_in_another_assignment(listener: Listener) -> None:
    Notifier.from_environment(listener.environment).status("two lines\nSTOPPING=1 \u2192 x")

    assert listener.lines() == ["STATUS=two lines STOPPING=1 \u2192 x"]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1234"}])
def test_without_a_socket_of_systemd_nothing_is_sent(environment: dict[str, str]) -> None:
    assert not Notifier.from_environment(environment).ready()


def test_a_socket_that_is_gone_does_not_stop_the_daemon(tmp_path: Path) -> None:
    assert not Notifier.from_environment({"NOTIFY_SOCKET": f"{tmp_path}/gone"}).watchdog()


def test_the_watchdog_is_due_at_half_of_what_the_unit_allows() -> None:
    assert watchdog_seconds({"WATCHDOG_USEC": "60000000"}) == 30
    assert watchdog_seconds({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}) == 30
    assert watchdog_seconds({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, pid=7) == 1.5


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}],
)
def test_no_watchdog_when_none_is_set_or_it_is_meant_for_another_process(environment: dict[str, str]) -> None:
    assert watchdog_seconds(environment, pid=7) is None
