import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cli import root
from agent.core.decide import decide
from agent.model.plan import Snapshot
from agent.report.saved import Unreadable, decode, encode
from tests.build import claim, conditions, machine, meta, node, pod, pool, snapshot
from tests.report.plans import T0, examples, planned

WORKERS = examples("worker-scalable.yaml", "five-scan-workers.yaml")
INSTANCE = machine(1)


def rich() -> Snapshot:
    ours = claim(instance=INSTANCE, conditions=conditions("Launched", "Registered", "Initialized"))
    return snapshot(
        pods=(pod(), pod("there", node=INSTANCE.id)), claims=(ours,), machines=(INSTANCE,), nodes=(node(INSTANCE),)
    )


def test_a_saved_snapshot_gives_the_same_decision() -> None:
    assert decode(encode(rich())) == rich()
    assert decide(decode(encode(rich()))) == decide(rich())


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(st.sampled_from(("a/b", "kubectl.kubernetes.io/last-applied-configuration", "token")), st.text())
)
def test_annotations_of_others_are_left_out_and_ours_stay(foreign: dict[str, str]) -> None:
    ours = {"joinery.sh/time-zone": "UTC", "karpenter.sh/do-not-disrupt": "true", "compute.karpenter.k8s.aws/x": "y"}
    kept = decode(encode(snapshot(pools=(pool(meta=meta("workers", annotations=foreign | ours)),)))).pools[0]
    assert kept.meta.annotations == ours


def test_requests_and_ids_of_tokens_are_left_out() -> None:
    assert decode(encode(snapshot(token_ids=("abcdef",)))).token_ids == ()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is no saved snapshot of this version"),
        (b"\xff", "is no saved snapshot of this version"),
        (b"{}", "is no saved snapshot of this version"),
        (encode(snapshot()).replace(b"v1alpha1", b"v2"), "is a Snapshot of joinery.sh/v2, not a Snapshot of"),
    ],
)
def test_another_file_is_told_apart(raw: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        decode(raw)


def test_a_plan_is_saved_and_replayed_to_the_same_bytes(tmp_path: Path) -> None:
    file = str(tmp_path / "snapshot.json")
    first = CliRunner().invoke(root, ["plan", *WORKERS, "-o", "json", "--now", T0, "--save", file])
    again = CliRunner().invoke(root, ["plan", "--snapshot", file, "-o", "json"])
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert again.stdout == first.stdout
    assert json.loads(again.stdout) == planned(WORKERS, "--now", T0)
    told = CliRunner().invoke(root, ["explain", "pod/scan-worker-0", "--snapshot", file]).stdout
    assert told.startswith("pod default/scan-worker-0: gets a new node")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--snapshot", "none"], 1, "none: cannot be read: no such file or directory"),
        (["--snapshot", str(Path(__file__))], 1, "is no saved snapshot of this version"),
        (["--snapshot", "x", *WORKERS, "--set", "maxNodes=1"], 2, "leave out -f, --set"),
        ([*WORKERS, "--save", "/none/x"], 1, "/none/x: cannot be written: no such file or directory"),
    ],
)
def test_what_cannot_be_replayed_or_saved_is_one_sentence(arguments: list[str], code: int, words: str) -> None:
    done = CliRunner().invoke(root, ["plan", *arguments])
    assert (done.exit_code, done.stdout) == (code, "")
    assert words in done.stderr
