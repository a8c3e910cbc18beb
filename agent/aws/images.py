"""Which images a class launches: its terms, or the newest image of its family, resolved once and then pinned.

Off EKS an alias means the distribution's own plain image, never an EKS-optimised one.
"""

import fnmatch
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agent.aws.errors import Gone, mapped
from agent.aws.session import AwsSession
from agent.aws.ssm import Ssm
from agent.manifests import EC2NodeClassSpec
from agent.manifests.selectors import AmiSelectorTerm
from agent.model import names
from agent.model.constraints import Requirement
from agent.model.ec2 import Image

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import FilterTypeDef, ImageTypeDef

ARCHITECTURES: Final = {"x86_64": "amd64", "arm64": "arm64"}
UBUNTU_RELEASES: Final = ("24.04", "22.04")
"""LTS releases that the template is tested on, newest first."""


def public_parameters(alias: str) -> tuple[tuple[str, ...], ...]:
    """Names of the public SSM parameters that hold an alias's images: alternatives, the first that exists counts.

    Canonical documents its own at documentation.ubuntu.com/aws, Amazon at docs.aws.amazon.com/linux/al2023.
    """
    family, _, version = alias.partition("@")
    if family == "ubuntu":
        releases = tuple(r for r in UBUNTU_RELEASES if version in {"latest", r})
        root = "/aws/service/canonical/ubuntu/server"
        return tuple(
            tuple(f"{root}/{r}/stable/current/{a}/hvm/{disk}/ami-id" for a in ("amd64", "arm64"))
            for r in releases
            for disk in ("ebs-gp3", "ebs-gp2")
        )
    if family == "al2023":
        root = "/aws/service/ami-amazon-linux-latest"
        kernel = "default" if version == "latest" else version
        return (tuple(f"{root}/al2023-ami-kernel-{kernel}-{a}" for a in ("x86_64", "arm64")),)
    if family == "debian":
        release = "12" if version == "latest" else version
        return (tuple(f"/aws/service/debian/release/{release}/latest/{a}" for a in ("amd64", "arm64")),)
    return ()


DEFAULT_ALIASES: Final = {"Ubuntu": "ubuntu@latest", "AL2023": "al2023@latest", "Debian": "debian@latest"}


