"""What an EC2NodeClass's terms mean in this account now: subnets, security groups, images, instance profile.

Each part has its condition, named as in Karpenter. A part that AWS does not answer for is Unknown and keeps the class
from launching; it is never guessed.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from agent.aws.errors import AwsError, Gone, Retryable, Throttled, mapped
from agent.aws.images import DEFAULT_ALIASES, UBUNTU_RELEASES, Images, public_parameters
from agent.aws.reservations import described
from agent.aws.session import AwsSession
from agent.aws.tags import tag_filters
from agent.manifests import EC2NodeClassSpec
from agent.manifests.selectors import SecurityGroupSelectorTerm, SubnetSelectorTerm
from agent.model.ec2 import CapacityReservation, Image, Subnet
from agent.model.kubernetes import Condition
from agent.model.names import Zone

if TYPE_CHECKING:
    from types_boto3_ec2.type_defs import FilterTypeDef

T = TypeVar("T")


class ResolvedClass(msgspec.Struct, frozen=True):
    """A class's parts and conditions."""

    subnets: tuple[Subnet, ...] = ()
    security_groups: tuple[str, ...] = ()
    security_group_names: dict[str, str] = {}
    images: tuple[Image, ...] = ()
    reservations: tuple[CapacityReservation, ...] = ()
    instance_profile: str = ""
    conditions: tuple[Condition, ...] = ()

    @property
    def ready(self) -> bool:
        """All parts are there."""
        return any(c.type == "Ready" and c.status == "True" for c in self.conditions)


class Resolver:
    """Asks AWS what classes mean."""

    def __init__(self, session: AwsSession, supported_families: frozenset[str]) -> None:
        self._session = session
        self._images = Images(session)
        self._supported = supported_families

    def resolve(
        self,
        spec: EC2NodeClassSpec | None,
        pinned: tuple[Image, ...],
        faults: tuple[str, ...],
        previous: "ResolvedClass | None" = None,
    ) -> ResolvedClass:
        """Resolve every part; what fails is said in its condition and never raised.

        Pinned images are kept while EC2 does not answer for them: an empty answer would lose the pin for good.

        Args:
            spec: the class, None when it cannot be read.
            pinned: images of its status.
            faults: of its manifest.
            previous: what the same generation of it was resolved to; its parts stand in while AWS is throttling or
                out of reach, because an answer that did not come says nothing.
        """
        validity = self._validity(spec, faults)
        if spec is None:
            return ResolvedClass(conditions=_with_ready((validity,)))
        old = previous or ResolvedClass()
        asked = _Asked(old)
        images, amis = asked.part("AMIsReady", lambda: self._images.resolve(spec, pinned), _no_image(spec), old.images)
        subnets, nets = asked.part(
            "SubnetsReady", lambda: self._subnets(spec.subnet_selector_terms), _NO_SUBNET, old.subnets
        )
        groups, sgs = asked.part(
            "SecurityGroupsReady",
            lambda: self._groups(spec.security_group_selector_terms),
            _NO_GROUP,
            old.security_group_names,
        )
        profile, iam = asked.part(
            "InstanceProfileReady", lambda: self._profile(spec), _no_profile(spec), old.instance_profile
        )
        reservations, odcrs = asked.part(
            "CapacityReservationsReady",
            lambda: described(self._session, spec.capacity_reservation_selector_terms),
            None,
            old.reservations,
        )
        return ResolvedClass(
            subnets=subnets or (),
            security_groups=tuple(sorted(groups or ())),
            security_group_names=groups or {},
            images=images or (pinned if amis.status == "Unknown" else ()),
            reservations=reservations or (),
            instance_profile=profile or "",
            conditions=_with_ready((validity, amis, nets, sgs, iam, odcrs)),
        )

    def _validity(self, spec: EC2NodeClassSpec | None, faults: tuple[str, ...]) -> Condition:
        kind = "ValidationSucceeded"
        if faults or spec is None:
            return Condition(kind, "False", "InvalidSpec", "; ".join(faults) or "the class cannot be read")
        if spec.family not in self._supported:
            known = ", ".join(sorted(self._supported))
            message = (
                f"there is no userData template for amiFamily {spec.family} (there is for {known}); "
                "use Custom with a script of your own, or one of these"
            )
            return Condition(kind, "False", "UserDataTemplateMissing", message)
        return Condition(kind, "True", kind)

    def _subnets(self, terms: Iterable[SubnetSelectorTerm]) -> tuple[Subnet, ...]:
        found: dict[str, Subnet] = {}
        for term in terms:
            filters: list[FilterTypeDef] = [{"Name": "state", "Values": ["available"]}, *tag_filters(term.tags)]
            if term.id:
                filters.append({"Name": "subnet-id", "Values": [term.id]})
            with mapped("ec2:DescribeSubnets"):
                for page in self._session.client("ec2").get_paginator("describe_subnets").paginate(Filters=filters):
                    for s in page.get("Subnets", ()):
                        found[s["SubnetId"]] = Subnet(
                            s["SubnetId"],
                            Zone(s["AvailabilityZone"]),
                            s.get("AvailabilityZoneId", ""),
                            s.get("AvailableIpAddressCount", 0),
                        )
        return tuple(sorted(found.values(), key=lambda s: (-s.free_addresses, s.id)))

    def _groups(self, terms: Iterable[SecurityGroupSelectorTerm]) -> dict[str, str]:
        found: dict[str, str] = {}
        for term in terms:
            filters = tag_filters(term.tags)
            if term.id:
                filters.append({"Name": "group-id", "Values": [term.id]})
            if term.name:
                filters.append({"Name": "group-name", "Values": [term.name]})
            with mapped("ec2:DescribeSecurityGroups"):
                pages = self._session.client("ec2").get_paginator("describe_security_groups").paginate(Filters=filters)
                for page in pages:
                    found |= {g["GroupId"]: g.get("GroupName", "") for g in page.get("SecurityGroups", ())}
        return dict(sorted(found.items()))

    def _profile(self, spec: EC2NodeClassSpec) -> str:
        """The named profile if it exists, or the existing profile of the named role; none is ever made.

        A profile without a role gives its machine no credentials, so it could never read the token to join with.
        """
        iam = self._session.client("iam")
        try:
            if spec.instance_profile:
                with mapped("iam:GetInstanceProfile"):
                    answer = iam.get_instance_profile(InstanceProfileName=spec.instance_profile)
                profile = answer["InstanceProfile"]
                return profile["InstanceProfileName"] if profile["Roles"] else ""
            with mapped("iam:ListInstanceProfilesForRole"):
                listed = iam.list_instance_profiles_for_role(RoleName=(spec.role or "").rpartition("/")[2])
        except Gone:
            return ""
        return min((p["InstanceProfileName"] for p in listed["InstanceProfiles"]), default="")


