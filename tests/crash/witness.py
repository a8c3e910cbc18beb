"""Stands before the embedded API and EC2: sees every write of Joinery's, writes the history, and loses answers.

What it sees is checked by the same invariants as the histories of virtual time.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qs

import msgspec

from agent.sim.apiserver import Api, ApiServer, Request, Response, User, WatchStream
from agent.sim.apiserver.messages import AUTHENTICATED, MASTERS
from agent.sim.embedded import Steering
from agent.sim.team import CLUSTER
from tests.crash.doomed import BY, EFFECT, HEADER_BY, HEADER_EFFECT
from tests.crash.truth import Clock, Ec2Truth, KubernetesTruth
from tests.virtual.history import Record
from tests.virtual.kubernetes import LEASES, SECRETS, parsed
from tests.virtual.record import Recorder

READS = ("Describe", "Get", "List")
OK = 300
OPERATOR = "operator"
"""Common name of the certificate with which commands of an administrator come."""
AGED = b"<createTime>2026-01-01T00:00:00.000Z</createTime>"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Blow(NamedTuple):
    """What happens to the first write of an effect that reaches a server."""

    effect: str
    moment: str
    """lost: carried out, its answer lost. cut: carried out, and the process killed before the answer. For commands,
    whose writes are counted (``write 3``), also before and after."""


def operator_kubeconfig(server: ApiServer, folder: Path) -> Path:
    """The kubeconfig of whoever runs a command."""
    return server.write_kubeconfig(folder / "operator.conf", user=User(OPERATOR, (MASTERS, AUTHENTICATED)))


class Witness:
    """Stands before the server from now on. Set ``blow`` and ``victim``; read ``recorder.history``."""

    def __init__(self, api: Api, ec2: Steering) -> None:
        self._api = api
        self._answer = api.handle
        # The server looks its API's method up at every request.
        setattr(api, "handle", self.handle)  # noqa: B010 - mypy: a method is not assigned to
        system = api.store.get("namespaces", ("", "kube-system"))
        assert system is not None, "every cluster has it"
        identity = (CLUSTER, str(system.object["metadata"]["uid"]))
        self.kubernetes = KubernetesTruth(api)
        self.cloud = Ec2Truth(ec2)
        # The truths have what the recorder reads of the models.
        self.recorder = Recorder(*cast("tuple[Any, Any, Any]", (Clock(), self.kubernetes, self.cloud)), identity)
        self.blow: Blow | None = None
        self.struck = False
        self.victim = 0
        """The process that a blow kills."""
        self.writes = 0
        """Of a command, so far."""
        self.ages_templates = False
        self.ec2 = Ec2Proxy(ec2.endpoint, self)

    @property
    def history(self) -> list[Record]:
        return self.recorder.history

    def handle(self, request: Request) -> Response | WatchStream:
        """In place of the API's own."""
        operator = request.user is not None and request.user.name == OPERATOR
        ours = BY in request.query or operator
        if request.method == "GET" or request.dry or not ours:
            return self._answer(request)
        where = parsed(request.path)
        resource = where.collection.rpartition("/")[2]
        lease = resource in {"leases", "selfsubjectreviews"}
        effect = self._numbered(lease) if operator else request.query.get(EFFECT, "")
        blow = self.due(effect)
        self.kill_if(blow, "before")
        action = f"{request.method} {resource}" + (f"/{where.subresource}" if where.subresource else "")
        name = f"{where.namespace}/{where.name}" if where.namespace else where.name
        with self._api.store.changed:
            prepared = self.recorder.before_kube(request.method, where)
            answer = self._answer(request)
            assert isinstance(answer, Response)
            if resource == "events" and answer.code < OK:
                self.kubernetes.events.append(msgspec.json.decode(answer.body))
            process = request.query.get(BY, OPERATOR)
            self.recorder.after_kube(process, (action, name, effect), prepared, (answer.code, answer.body))
            if where.collection in {LEASES, SECRETS} and request.method != "DELETE" and answer.code < OK:
                self._changed(where.collection, answer.body)
        self.after(blow)
        return answer

    def _changed(self, collection: str, body: bytes) -> None:
        decoded = msgspec.json.decode(body)
        if collection == LEASES or "token-secret" in decoded.get("data", {}):
            for watcher in self.kubernetes.watchers:
                watcher(collection, "MODIFIED", decoded)

    def _numbered(self, lease: bool) -> str:
        """The lock of a rotation is no step of it."""
        if lease:
            return ""
        self.writes += 1
        return f"write {self.writes}"

    def due(self, effect: str) -> Blow | None:
        """The blow that this write gets."""
        if self.blow is None or self.struck:
            return None
        if self.blow.moment == "after" and effect == f"write {_number(self.blow.effect) + 1}":
            # Killed when its answer was seen: the next write is not carried out any more.
            return self._strike(Blow(effect, "before"))
        return self._strike(self.blow) if self.blow.effect == effect and self.blow.moment != "after" else None

    def _strike(self, blow: Blow) -> Blow:
        self.struck = True
        return blow

    def kill_if(self, blow: Blow | None, moment: str) -> None:
        """Kill the process and say nothing more. Raises ``ConnectionAbortedError``, which ends the connection."""
        if blow is not None and blow.moment == moment:
            os.kill(self.victim, signal.SIGKILL)
            raise ConnectionAbortedError

    def after(self, blow: Blow | None) -> None:
        """The write was carried out."""
        self.kill_if(blow, "cut")
        if blow is not None and blow.moment == "lost":
            raise ConnectionAbortedError

    def aws(self, call: AwsCall) -> tuple[int, bytes, str]:
        """A call that came through the proxy."""
        if call.action.startswith(READS):
            status, body, kind = self.ec2.forward(call)
            if self.ages_templates and call.action == "DescribeLaunchTemplates":
                body = re.sub(rb"<createTime>[^<]*</createTime>", AGED, body)
            return status, body, kind
        effect = call.headers.get(HEADER_EFFECT) or ("" if HEADER_BY in call.headers else self._numbered(False))
        blow = self.due(effect)
        self.kill_if(blow, "before")
        with self._api.store.changed:
            if call.action == "TerminateInstances":
                for name in call.ids:
                    self.recorder.terminating(name)
            answer = self.ec2.forward(call)
            self.cloud.look()
            if answer[0] < OK:
                process = call.headers.get(HEADER_BY, OPERATOR)
                self.recorder.wrote(process, call.service, (call.action, ",".join(call.ids), effect))
        self.after(blow)
        return answer