class Images:
    """Looks images up in EC2 and in public parameters."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session
        self._ssm = Ssm(session)

    def resolve(self, spec: EC2NodeClassSpec, pinned: Iterable[Image]) -> tuple[Image, ...]:
        """The class's images, one per architecture and set of requirements, newest first.

        What is pinned stays as long as it exists and a term still means it; so a newer image never rolls a fleet by
        itself, while a changed term does at once. Terms by id and by SSM parameter name their image and pin nothing.

        Raises:
            AwsError: EC2 or Parameter Store did not answer or refused.
        """
        held = frozenset(image.id for image in pinned)
        alias = next((t.alias for t in spec.ami_selector_terms if t.alias), None)
        if alias is None and spec.ami_selector_terms:
            return self._of_terms(spec.ami_selector_terms, held)
        alias = alias or DEFAULT_ALIASES.get(spec.family, "")
        meant = [i.id for i in pinned if any(fnmatch.fnmatchcase(i.name, n) for n in _alias_names(alias))]
        kept = self._by_ids(meant)
        if {i.architecture for i in kept} >= set(ARCHITECTURES.values()):
            return kept
        return _best_each((*kept, *self._alias(alias)), frozenset(meant))

    def _of_terms(self, terms: Iterable[AmiSelectorTerm], held: frozenset[str]) -> tuple[Image, ...]:
        found: list[Image] = []
        pinned: set[str] = set()
        for term in terms:
            if term.id or term.ssm_parameter:
                found += self._named(term)
            else:
                listed = self._listed(term)
                pinned |= held & {i.id for i in listed}
                found += listed
        return _best_each(found, frozenset(pinned))

    def _named(self, term: AmiSelectorTerm) -> tuple[Image, ...]:
        if term.id:
            return self._by_ids((term.id,))
        parameter = self._ssm.get(term.ssm_parameter or "")
        return self._by_ids((parameter.value,)) if parameter is not None else ()

    def _listed(self, term: AmiSelectorTerm) -> tuple[Image, ...]:
        filters: list[FilterTypeDef] = [{"Name": "state", "Values": ["available"]}]
        if term.name:
            filters.append({"Name": "name", "Values": [term.name]})
        for key, value in term.tags.items():
            any_value = value == "*"
            filters.append(
                {"Name": "tag-key", "Values": [key]} if any_value else {"Name": f"tag:{key}", "Values": [value]}
            )
        owners = [term.owner] if term.owner else ["self", "amazon"] if term.name else []
        return self._described(filters, owners)

    def _alias(self, alias: str) -> tuple[Image, ...]:
        for parameters in public_parameters(alias):
            values = [p.value for name in parameters if (p := self._ssm.get(name)) is not None]
            if values:
                return self._by_ids(values)
        return ()

    def _by_ids(self, ids: Iterable[str]) -> tuple[Image, ...]:
        found = [image for image_id in dict.fromkeys(ids) for image in self._by_id(image_id)]
        return _best_each(found)

    def _by_id(self, image_id: str) -> tuple[Image, ...]:
        """One at a time: an image that is gone must not hide the others."""
        try:
            with mapped("ec2:DescribeImages"):
                answer = self._session.client("ec2").describe_images(ImageIds=[image_id], IncludeDeprecated=True)
        except Gone:
            return ()
        return tuple(i for i in map(_image, answer.get("Images", ())) if i is not None)

    def _described(self, filters: "list[FilterTypeDef]", owners: list[str]) -> tuple[Image, ...]:
        found = []
        with mapped("ec2:DescribeImages"):
            pages = self._session.client("ec2").get_paginator("describe_images")
            for page in pages.paginate(Filters=filters, Owners=owners, IncludeDeprecated=True):
                found += [i for i in map(_image, page.get("Images", ())) if i is not None]
        return tuple(found)


def _alias_names(alias: str) -> tuple[str, ...]:
    """Patterns of the names that the distributions give their images."""
    family, _, version = alias.partition("@")
    if family == "ubuntu":
        return tuple(f"ubuntu/images/*-{r}-*" for r in UBUNTU_RELEASES if version in {"latest", r})
    if family == "al2023":
        return ("al2023-ami-2*",) if version == "latest" else (f"al2023-ami-2*-{version}-*",)
    if family == "debian":
        return (f"debian-{'12' if version == 'latest' else version}-*",)
    return ()


def _image(described: "ImageTypeDef") -> Image | None:
    architecture = ARCHITECTURES.get(described.get("Architecture", ""))
    if architecture is None or described.get("State") != "available":
        return None
    until = described.get("DeprecationTime")
    return Image(
        id=described["ImageId"],
        name=described.get("Name", ""),
        architecture=architecture,
        created_at=_time(described.get("CreationDate", "")),
        deprecated=bool(until) and (_time(until or "") or datetime.max.replace(tzinfo=UTC)) <= datetime.now(UTC),
        requirements=(Requirement(names.ARCH, "In", (architecture,)),),
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _best_each(images: Iterable[Image], pinned: frozenset[str] = frozenset()) -> tuple[Image, ...]:
    """Of images that fit the same types one counts: the pinned, else not deprecated, then the newest, then by id."""
    oldest = datetime.min.replace(tzinfo=UTC)

    def rank(image: Image) -> tuple[bool, bool, datetime, str]:
        return image.id in pinned, not image.deprecated, image.created_at or oldest, image.id

    best: dict[tuple[Requirement, ...], Image] = {}
    for image in sorted(images, key=rank, reverse=True):
        best.setdefault(image.requirements, image)
    return tuple(best.values())
