import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli.check import check

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(check, list(arguments), input=stdin)


def test_sound_files_are_counted_and_end_with_0() -> None:
    done = run("-f", str(EXAMPLES / "worker-scalable.yaml"), "-f", str(EXAMPLES / "side-project-spot.yaml"))
    assert (done.exit_code, done.stdout) == (0, "4 objects, no faults\n")


def test_every_fault_of_every_file_is_a_line_on_standard_error() -> None:
    names = ["broken-nodepool.yaml", "side-project-as-posted.yaml"]
    done = run(*[part for name in names for part in ("-f", str(EXAMPLES / name))])
    assert (done.exit_code, done.stdout) == (1, "")
    faults = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert [line.split(": ")[0].rpartition("/")[2] for line in faults] == [names[0]] * 5 + [names[1]]
    assert faults[-1].endswith("NodePool/side-project: spec.limit: unknown field (did you mean spec.limits?)")


def test_notes_go_to_standard_error_and_are_no_faults() -> None:
    done = run("-f", str(EXAMPLES / "five-scan-workers.yaml"))
    assert (done.exit_code, done.stdout) == (0, "0 objects, no faults\n")
    assert "note: " in done.stderr
    assert "Deployment/scan-worker: is not checked" in done.stderr


def test_json_says_the_same() -> None:
    done = run("-o", "json", "-f", str(EXAMPLES / "broken-nodepool.yaml"))
    assert done.exit_code == 1
    body = json.loads(done.stdout)
    assert (body["apiVersion"], body["kind"], body["objects"]) == ("joinery.sh/v1alpha1", "Check", 1)
    assert len(body["faults"]) == 5
    assert body["faults"][-1] == {
        "source": str(EXAMPLES / "broken-nodepool.yaml"),
        "kind": "NodePool",
        "name": "broken",
        "path": "spec.weight",
        "message": "must be 1..100",
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "-: holds no object"),
        ("a: [\n", "-: YAML: line 2, column 1: did not find expected node content"),
        ("a: 1", "-: object: apiVersion: is required"),
        ("apiVersion: karpenter.sh/v1", "-: object: kind: is required"),
        (
            "apiVersion: karpenter.sh/v1\nkind: Nodepool\nmetadata: {name: x}",
            '-: Nodepool/x: kind: unknown kind "Nodepool" (did you mean NodePool?)',
        ),
        (
            "apiVersion: karpenter.sh/v1\nkind: EC2NodeClass\nmetadata: {name: x}",
            "-: EC2NodeClass/x: apiVersion: EC2NodeClass belongs to karpenter.k8s.aws/v1",
        ),
    ],
)
def test_what_is_no_manifest_is_one_line(text: str, line: str) -> None:
    done = run("-f", "-", stdin=text)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", line + "\n")


def test_an_older_version_of_a_kind_is_named() -> None:
    done = run("-f", "-", stdin="apiVersion: karpenter.sh/v1beta1\nkind: NodePool\nmetadata: {name: x}\n")
    assert (
        'NodePool/x: apiVersion: unknown apiVersion "karpenter.sh/v1beta1" (did you mean karpenter.sh/v1?)'
        in done.stderr
    )


@pytest.mark.parametrize(("name", "why"), [("nowhere.yaml", "no such file or directory"), ("", "is a directory")])
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, name: str, why: str) -> None:
    path = tmp_path / name
    done = run("-f", str(path))
    assert (done.exit_code, done.stderr) == (1, f"Error: {path}: cannot be read: {why}\n")


def test_what_is_no_text_is_one_sentence() -> None:
    assert run("-f", "-", stdin=b"\xff\xfe\xfa").stderr == "Error: -: is not UTF-8 text\n"
