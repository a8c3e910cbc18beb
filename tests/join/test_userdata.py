"""userData is the same bytes for a class, quoted, small enough, and free of secrets."""

from __future__ import annotations

import json
import shlex
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.join.errors import TemplateFault
from agent.join.facts import facts_in
from agent.join.userdata import MAX_BYTES, RenderOptions, render, supported_families
from tests.join.classes import FACTS, JINJA_SCRIPT, USER_SCRIPT, node_class, variants

GOLDEN = Path(__file__).parent / "golden"
VARIANTS = sorted(variants())
SCRIPTS = [name for name in VARIANTS if name.endswith(".sh")]


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_rendered_was_reviewed(name: str) -> None:
    """After a wanted change: `python -m tests.join.write_golden`, and read the difference."""
    assert variants()[name] == (GOLDEN / name).read_text()


def test_there_is_no_golden_file_too_many() -> None:
    assert sorted(path.name for path in GOLDEN.iterdir()) == VARIANTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_bash_can_parse_it(name: str) -> None:
    subprocess.run(["bash", "-n"], input=variants()[name], text=True, check=True)


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_join_facts_are_in_it(name: str) -> None:
    assert facts_in(variants()[name]) == FACTS


@pytest.mark.parametrize("name", VARIANTS)
def test_it_leaves_room_below_the_limit(name: str) -> None:
    assert len(variants()[name].encode()) < MAX_BYTES


def test_our_part_leaves_four_kibibytes_to_the_user() -> None:
    script = "#!/bin/bash\n" + "#" * 4096 + "\n"

    assert script in render(node_class(userData=script), FACTS)


def test_userdata_that_is_too_long_says_by_how_much() -> None:
    with pytest.raises(TemplateFault, match=r"userData is \d+ bytes, \d+ more than the 16384 that EC2 takes"):
        render(node_class(userData="#!/bin/bash\n" + "#" * MAX_BYTES), FACTS)


def test_custom_is_passed_through_untouched() -> None:
    text = "MIME-Version: 1.0\n\n{{ not jinja }} ${x}\n"
    custom = node_class(amiFamily="Custom", amiSelectorTerms=[{"id": "ami-0123456789abcdef0"}], userData=text)

    assert render(custom, FACTS) == text
    assert render(custom.model_copy(update={"user_data": None}), FACTS) == ""


def test_a_family_without_a_template_is_named() -> None:
    assert supported_families() == {"Ubuntu", "Custom"}
    with pytest.raises(TemplateFault, match="amiFamily AL2023 has no userData template yet; there are Custom, Ubuntu"):
        render(node_class(amiFamily="AL2023"), FACTS)


@pytest.mark.parametrize("text", ["#cloud-config\n", "MIME-Version: 1.0\n", "echo hello\n"])
def test_what_is_no_script_is_refused_for_ubuntu(text: str) -> None:
    with pytest.raises(TemplateFault, match="must begin with #!"):
        render(node_class(userData=text), FACTS)


def test_a_user_script_is_verbatim_even_where_it_looks_like_jinja() -> None:
    script = "#!/bin/bash\na=(1 2)\necho ${#a[@]} '{{.Names}}' {% raw %} \"$(date)\" 'é' \\\n  end\n"

    assert script in render(node_class(userData=script), FACTS)


def test_a_user_script_without_a_last_newline_still_ends_before_the_delimiter() -> None:
    rendered = render(node_class(userData="#!/bin/bash\nexit 0"), FACTS)

    assert "\nexit 0\nJOINERY_" in rendered


def test_a_user_script_may_be_a_template_when_annotated() -> None:
    rendered = render(node_class(userData=JINJA_SCRIPT), FACTS, {"joinery.sh/userdata": "jinja"})

    assert f"\necho demo 1.36 sha256:{'a' * 64}\n" in rendered


@pytest.mark.parametrize(
    ("script", "mode", "sentence"),
    [
        ("#!/bin/sh\n{{ token }}", "jinja", "'token' is undefined"),
        ("#!/bin/sh\n{{ cluster", "jinja", "no Jinja template"),
        ("#!/bin/sh\n{{ cluster.__class__.__mro__ }}", "jinja", "no Jinja template"),
        ("#!/bin/sh\n{{ 1 // 0 }}", "jinja", "no Jinja template"),
        ("#!/bin/sh\n{{ caCertHashes }}", "jinja", "cannot be printed into a script"),
        ("#!/bin/sh\n", "mustache", "it may be jinja or be left out"),
        ("#!/bin/sh\n\0", "", "NUL"),
    ],
)
def test_a_script_that_cannot_be_rendered_says_why(script: str, mode: str, sentence: str) -> None:
    with pytest.raises(TemplateFault, match=sentence):
        render(node_class(userData=script), FACTS, {"joinery.sh/userdata": mode})