def _number(effect: str) -> int:
    return int(effect.partition(" ")[2]) if effect.startswith("write ") else -1


class AwsCall(NamedTuple):
    """A request to AWS as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def action(self) -> str:
        target = self.headers.get("X-Amz-Target", "")
        return target.rpartition(".")[2] if target else self._form.get("Action", [""])[0]

    @property
    def service(self) -> str:
        return "ssm" if "X-Amz-Target" in self.headers else "ec2"

    @property
    def ids(self) -> list[str]:
        return [v[0] for k, v in sorted(self._form.items()) if k.startswith("InstanceId.")]

    @property
    def _form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode(errors="replace"))


class Ec2Proxy(ThreadingHTTPServer):
    """What `joinery` believes to be AWS."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, endpoint: str, witness: Witness) -> None:
        super().__init__(("127.0.0.1", 0), _Proxied)
        self._endpoint = endpoint
        self.witness = witness
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def forward(self, call: AwsCall) -> tuple[int, bytes, str]:
        headers = {k: v for k, v in call.headers.items() if k.lower() not in {"host", "content-length"}}
        request = urllib.request.Request(self._endpoint + call.path, call.body, headers, method="POST")
        try:
            with _DIRECT.open(request, timeout=30) as answer:
                return answer.status, answer.read(), answer.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), error.headers["Content-Type"]

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was cut, by us or by the death of its other end."""


class _Proxied(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Ec2Proxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        call = AwsCall(self.path, dict(self.headers.items()), body)
        try:
            status, answer, kind = self.server.witness.aws(call)
        except ConnectionAbortedError:
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
