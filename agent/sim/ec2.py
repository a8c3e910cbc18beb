"""The embedded EC2, SSM, IAM and Pricing: moto behind a layer of the rules that the product relies on.

    python -m agent.sim.ec2 --port 5000 --region ap-northeast-2

listens on loopback only. Beside AWS's own protocols it answers ``/_seed``, ``/_faults``, ``/_throttle``,
``/_capacity``, ``/_reservations``, ``/_prices``, ``/_delays``, ``/_pages``, ``/_calls``, ``/_instances`` and
``/_reset``, by which tests and the sandbox steer it.
"""

import argparse
import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from agent.sim import market, models
from agent.sim.admin import Admin
from agent.sim.faults import Faults, Rule, refusal
from agent.sim.fleet import Fleets
from agent.sim.instances import Instances
from agent.sim.launches import Launches, too_large
from agent.sim.paging import SETS, paged
from agent.sim.query import Answer, Call, Form, Wsgi, forward, query_error, read_call, texts
from agent.sim.tokens import Tokens

Handler = Callable[[Call], Answer]


class Layer:
    """A WSGI application in front of moto's. One call at a time: moto's objects are not made for more."""

    def __init__(self, app: Wsgi, region: str) -> None:
        self._app = app
        self._region = region
        self._lock = threading.RLock()
        self._faults = Faults()
        self._instances = Instances(region)
        self._launches = Launches(app, region)
        self._fleets = Fleets(self._launches, region)
        self._tokens = Tokens(self._instances.ended)
        self._market = market.Market(region)
        self._admin = Admin(region, self._faults, self._launches, self._instances)
        self._admin.reset = self._reset
        self._admin.write_prices = self._write_prices
        self._handlers: dict[tuple[str, str], Handler] = {
            ("ec2", "CreateFleet"): lambda c: self._tokens.once(c, lambda: self._fleets.create(c)),
            ("ec2", "RunInstances"): lambda c: self._tokens.once(c, lambda: self._launches.run(c, c.form)),
            ("ec2", "CreateLaunchTemplate"): lambda c: self._tokens.once(c, lambda: self._create_template(c)),
            ("ec2", "TerminateInstances"): self._terminate,
            ("ec2", "DescribeInstanceStatus"): lambda c: self._instances.status(self._seen(c, None)),
            ("ec2", "GetConsoleOutput"): lambda c: self._instances.console(c) or self._plain(c),
            ("pricing", "GetProducts"): self._market.products,
            ("ssm", "GetParameter"): lambda c: market.public_parameter(c.json.get("Name", "")) or self._plain(c),
        }

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        path = environ.get("PATH_INFO", "/")
        if path.startswith("/_"):
            with self._lock:
                answer: Answer | None = self._admin.answer(path, environ)
        else:
            answer = self._aws(read_call(environ))
        if answer is None:
            _cut(environ)
            answer = Answer(502, b"")
        start(f"{answer.status} X", [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))])
        return [answer.body]

    def _aws(self, call: Call) -> Answer | None:
        """The answer; None when it must be lost."""
        self._faults.log(call)
        throttled = self._faults.throttled(call)
        if throttled is not None:
            return throttled
        rule = self._faults.take(call)
        if rule is not None and rule.delay_seconds:
            self._admin.pause(rule.delay_seconds)
        if rule is not None and rule.moment == "before":
            return refusal(call, rule.code, rule.message, rule.status)
        return self._carried_out(call, rule)

    def _carried_out(self, call: Call, rule: Rule | None) -> Answer | None:
        if rule is not None and rule.moment == "cut":
            return None
        with self._lock:
            self._instances.tick()
            answer = self._handler(call)(call)
            self._instances.tick()
        return None if rule is not None and rule.moment == "after" else answer

    def _handler(self, call: Call) -> Handler:
        if call.form.get("DryRun") == "true" and call.action == "CreateFleet":
            return lambda _: query_error(
                "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
            )
        if call.service == "ec2" and call.action in SETS:
            return self._paged
        return self._handlers.get((call.service, call.action), self._plain)

    def _paged(self, call: Call) -> Answer:
        if call.action == "DescribeSpotPriceHistory":
            return paged(call, self._admin.page_limit, self._spot)
        if call.action == "DescribeCapacityReservations":
            return paged(call, self._admin.page_limit, self._launches.reservations.described)
        return paged(call, self._admin.page_limit, lambda form: self._seen(call, form))

    def _seen(self, call: Call, form: Form | None) -> Answer:
        """Moto's answer about the instances that can be seen now."""
        with self._instances.visible():
            answer = forward(self._app, call, form)
        return self._launches.reservations.shown(answer) if call.action == "DescribeInstances" else answer

    def _plain(self, call: Call) -> Answer:
        return forward(self._app, call)

    def _create_template(self, call: Call) -> tuple[Answer, tuple[str, ...]]:
        if too_large(call.form.get("LaunchTemplateData.UserData", "")):
            return query_error("InvalidUserData.Malformed", "User data is limited to 16384 bytes"), ()
        answer = forward(self._app, call)
        self._fleets.created_template(call, answer)
        return answer, ()

    def _terminate(self, call: Call) -> Answer:
        answer = self._seen(call, None)
        assert all(self._instances.ended(i) for i in texts(answer, "instanceId"))
        return answer

    def _spot(self, form: Form) -> Answer:
        offered = models.zones_of_types(self._region)
        types = [v for k, v in sorted(form.items()) if k.startswith("InstanceType.")]
        return self._market.spot_history(offered, types or sorted(models.architectures_of_types()))

    def _write_prices(self, wanted: dict[str, Any]) -> None:
        self._market.written = msgspec.convert(wanted, market.Written)

    def _reset(self) -> None:
        """Everything as at the start."""
        environ = {"PATH_INFO": "/moto-api/reset", "REQUEST_METHOD": "POST", "HTTP_HOST": "localhost"}
        environ |= {"SERVER_NAME": "localhost", "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
        forward(self._app, Call("", "", {}, {}, environ, b""))
        self._faults.clear()
        self._faults.calls.clear()
        for part in (self._instances, self._fleets, self._tokens, self._launches.capacity, self._launches.reservations):
            part.clear()
        self._admin.page_limit = 0
        self._market.written = market.Written()


def _cut(environ: dict[str, Any]) -> None:
    """Close the connection without a word, as a broken network would."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def application(region: str) -> Layer:
    """Moto with a trimmed catalogue, behind the layer. Sets what moto reads when it is imported."""
    with tempfile.NamedTemporaryFile("wb", suffix=".json", delete=False) as amis:
        amis.write(market.ami_file())
    os.environ |= {"MOTO_AMIS_PATH": amis.name, "AWS_DEFAULT_REGION": region}
    try:
        from moto.ec2.models import amis as moto_amis  # noqa: PLC0415 - read while the file is there
        from moto.ec2.models import instance_types  # noqa: PLC0415 - reads the environment set above
        from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415 - likewise

        assert moto_amis is not None
        _trim(instance_types)
        return Layer(DomainDispatcherApplication(create_backend_app), region)
    finally:
        Path(amis.name).unlink(missing_ok=True)


def _trim(catalogue: Any) -> None:  # noqa: ANN401 - a module of moto
    """Leave the common types only: moto needs seconds to list all of EC2's."""
    common = {f"{f}.{s}" for f in market.COMMON_FAMILIES for s in market.COMMON_SIZES}
    for name in [n for n in catalogue.INSTANCE_TYPES if n not in common]:
        del catalogue.INSTANCE_TYPES[name]
    listed = catalogue.InstanceTypeBackend.instance_types
    listed[:] = [t for t in listed if t.get("InstanceType") in common]
    for by_region in catalogue.INSTANCE_TYPE_OFFERINGS.values():
        for offerings in by_region.values():
            offerings[:] = [o for o in offerings if o["InstanceType"] in common]


def _announce(path: str, value: dict[str, object]) -> None:
    """Write where the server is, at once or not at all: whoever sees the file can use it."""
    whole = Path(f"{path}.new")
    whole.write_bytes(msgspec.json.encode(value))
    whole.replace(path)


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM."""
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415 - comes with moto

    class Quiet(WSGIRequestHandler):
        """Logs no request; ``/_calls`` has them."""

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing."""

    parser = argparse.ArgumentParser(prog="python -m agent.sim.ec2", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--region", default="ap-northeast-2")
    parser.add_argument("--state", default="", help="file to write endpoint, pid and region to, once it serves")
    options = parser.parse_args(arguments)
    layer = application(options.region)
    server = make_server(options.host, options.port, layer, threaded=True, request_handler=Quiet)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    endpoint = f"http://{options.host}:{server.server_port}"
    sys.stdout.write(f"{endpoint}\n")
    sys.stdout.flush()
    if options.state:
        _announce(options.state, {"endpoint": endpoint, "pid": os.getpid(), "region": options.region})
    try:
        server.serve_forever()
    except SystemExit:
        server.server_close()
    finally:
        if options.state:
            Path(options.state).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
