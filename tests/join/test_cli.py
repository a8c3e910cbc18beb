"""`joinery token` and `joinery userdata` as a person at a terminal has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli.token import token
from agent.cli.userdata import userdata
from agent.join.rotation import LOCK_NAME
from agent.join.userdata import render
from agent.kube.lease import LeaseLock
from tests.join.classes import FACTS, USER_SCRIPT, node_class
from tests.join.cluster import AwsAnswering, Json
from tests.join.conftest import REGION, World

CLASS = """\
apiVersion: karpenter.k8s.aws/v1
kind: EC2NodeClass
metadata: {name: default}
spec:
  amiFamily: Ubuntu
  instanceProfile: nodes
  subnetSelectorTerms: [{id: subnet-0123456789abcdef0}]
  securityGroupSelectorTerms: [{id: sg-0123456789abcdef0}]
  userData: |
"""


@dataclass
class Terminal:
    """A shell on the control plane."""

    world: World
    settings: Path
    kubeconfig: Path

    def token(self, *arguments: str, output: str = "text") -> Result:
        where = ["--settings", str(self.settings), "--kubeconfig", str(self.kubeconfig), "-o", output]
        return CliRunner().invoke(token, [*arguments, *where])

    def userdata(self, *arguments: str) -> Result:
        where = ["--settings", str(self.settings), "--kubeconfig", str(self.kubeconfig)]
        return CliRunner().invoke(userdata, ["render", *where, *arguments])

    def json(self, *arguments: str) -> Json:
        found: Json = json.loads(self.token(*arguments, output="json").stdout)
        return found


@pytest.fixture
def terminal(world: World, tmp_path: Path, kubeconfig: Callable[[str], Path]) -> Terminal:
    # The command goes by the real clock, so the cluster does too.
    world.time.now = datetime.now(UTC)
    prefix = world.policy.parameter.rpartition("/")[0]
    settings = tmp_path / "agent.yaml"
    settings.write_text(f"clusterName: demo\nregion: {REGION}\nssmPrefix: {prefix}\n")
    return Terminal(world, settings, kubeconfig(world.cluster.url))


def manifest(tmp_path: Path, script: str = USER_SCRIPT) -> Path:
    path = tmp_path / "class.yaml"
    path.write_text(CLASS + "".join(f"    {line}\n" for line in script.splitlines()))
    return path


def facts_file(tmp_path: Path) -> Path:
    path = tmp_path / "facts.json"
    path.write_text(FACTS.text())
    return path


def test_rotate_publishes_a_token_and_never_prints_it(terminal: Terminal) -> None:
    done = terminal.token("rotate")

    assert done.exit_code == 0, done.output
    assert f"new token {terminal.world.published_id()}" in done.output
    assert terminal.world.published().partition(".")[2] not in done.output
    assert terminal.world.published_id() in terminal.world.cluster.live()
    assert terminal.world.ssm.get(terminal.world.policy.facts_parameter) is not None


def test_rotate_if_due_does_nothing_and_succeeds_when_it_is_not(terminal: Terminal) -> None:
    terminal.token("rotate")
    kept = terminal.world.published_id()

    done = terminal.token("rotate", "--if-due")

    assert (done.exit_code, terminal.world.published_id()) == (0, kept)
    assert f"kept {kept}: not due" in done.output
    assert terminal.json("rotate", "--if-due")["rotated"] is False


def test_rotate_takes_an_overlap(terminal: Terminal) -> None:
    terminal.token("rotate")
    old = terminal.world.published_id()

    done = terminal.token("rotate", "--overlap", "2m")

    assert done.exit_code == 0, done.output
    secret = terminal.world.cluster.secret(old)
    assert secret is not None
    left = datetime.fromisoformat(secret["expiration"]) - datetime.now(UTC)
    assert timedelta(seconds=100) < left <= timedelta(seconds=120)


@pytest.mark.parametrize("text", ["soon", "3h", "-1m"])
def test_an_overlap_that_is_none_is_wrong_usage(terminal: Terminal, text: str) -> None:
    done = terminal.token("rotate", f"--overlap={text}")

    assert done.exit_code == 2  # `joinery` makes it 64
    assert terminal.world.published() == ""


def test_show_prints_the_secret_only_when_asked(terminal: Terminal) -> None:
    terminal.token("rotate")
    published = terminal.world.published()

    assert published.partition(".")[2] not in terminal.token("show").output
    assert terminal.token("show", "--secret").output == f"{published}\n"
    assert "token" not in terminal.json("show")
    assert terminal.json("show", "--secret")["token"] == published


def test_show_and_verify_say_when_nothing_is_published(terminal: Terminal) -> None:
    for command in ("show", "verify"):
        done = terminal.token(command)
        assert done.exit_code == 1
        assert "does not exist" in done.output


def test_verify_asks_the_cluster_and_tells_what_to_do(terminal: Terminal) -> None:
    terminal.token("rotate")
    token_id = terminal.world.published_id()

    assert terminal.token("verify").output.startswith(f"{token_id} works and expires ")
    assert terminal.json("verify") == {"ok": True, "id": token_id, "faults": []}
    terminal.world.cluster.delete(token_id)
    broken = terminal.token("verify")
    assert broken.exit_code == 1
    assert "the cluster has no such token; mend it: joinery token rotate" in broken.output


def test_list_says_what_each_token_is_for(terminal: Terminal) -> None:
    terminal.token("rotate")
    old = terminal.world.published_id()
    terminal.token("rotate")
    new = terminal.world.published_id()

    rows = {line.split()[0]: line.split()[1] for line in terminal.token("list").output.splitlines()[1:]}

    assert rows == {new: "published", old: "overlapping"}
    assert all(token_id in terminal.token("list", output="json").stdout for token_id in (old, new))


def test_revoke_replaces_the_published_token_and_refuses_strangers(terminal: Terminal) -> None:
    terminal.token("rotate")
    leaked = terminal.world.published_id()

    done = terminal.token("revoke", leaked)
    stranger = terminal.token("revoke", "nobody")

    assert done.exit_code == 0, done.output
    assert f"revoked: {leaked}" in done.output
    assert leaked not in terminal.world.cluster.live()
    assert stranger.exit_code == 1
    assert "there is no bootstrap token nobody of Joinery's" in stranger.output


def test_a_held_lock_has_its_own_exit_code(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    # The bound is a minute; a clock that flies makes the command reach it at once.
    monkeypatch.setattr("time.sleep", lambda _: None)
    holder = LeaseLock(terminal.world.api, "joinery-system", LOCK_NAME, "daemon", duration_seconds=300)
    assert holder.try_acquire()

    done = terminal.token("rotate")

    assert done.exit_code == 3
    assert "daemon is changing the tokens" in done.output


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("AccessDeniedException", "not allowed: ssm:PutParameter"),
        ("ThrottlingException", "ssm:PutParameter"),
        ("ExpiredTokenException", "credentials"),
    ],
)
def test_parameter_store_saying_no_is_one_sentence(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, code: str, sentence: str
) -> None:
    def answer(operation: str, _: Json) -> tuple[int, Json]:
        missing = operation == "GetParameter" and code != "ExpiredTokenException"
        return 400, {"__type": "ParameterNotFound" if missing else code, "message": "no"}

    service = AwsAnswering(answer)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", service.url)
    done = terminal.token("rotate")
    service.close()

    assert done.exit_code == 1
    assert sentence in done.output
    assert len(done.output.splitlines()) == 1


def test_a_machine_without_credentials_is_told_so(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")

    done = terminal.token("show")

    assert done.exit_code == 1
    assert "instance profile" in done.output


def test_an_api_server_that_is_down_is_one_sentence(terminal: Terminal) -> None:
    terminal.world.cluster.down = True

    done = terminal.token("list")

    assert done.exit_code == 1
    assert len(done.output.splitlines()) == 1


def test_missing_settings_are_named(terminal: Terminal) -> None:
    terminal.settings.unlink()

    done = terminal.token("show")

    assert done.exit_code == 1
    assert "agent.yaml: cannot be read" in done.output


def test_userdata_is_rendered_offline_byte_for_byte(tmp_path: Path) -> None:
    arguments = ["render", "-f", str(manifest(tmp_path)), "--facts", str(facts_file(tmp_path))]

    done = CliRunner().invoke(userdata, [*arguments, "--settings", str(tmp_path / "none.yaml")])

    assert done.exit_code == 0, done.output
    assert done.stdout == render(node_class(userData=USER_SCRIPT), FACTS)


def test_userdata_is_rendered_from_the_cluster(terminal: Terminal, tmp_path: Path) -> None:
    obj = {
        "apiVersion": "karpenter.k8s.aws/v1",
        "kind": "EC2NodeClass",
        "metadata": {"name": "default"},
        "spec": node_class(userData=USER_SCRIPT).model_dump(mode="json", by_alias=True, exclude_unset=True),
    }
    terminal.world.api.create("/apis/karpenter.k8s.aws/v1/ec2nodeclasses", obj)

    done = terminal.userdata("default")
    from_file = terminal.userdata("-f", str(manifest(tmp_path)))

    assert done.exit_code == 0, done.output
    assert USER_SCRIPT in done.stdout
    assert '"endpoint": "10.0.0.10:6443"' in done.stdout
    assert from_file.stdout == done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["missing"], "the cluster has no EC2NodeClass missing"),
        (["-f", "nowhere.yaml"], "nowhere.yaml cannot be read"),
        (["--facts", "nowhere.json", "default"], "nowhere.json cannot be read"),
    ],
)
def test_userdata_that_cannot_be_rendered_says_why(terminal: Terminal, arguments: list[str], sentence: str) -> None:
    done = terminal.userdata(*arguments)

    assert done.exit_code == 1
    assert sentence in done.output


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: NodePool\napiVersion: karpenter.sh/v1\n", "must hold exactly one EC2NodeClass; it holds: none"),
        (CLASS.replace("Ubuntu", "Ubunto").replace("  userData: |\n", ""), "amiFamily"),
        ("a: [", "class.yaml"),
    ],
)
def test_a_manifest_that_is_wrong_is_named(terminal: Terminal, tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "class.yaml"
    path.write_text(text)

    done = terminal.userdata("-f", str(path))

    assert done.exit_code == 1
    assert sentence in done.output


def test_userdata_without_a_class_is_wrong_usage() -> None:
    assert CliRunner().invoke(userdata, ["render"]).exit_code == 2


def test_facts_that_are_none_are_refused(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text('{"cluster": "demo"}')

    done = terminal.userdata("-f", str(manifest(tmp_path)), "--facts", str(tmp_path / "facts.json"))

    assert done.exit_code == 1
    assert "these are no join facts" in done.output