def test_own_templates_come_first_and_may_be_partial(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/join.sh.j2").write_text("echo {{ facts.cluster }} {{ token_wait_seconds }}\n")

    rendered = render(node_class(), FACTS, options=RenderOptions(templates=tmp_path))

    assert "\necho demo 600\n" in rendered
    assert "phase identity" in rendered


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{{ nobody }}", "'nobody' is undefined"),
        ("{% if %}", "cannot be rendered"),
        ("{{ kubelet }}", "cannot be printed into a script"),
    ],
)
def test_a_broken_template_says_what_is_wrong(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "ubuntu.sh.j2").write_text(text)

    with pytest.raises(TemplateFault, match=sentence):
        render(node_class(), FACTS, options=RenderOptions(templates=tmp_path))


def test_a_template_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TemplateFault, match="nowhere does not exist"):
        render(node_class(), FACTS, options=RenderOptions(templates=tmp_path / "nowhere"))


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_every_string_a_template_prints_is_read_back_by_the_shell_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("templates")
    (folder / "ubuntu.sh.j2").write_text("{{ facts.cluster }}")

    printed = render(node_class(), replace(FACTS, cluster=text), options=RenderOptions(templates=folder))

    assert printed == shlex.quote(text)


def test_the_kubelet_settings_of_a_class_reach_the_kubelet() -> None:
    rendered = render(node_class(kubelet={"maxPods": 58}), FACTS)
    block = rendered.partition("JOINERY_KUBELET'\n")[2].partition("\nJOINERY_KUBELET")[0]

    assert json.loads(block)["maxPods"] == 58
    assert "--config-dir=" in rendered
    assert "--config-dir=" not in render(node_class(), FACTS)


def instance_program(rendered: str) -> dict[str, object]:
    """The program inside a script, as a module."""
    source = rendered.partition("<<'JOINERY_INSTANCE_PY'\n")[2].partition("\nJOINERY_INSTANCE_PY")[0]
    names: dict[str, object] = {"__name__": "instance"}
    exec(compile(source, "instance.py", "exec"), names)
    return names


@pytest.mark.parametrize("url", ["https://ssm.ap-northeast-2.amazonaws.com/", "http://127.0.0.1:4566/"])
@pytest.mark.parametrize("name", ["ubuntu.sh", "ubuntu-user-script.sh"])
def test_requests_are_signed_as_botocore_signs_them(url: str, name: str) -> None:
    body = b'{"Name": "/joinery/demo/bootstrap-token", "WithDecryption": true}'
    keys = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "s3cr3t/+=", "Token": "session//token=="}
    now = datetime.now(UTC)
    signed = instance_program(variants()[name])["signed"]

    headers = signed(url, "ap-northeast-2", body, keys, now)  # type: ignore[operator]

    unsigned = {k: v for k, v in headers.items() if k in {"content-type", "x-amz-target"}}
    theirs = AWSRequest(method="POST", url=url, data=body, headers=unsigned)
    theirs.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials("ASIAEXAMPLE", "s3cr3t/+=", "session//token=="), "ssm", "ap-northeast-2")
    theirs.headers["X-Amz-Date"] = headers["x-amz-date"]
    theirs.headers["X-Amz-Security-Token"] = keys["Token"]
    canonical = signer.canonical_request(theirs)
    signature = signer.signature(signer.string_to_sign(theirs, canonical), theirs)
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert f"SignedHeaders={signer.signed_headers(signer.headers_to_sign(theirs))}," in headers["authorization"]


def test_the_example_of_the_documentation_is_wrapped() -> None:
    rendered = render(node_class(userData=USER_SCRIPT), FACTS)

    assert USER_SCRIPT in rendered
    assert "export CLUSTER_ENDPOINT=10.0.0.10 CA_CERT_HASH=" + "a" * 64 in rendered
