"""The daemon's credential: when it is asked for, how it is kept, and what happens when it cannot be."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from agent.kube.api import KubeApi
from agent.kube.errors import Denied
from agent.kube.identity import IdentityError, Target, ensure, life_of, renew
from agent.kube.private_file import FileError, Owner, write_private
from tests.kube.install_server import InstallServer, jwt

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
SUBJECT = "system:serviceaccount:joinery-system:joinery"
ACCOUNT = "/api/v1/namespaces/joinery-system/serviceaccounts/joinery"


def token(since: timedelta, until: timedelta, subject: str = SUBJECT) -> str:
    return jwt(subject, int((NOW + since).timestamp()), int((NOW + until).timestamp()))


FRESH = token(timedelta(0), timedelta(days=1))
OLD = token(timedelta(hours=-1), timedelta(hours=1, minutes=-1))
EXPIRED = token(timedelta(days=-2), timedelta(days=-1))


@pytest.fixture
def server() -> Iterator[InstallServer]:
    running = InstallServer()
    running.store(ACCOUNT, {"metadata": {"name": "joinery"}})
    running.new_token = lambda _: FRESH
    yield running
    running.close()


@pytest.fixture
def admin(server: InstallServer, tmp_path: Path) -> Path:
    return server.kubeconfig(tmp_path / "admin.conf")


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path / "kubeconfig", tmp_path / "token")


def asked_for_a_token(server: InstallServer) -> bool:
    return ("POST", f"{ACCOUNT}/token") in server.requests


def test_a_first_start_writes_a_token_and_a_kubeconfig_that_work(
    server: InstallServer, admin: Path, target: Target
) -> None:
    assert ensure(admin, target, NOW) == f"{target.token}: missing; another was written"

    assert target.token.read_text() == FRESH
    with KubeApi.from_kubeconfig(str(target.kubeconfig)) as api:
        assert api.server == server.url
        assert b'"name": "joinery"' in api.get(ACCOUNT)


def test_both_files_are_for_their_owner_alone(admin: Path, target: Target) -> None:
    ensure(admin, target, NOW)

    for path in (target.token, target.kubeconfig):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.stat().st_uid == os.getuid()


def test_the_kubeconfig_holds_no_secret(admin: Path, target: Target) -> None:
    ensure(admin, target, NOW)

    assert FRESH not in target.kubeconfig.read_text()
    assert yaml.safe_load(target.kubeconfig.read_text())["users"][0]["user"] == {"tokenFile": str(target.token)}


def test_a_good_token_is_left_alone(server: InstallServer, admin: Path, target: Target) -> None:
    ensure(admin, target, NOW)
    server.requests.clear()

    assert ensure(admin, target, NOW) == f"{target.token}: valid for another 86400 s, nothing to do"
    assert not asked_for_a_token(server)


@pytest.mark.parametrize(
    ("stored", "fault"),
    [
        (EXPIRED, "expired"),
        ("", "not a token"),
        ("rubbish", "not a token"),
        ("a.%%%.c", "not a token"),
        (token(timedelta(0), timedelta(days=1), "system:serviceaccount:default:x"), "another's token"),
    ],
)
def test_a_token_that_is_no_good_is_replaced(admin: Path, target: Target, stored: str, fault: str) -> None:
    target.token.write_text(stored)

    assert fault in ensure(admin, target, NOW)
    assert target.token.read_text() == FRESH


def test_a_token_that_the_server_does_not_accept_is_replaced(
    server: InstallServer, admin: Path, target: Target
) -> None:
    target.token.write_text(OLD)

    assert ensure(admin, target, NOW) == f"{target.token}: not accepted by {server.url}; another was written"


def test_a_token_is_kept_when_the_server_cannot_be_asked(server: InstallServer, admin: Path, target: Target) -> None:
    ensure(admin, target, NOW)
    server.close()

    assert "nothing to do" in ensure(admin, target, NOW)


def test_a_missing_token_and_a_server_that_is_away_end_with_a_sentence(
    server: InstallServer, admin: Path, target: Target
) -> None:
    server.close()

    with pytest.raises(IdentityError, match="missing, and no other was given: "):
        ensure(admin, target, NOW)


def test_before_install_the_sentence_says_to_install(server: InstallServer, admin: Path, target: Target) -> None:
    del server.objects[ACCOUNT]

    with pytest.raises(IdentityError, match="no ServiceAccount joinery-system/joinery: run `joinery install` first"):
        ensure(admin, target, NOW)


def test_the_kubeconfig_follows_a_moved_endpoint(server: InstallServer, admin: Path, target: Target) -> None:
    ensure(admin, target, NOW)
    target.kubeconfig.write_text(target.kubeconfig.read_text().replace(server.url, "http://192.0.2.1:6443"))

    ensure(admin, target, NOW)

    assert server.url in target.kubeconfig.read_text()


def test_without_an_administrators_kubeconfig_a_good_token_suffices(admin: Path, target: Target) -> None:
    ensure(admin, target, NOW)
    absent = admin.with_name("absent.conf")

    assert "nothing to do" in ensure(absent, target, NOW)
    with pytest.raises(IdentityError, match=r"expired, and there is no .*absent\.conf to get another with"):
        ensure(absent, target, NOW + timedelta(days=2))


@pytest.mark.parametrize("text", ["{", "[]", "current-context: x", "clusters: [{name: 1}]"])
def test_an_administrators_kubeconfig_that_is_broken_is_named(admin: Path, target: Target, text: str) -> None:
    admin.write_text(text)

    with pytest.raises(IdentityError, match=r"admin\.conf names no API server"):
        ensure(admin, target, NOW)


def test_a_token_is_renewed_at_half_of_its_life(server: InstallServer, admin: Path, target: Target) -> None:
    ensure(admin, target, NOW)
    server.new_token = lambda _: token(timedelta(hours=12), timedelta(hours=36))
    with KubeApi.from_kubeconfig(str(target.kubeconfig)) as api:
        assert renew(api, target, NOW + timedelta(hours=11)) == 13 * 3600
        assert target.token.read_text() == FRESH

        assert renew(api, target, NOW + timedelta(hours=12)) == 24 * 3600
        assert target.token.read_text() != FRESH


def test_a_renewal_that_is_denied_keeps_the_old_token(server: InstallServer, admin: Path, target: Target) -> None:
    ensure(admin, target, NOW)
    server.fail("POST", "/token", 403, "Forbidden")

    with KubeApi.from_kubeconfig(str(target.kubeconfig)) as api, pytest.raises(Denied):
        renew(api, target, NOW + timedelta(hours=13))

    assert target.token.read_text() == FRESH


def test_root_does_not_follow_a_link_that_another_user_put_there(admin: Path, target: Target, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("precious")
    target.token.symlink_to(secret)

    with pytest.raises(IdentityError, match="cannot be read"):
        ensure(admin, target, NOW)

    write_private(target.token, FRESH, Owner(os.getuid(), os.getgid()))
    assert (secret.read_text(), target.token.is_symlink()) == ("precious", False)


def test_a_missing_folder_is_named(admin: Path, tmp_path: Path) -> None:
    with pytest.raises(IdentityError, match=r"no/kubeconfig could not be written: the folder does not exist"):
        ensure(admin, Target(tmp_path / "no" / "kubeconfig", tmp_path / "token"), NOW)


FULL = """
set -e
mount -t tmpfs -o size=16k,mode=700 none "$1"
echo -n old > "$1/token"
head -c 20k /dev/zero > "$1/filler" 2>/dev/null || true
%s
"$2" -c 'import sys; from pathlib import Path
from agent.kube.private_file import FileError, Owner, write_private
try:
    write_private(Path(sys.argv[1]) / "token", "new" * 5000, Owner(0, 0))
