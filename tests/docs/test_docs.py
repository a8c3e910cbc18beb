"""What the documentation says exists: its links, commands, options, targets, manifests and rights."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from agent.aws.shipped import price_table
from agent.cli import root
from agent.kube import rbac
from agent.manifests import check_documents, load_documents
from agent.manifests.catalog import parse_catalog
from agent.model.names import InstanceTypeName
from agent.settings import load
from tests.docs.pages import ROOT, Page, pages, resolve
from tests.iam.policy import rendered
from tests.join.classes import FACTS

PAGES = pages()
README = Page(ROOT / "README.md")
INDEX = Page(ROOT / "docs/README.md")
SECURITY = Page(ROOT / "docs/security.md")
NEEDS_ONLY_PYTHON = {"", "plan", "explain", "check", "userdata render", "report", "sandbox", "demo"}
"""Commands that tests of this file, and of tests/report and tests/sim for the last three, run as shown or described."""
CHECKED_FOR_US = {"ec2:RunInstances", "ec2:CreateTags", "iam:PassRole"}
"""Rights that EC2 asks for when it carries out CreateFleet and CreateLaunchTemplate; no call of ours has their name."""
NOT_CALLED = {"ssm:DeleteParameter", "ec2:GetConsoleOutput"}
"""Calls that the AWS edge has and the daemon does not use."""


def each_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=str)


def listed(section: str) -> set[str]:
    """The commands of one table of the index."""
    found = re.search(rf"^### {section}\n(.*?)(?=^#|\Z)", INDEX.text, re.MULTILINE | re.DOTALL)
    assert found is not None, section
    return set(re.findall(r"^\| `([^`]+)`", found[1], re.MULTILINE))


@each_page()
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    for link in page.links():
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.exists(), link
        if anchor:
            assert anchor in Page(target).anchors(), link


@each_page()
def test_every_joinery_command_shown_exists_with_its_options(page: Page) -> None:
    for words in page.joinery_commands():
        path, command, rest = resolve(words)
        context = click.Context(command, info_name=path)
        command.make_parser(context).parse_args(list(rest))


def test_a_command_or_an_option_that_is_not_there_would_be_noticed() -> None:
    with pytest.raises(click.UsageError, match="token frobnicate does not exist"):
        resolve(["token", "frobnicate"])
    _, command, rest = resolve(["plan", "--frobnicate"])
    with pytest.raises(click.UsageError, match="frobnicate"):
        command.make_parser(click.Context(command)).parse_args(rest)


@each_page()
def test_every_make_target_shown_exists(page: Page) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert page.make_targets() <= targets


@each_page()
def test_every_command_shown_is_run_by_a_test_or_listed_with_what_it_needs(page: Page) -> None:
    known = listed("Needs AWS") | listed("Needs a cluster") | listed("Needs the machine")
    for words in page.joinery_commands():
        path, _, _ = resolve(words)
        assert path in NEEDS_ONLY_PYTHON or f"joinery {path.partition(' ')[0]}" in known, path
    others = {words[0] for words in page.shell_commands() if not words[0].endswith(("joinery", "pip"))}
    assert others <= known


@each_page()
def test_every_yaml_example_is_accepted(page: Page, tmp_path: Path) -> None:
    for text in page.blocks("yaml", "yml"):
        first = next(iter(yaml.safe_load_all(text)))
        if "clusterName" in first:
            (tmp_path / "agent.yaml").write_text(text)
            assert load(str(tmp_path / "agent.yaml")).cluster_name == first["clusterName"]
        elif first.get("kind") == "InstanceTypeCatalog":
            assert parse_catalog(load_documents(text, str(page)), str(page)).faults == ()
        else:
            loaded = load_documents(text, str(page))
            assert (loaded.faults, check_documents(loaded.documents).faults) == ((), ())
            assert all(document.model is not None for document in loaded.documents)


@pytest.mark.parametrize("name", ["operations.md", "security.md"])
def test_the_rights_in_the_cluster_are_those_of_the_code(name: str) -> None:
    assert rbac.table(rbac.grants()) in Page(ROOT / "docs" / name).text


def test_the_aws_rights_are_the_calls_of_the_code() -> None:
    section = SECURITY.text.partition("### The daemon")[2].partition("### The node")[0]
    table = set(re.findall(r"^\| `([a-z0-9]+:\w+)`", section, re.MULTILINE))
    sources = [path for path in (ROOT / "agent/aws").glob("*.py") if path.name != "errors.py"]
    calls = {call for path in sources for call in re.findall(r'"((?:ec2|iam|ssm|pricing):[A-Z]\w+)"', path.read_text())}
    assert table == calls - NOT_CALLED | CHECKED_FOR_US
    daemon = json.loads(SECURITY.blocks("json")[0])
    actions = [statement["Action"] for statement in daemon["Statement"]]
    assert {a for one in actions for a in ([one] if isinstance(one, str) else one)} == table


def test_what_the_daemon_is_said_not_to_call_it_does_not_call() -> None:
    apart = (ROOT / "agent/sim", ROOT / "agent/cli/logs.py")
    users = [p for p in (ROOT / "agent").rglob("*.py") if not any(p.is_relative_to(other) for other in apart)]
    text = {path: path.read_text("utf-8") for path in users}
    assert not [p for p, t in text.items() if ".console_output(" in t or "ssm.delete(" in t]


def test_the_node_policy_allows_nothing_but_to_read_two_parameters() -> None:
    [statement] = json.loads(SECURITY.blocks("json")[1])["Statement"]
    assert statement["Action"] == "ssm:GetParameter"
    assert [arn.rpartition("/")[2] for arn in statement["Resource"]] == ["bootstrap-token", "join-facts"]


@pytest.mark.parametrize(("shown", "name"), [(0, "agent"), (1, "node")])
def test_the_policies_shown_are_those_of_the_terraform_module(shown: int, name: str) -> None:
    values = {
        "partition": "aws",
        "suffix": "amazonaws.com",
        "account": "111122223333",
        "region": "ap-northeast-2",
        "prefix": "/joinery/team",
        "cluster": "team",
        "discovery": "team",
        "node_role": "arn:aws:iam::111122223333:role/team-node",
    }
    assert json.loads(SECURITY.blocks("json")[shown]) == rendered(f"iam/policies/{name}.json.tftpl", values)


@each_page()
def test_no_page_names_a_place_that_only_its_writer_has(page: Page) -> None:
    assert not re.search(r"/(work|home|tmp|root)/", page.text)
    assert not re.search(r"(?<![\w/&])[\w-]*#\d+", page.text), "an issue's number"
    assert not re.search(r"\b(pypi|pythonhosted|proxy\.golang|registry\.(?!example))[\w.-]*", page.text)


@pytest.mark.parametrize("page", [p for p in PAGES if p.path.parent.name == "decisions"], ids=str)
def test_every_decision_begins_with_its_complaint_and_says_what_was_rejected(page: Page) -> None:
    assert re.match(r"# .+\n\n\*\*The complaint\.\*\* ", page.text)
    assert "\n**So.** " in page.text
    assert "\n**Rejected.**\n\n* *" in page.text
    assert "\n**Costs.** " in page.text
    assert f"decisions/{page.path.name}" in INDEX.links()


def test_the_plan_of_the_readme_is_what_the_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    [command] = [words[1:] for words in README.shell_commands() if words[0] == ".venv/bin/joinery"]
    done = CliRunner().invoke(root, command)
    assert done.exit_code == 0
    assert README.blocks("text")[0] == done.stdout


def test_the_story_of_the_readme_says_what_the_story_says() -> None:
    told = spoken(ROOT / "tests/cluster/test_story.py")
    lines = README.blocks("text")[1].splitlines()
    sentences = [re.sub(r"^ *[\d.]+ s  ", "", line) for line in lines[1:]]
    for sentence in sentences:
        assert any(re.fullmatch(pattern, sentence) for pattern in told), sentence
    for pattern in told:
        assert any(re.fullmatch(pattern, sentence) for sentence in sentences), pattern


def spoken(source: Path) -> list[str]:
    """What a test tells, as patterns: whatever it fills in may be anything."""
    calls = [node for node in ast.walk(ast.parse(source.read_text("utf-8"))) if isinstance(node, ast.Call)]
    texts = [c.args[0] for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr == "say"]
    parts = [text.values if isinstance(text, ast.JoinedStr) else [text] for text in texts]
    return ["".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in own) for own in parts]


def test_the_arithmetic_of_the_readme_is_that_of_the_shipped_prices() -> None:
    prices = {
        name: price_table("us-east-1").on_demand[name] for name in map(_type, ("xlarge", "large", "medium", "small"))
    }
    bought = sum(prices[_type(size)] for size in ("xlarge", "large", "medium"))
    fixed = prices[_type("xlarge")] + 5 * prices[_type("small")] + 12 * prices[_type("medium")]
    hours = 22 * (2 + 5 / 60)
    for amount in (
        f"${bought / 1e9:.4f} an hour",
        f"${bought * 730 / 1e9:.2f} a month",
        f"{hours:.1f} h",
        f"${bought * hours / 1e9:.2f} a month",
        f"${3 * 40 * 0.08 * hours / 730:.2f} a month",
        f"${fixed / 1e9:.4f} an hour (${fixed * 730 / 1e9:.2f} a month)",
    ):
        assert amount in README.text


def test_the_commands_that_need_only_python_run_without_cluster_and_aws(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    facts.write_text(FACTS.text())
    example = str(ROOT / "examples/worker-scalable.yaml")
    rendering = ["userdata", "render", "-f", example, "--facts", str(facts), "--settings", str(tmp_path / "none")]
    explaining = ["explain", "nodepool/worker-scalable", "-f", example]
    for command in (["--help"], ["--version"], ["check", "-f", example], explaining, rendering):
        assert CliRunner().invoke(root, command).exit_code == 0, command


def _type(size: str) -> InstanceTypeName:
    return InstanceTypeName(f"t3.{size}")