_NO_SUBNET: Final = ("SubnetsNotFound", "no subnet matches spec.subnetSelectorTerms; tag one or mend the terms")
_NO_GROUP: Final = (
    "SecurityGroupsNotFound",
    "no security group matches spec.securityGroupSelectorTerms; tag one or mend the terms",
)


def _no_image(spec: EC2NodeClassSpec) -> tuple[str, str]:
    for term in spec.ami_selector_terms:
        if term.alias and not public_parameters(term.alias):
            known = ", ".join([*(f"ubuntu@{r}" for r in UBUNTU_RELEASES), *sorted(set(DEFAULT_ALIASES.values()))])
            return "UnsupportedAlias", f"the image alias {term.alias} is not known here; there are {known}"
    if spec.ami_selector_terms:
        return "AMINotFound", "no image matches spec.amiSelectorTerms; mend the terms, or share the image with us"
    if spec.family not in DEFAULT_ALIASES:
        return "AMINotFound", f"amiFamily {spec.family} has no default image; give spec.amiSelectorTerms"
    return "AMINotFound", f"the default image of amiFamily {spec.family} was not found in this region"


def _no_profile(spec: EC2NodeClassSpec) -> tuple[str, str]:
    if spec.instance_profile:
        return "InstanceProfileNotFound", f"the instance profile {spec.instance_profile} does not exist or has no role"
    return "InstanceProfileNotFound", f"the role {spec.role} does not exist or has no instance profile; make one for it"


class _Asked:
    """Asks for one part after the other, with what was known before at hand."""

    def __init__(self, previous: ResolvedClass) -> None:
        self._known = {c.type: c for c in previous.conditions if c.status == "True"}

    def part(
        self, kind: str, ask: Callable[[], T], missing: tuple[str, str] | None, old: T
    ) -> tuple[T | None, Condition]:
        """What was found; reason and sentence where nothing was, unless nothing is an answer (``missing`` is None)."""
        try:
            found = ask()
        except AwsError as error:
            if isinstance(error, Retryable | Throttled) and (old or missing is None) and kind in self._known:
                return old, self._known[kind]
            return None, Condition(kind, "Unknown", type(error).__name__, str(error))
        if not found and missing is not None:
            return None, Condition(kind, "False", *missing)
        return found, Condition(kind, "True", kind)


def _with_ready(parts: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Ready is False as soon as one part is, Unknown as long as one part is, and names the first."""
    for status in ("False", "Unknown"):
        cause = next((c for c in parts if c.status == status), None)
        if cause is not None:
            return (*parts, Condition("Ready", cause.status, cause.reason, cause.message))
    return (*parts, Condition("Ready", "True", "Ready"))
