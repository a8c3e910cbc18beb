"""Which images a class launches: its terms, or the newest image of its family, resolved once and then pinned.

Off EKS an alias means the distribution's own plain image, never an EKS-optimised one.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from agent.aws.errors import Gone, mapped
from agent.aws.session import AwsSession
from agent.aws.ssm import Ssm
from agent.manifests import EC2NodeClassSpec
from agent.manifests.selectors import AmiSelectorTerm
from agent.model import names
from agent.model.ec2 import Image
from agent.model.kubernetes import Requirement

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
        releases = UBUNTU_RELEASES if version == "latest" else (version,)
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

        What is pinned stays as long as it exists and the class names no image of its own; so a newer image never
        rolls a fleet by itself.

        Raises:
            AwsError: EC2 or Parameter Store did not answer or refused.
        """
        held = tuple(pinned)
        if held and not any(term.id for term in spec.ami_selector_terms):
            kept = self._by_ids(image.id for image in held)
            if {image.id for image in kept} == {image.id for image in held}:
                return kept
        terms = spec.ami_selector_terms or (_default_term(spec.family),)
        found: list[Image] = []
        for term in terms:
            if term is not None:
                found += self._term(term)
        return _newest_each(found)

    def _term(self, term: AmiSelectorTerm) -> tuple[Image, ...]:
        if term.alias:
            return self._alias(term.alias)
        if term.id:
            return self._by_ids((term.id,))
        if term.ssm_parameter:
            parameter = self._ssm.get(term.ssm_parameter)
            return self._by_ids((parameter.value,)) if parameter is not None else ()
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
        return _newest_each(found)

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


def _default_term(family: str) -> AmiSelectorTerm | None:
    alias = DEFAULT_ALIASES.get(family)
    return AmiSelectorTerm.model_validate({"alias": alias}) if alias else None


def _image(described: "ImageTypeDef") -> Image | None:
    architecture = ARCHITECTURES.get(described.get("Architecture", ""))
    if architecture is None:
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


def _newest_each(images: Iterable[Image]) -> tuple[Image, ...]:
    """Of images that fit the same types only one counts: not deprecated, then newest, then by id."""
    oldest = datetime.min.replace(tzinfo=UTC)
    ranked = sorted(images, key=lambda i: (not i.deprecated, i.created_at or oldest, i.id), reverse=True)
    best: dict[tuple[Requirement, ...], Image] = {}
    for image in ranked:
        best.setdefault(image.requirements, image)
    return tuple(best.values())
