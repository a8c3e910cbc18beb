"""The embedded EC2, SSM, IAM and Pricing: moto behind a layer of the rules that the product relies on.

    python -m agent.sim.ec2 --port 5000 --region ap-northeast-2

listens on loopback only. Beside AWS's own protocols it answers ``/_seed``, ``/_faults``, ``/_throttle``,
``/_capacity``, ``/_delays``, ``/_calls`` and ``/_instances``, by which tests and the sandbox steer it.
"""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from agent.sim import market
from agent.sim.admin import Admin
from agent.sim.faults import Faults, refusal
from agent.sim.fleet import Alive, Fleets
from agent.sim.instances import Delays, Instances
from agent.sim.query import Answer, Call, Wsgi, forward, query_error, read_call

MAX_USER_DATA_BYTES = 16_384
Handler = Callable[[Call], Answer]


class Layer:
    """A WSGI application in front of moto's."""

    def __init__(self, app: Wsgi, region: str) -> None:
        self._app = app
        self._region = region
        self.faults = Faults()
        self.fleets = Fleets(app, region)
        self.instances = Instances(app, Delays())
        self._admin = Admin(app, region, self.faults, self.fleets, self.instances)
        self._handlers: dict[tuple[str, str], Handler] = {
            ("ec2", "CreateFleet"): self._create_fleet,
            ("ec2", "CreateLaunchTemplate"): self._create_template,
            ("ec2", "RunInstances"): self._run_instances,
            ("ec2", "DescribeInstances"): self.instances.describe,
            ("ec2", "TerminateInstances"): self.instances.terminate,
            ("ec2", "DescribeSpotPriceHistory"): self._spot,
            ("pricing", "GetProducts"): market.products,
            ("ssm", "GetParameter"): self._get_parameter,
        }

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """One request."""
        path = environ.get("PATH_INFO", "/")
        if path.startswith("/_"):
            answer = self._admin.answer(path, environ)
        else:
            found = self._aws(read_call(environ))
            if found is None:
                return _dropped(environ, start)
            answer = found
        start(f"{answer.status} X", [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))])
        return [answer.body]

    def _aws(self, call: Call) -> Answer | None:
        """The answer; None when it must be lost."""
        self.faults.log(call)
        throttled = self.faults.throttled(call)
        if throttled is not None:
            return throttled
        rule = self.faults.take(call)
        if rule is not None and rule.delay_seconds:
            self._admin.pause(rule.delay_seconds)
        if rule is not None and rule.moment == "before":
            return refusal(call, rule.code, rule.message, rule.status)
        answer = self._handlers.get((call.service, call.action), self._plain)(call)
        return None if rule is not None and rule.moment == "after" else answer

    def _plain(self, call: Call) -> Answer:
        return forward(self._app, call)

    def _create_fleet(self, call: Call) -> Answer:
        return self.fleets.create(call, Alive(self.instances.running()))

    def _create_template(self, call: Call) -> Answer:
        if _too_large(call.form.get("LaunchTemplateData.UserData", "")):
            return query_error("InvalidUserData.Malformed", "User data is limited to 16384 bytes")
        answer = forward(self._app, call)
        if answer.status == 200:  # noqa: PLR2004 - HTTP OK
            self.fleets.created_template(call, answer)
        return answer

    def _run_instances(self, call: Call) -> Answer:
        if _too_large(call.form.get("UserData", "")):
            return query_error("InvalidUserData.Malformed", "User data is limited to 16384 bytes")
        return forward(self._app, call)

    def _spot(self, call: Call) -> Answer:
        types = [v for k, v in sorted(call.form.items()) if k.startswith("InstanceType.")]
        zones = [f"{self._region}{letter}" for letter in "abcd"]
        return market.spot_history(self._region, zones, types or sorted(market.on_demand(self._region)))

    def _get_parameter(self, call: Call) -> Answer:
        return market.public_parameter(call.json.get("Name", "")) or forward(self._app, call)


def _too_large(encoded: str) -> bool:
    return len(encoded) * 3 // 4 - encoded.count("=") > MAX_USER_DATA_BYTES


def _dropped(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
    """Close the connection without a word, as a broken network would."""
    socket = environ.get("werkzeug.socket")
    if socket is not None:
        socket.close()
    else:
        start("502 X", [("Content-Length", "0")])
    return [b""]


def application(region: str) -> Layer:
    """Moto with a trimmed catalogue, behind the layer. Sets what moto reads when it is imported."""
    with tempfile.NamedTemporaryFile("wb", suffix=".json", delete=False) as amis:
        amis.write(market.ami_file())
    os.environ |= {"MOTO_AMIS_PATH": amis.name, "AWS_DEFAULT_REGION": region}
    try:
        from moto.ec2.models import instance_types  # noqa: PLC0415 - reads the environment set above
        from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415 - likewise

        common = {f"{f}.{s}" for f in market.COMMON_FAMILIES for s in market.COMMON_SIZES}
        for name in [n for n in instance_types.INSTANCE_TYPES if n not in common]:
            del instance_types.INSTANCE_TYPES[name]
        from moto.ec2.models import amis as moto_amis  # noqa: PLC0415 - read while the file is there

        assert moto_amis is not None
        app: Wsgi = DomainDispatcherApplication(create_backend_app)
        return Layer(app, region)
    finally:
        Path(amis.name).unlink(missing_ok=True)


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM."""
    from werkzeug.serving import make_server  # noqa: PLC0415 - comes with moto, which only the sandbox has

    parser = argparse.ArgumentParser(prog="python -m agent.sim.ec2", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--region", default="ap-northeast-2")
    options = parser.parse_args(arguments)
    server = make_server(options.host, options.port, application(options.region), threaded=True)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    sys.stdout.write(f"http://{options.host}:{server.server_port}\n")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except SystemExit:
        server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