except FileError as error:
    print(error)' "$1"
cat "$1/token"; ls -A "$1"
"""


@pytest.mark.parametrize(
    ("remount", "reason"),
    [("", "no space is left on the file system"), ('mount -o remount,ro "$1"', "the file system is read-only")],
)
def test_a_full_or_read_only_disk_keeps_the_old_file(tmp_path: Path, remount: str, reason: str) -> None:
    namespace = ["unshare", "--mount", "--map-root-user"]
    done = subprocess.run(
        [*namespace, "bash", "-c", FULL % remount, "bash", str(tmp_path), sys.executable],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).resolve().parents[2],
    )

    assert done.stderr == ""
    said, rest = done.stdout.split("\n", 1)
    assert said == f"{tmp_path}/token could not be written: {reason}. What was there before is kept"
    assert rest == "oldfiller\ntoken\n"


def test_a_failed_write_names_the_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()

    with pytest.raises(FileError, match=f"{tmp_path}/token could not be written"):
        write_private(tmp_path / "token", "x", Owner(os.getuid(), os.getgid()))

    assert [path.name for path in tmp_path.iterdir()] == ["token"]


@given(st.text())
def test_no_text_breaks_the_reading_of_a_token(text: str) -> None:
    assert life_of(text) is None or text.count(".") == 2
    assert life_of(f"a.{text}.c") is None


@given(issued=st.integers(0, 2**31), life=st.integers(1, 10**6), passed=st.integers(0, 10**6))
def test_a_token_is_due_exactly_from_half_of_its_life(issued: int, life: int, passed: int) -> None:
    read = life_of(jwt(SUBJECT, issued, issued + life))

    assert read is not None
    now = datetime.fromtimestamp(issued, UTC) + timedelta(seconds=passed)
    assert read.remaining_seconds(now) == life - passed
    assert read.half_over(now) == (2 * passed >= life)
