"""`joinery run`, but each write says which effect it belongs to, and the process ends or stops where it is told to.

    python tests/crash/doomed.py SETTINGS KUBECONFIG [before|after|asleep EFFECT]

The daemon is the real one with its real adapters; only its checkpoint is another, and what it sends carries a mark
that a server ignores: of which process it is, and of which effect.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from agent.aws.session import AwsSession
from agent.cli.run import log_to_stdout
from agent.daemon.assembly import Daemon, Options
from agent.kube.api import KubeApi
from agent.kube.transport import JSON
from agent.settings import load

BY, EFFECT = "by", "effect"
HEADER_BY, HEADER_EFFECT = "X-Crash-By", "X-Crash-Effect"
IDENTITY = f"{socket.gethostname()}_{os.getpid()}"
"""As the daemon calls itself in its Lease."""


class Checkpoint:
    """Knows which effect each thread is carrying out, and ends or stops the process at one of them."""

    def __init__(self, doom: Sequence[str]) -> None:
        self._moment, self._effect = doom or ("", "")
        self._now = threading.local()

    @property
    def effect(self) -> str:
        return str(getattr(self._now, "effect", ""))

    def __call__(self, effect: str, moment: str) -> None:
        self._now.effect = effect if moment == "before" else ""
        if effect != self._effect:
            return
        if moment == self._moment:
            os.kill(os.getpid(), signal.SIGKILL)
        if (moment, self._moment) == ("before", "asleep"):
            self._moment = ""
            os.kill(os.getpid(), signal.SIGSTOP)

    def mark(self, request: Any, **_: object) -> None:
        """Botocore's before-send: the mark as headers, after the request was signed."""
        request.headers[HEADER_BY] = IDENTITY
        request.headers[HEADER_EFFECT] = self.effect


class MarkedApi(KubeApi):
    """The real one; its writes carry the mark in their query."""

    checkpoint: Checkpoint

    def _call(self, method: str, url: str, body: bytes | None = None, content_type: str = JSON) -> bytes:
        if method != "GET":
            url += ("&" if "?" in url else "?") + urlencode({BY: IDENTITY, EFFECT: self.checkpoint.effect})
        return super()._call(method, url, body, content_type)


def main(settings_path: str, kubeconfig: str, *doom: str) -> None:
    settings = load(settings_path)
    log_to_stdout(settings)
    checkpoint = Checkpoint(doom)
    api = MarkedApi.from_kubeconfig(kubeconfig)
    assert isinstance(api, MarkedApi)
    api.checkpoint = checkpoint
    session = AwsSession(settings.region)
    clients: tuple[Any, ...] = (session.client("ec2"), session.once(), session.client("ssm"))
    for client in clients:
        client.meta.events.register("before-send", checkpoint.mark)
    Daemon(settings, api, session, Options(checkpoint=checkpoint)).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
