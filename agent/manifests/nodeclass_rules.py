"""Rules across the fields of an EC2NodeClass."""

from typing import TYPE_CHECKING, Final

from agent.manifests.kubelet import HIGH_THRESHOLD, LOW_THRESHOLD
from agent.manifests.selectors import ALIAS_FAMILIES
from agent.manifests.written import Rule

if TYPE_CHECKING:
    from agent.manifests.nodeclass import EC2NodeClassSpec


def _aliases(spec: "EC2NodeClassSpec") -> list[str]:
    return [term.alias for term in spec.ami_selector_terms if term.alias]


def _family_agrees(spec: "EC2NodeClassSpec") -> bool:
    families = {ALIAS_FAMILIES.get(alias.partition("@")[0], "") for alias in _aliases(spec)}
    return not families or spec.ami_family in {None, "Custom", *families}


def _interfaces_are_distinct(spec: "EC2NodeClassSpec") -> bool:
    places = [(nic.network_card_index, nic.device_index) for nic in spec.network_interfaces]
    return len(places) == len(set(places))


def _one_efa_per_card(spec: "EC2NodeClassSpec") -> bool:
    cards = [nic.network_card_index for nic in spec.network_interfaces if nic.interface_type == "efa-only"]
    return len(cards) == len(set(cards))


def _has_primary(spec: "EC2NodeClassSpec") -> bool:
    return not spec.network_interfaces or any(
        (nic.network_card_index, nic.device_index, nic.interface_type) == (0, 0, "interface")
        for nic in spec.network_interfaces
    )


_CEL_ALIAS_FAMILIES: Final = " && ".join(
    f"(term.alias.startsWith('{alias}@') ? self.amiFamily == '{family}' : true)"
    for alias, family in ALIAS_FAMILIES.items()
)

CLASS_RULES: Final = (
    Rule(
        "needs exactly one of role and instanceProfile",
        holds=lambda spec: (spec.role is None) != (spec.instance_profile is None),
        reads=("role", "instanceProfile"),
        cel="has(self.role) != has(self.instanceProfile)",
    ),
    Rule(
        "amiFamily is required when no term of amiSelectorTerms has an alias",
        holds=lambda spec: spec.ami_family is not None or bool(_aliases(spec)),
        reads=("amiFamily", "amiSelectorTerms"),
        at="amiFamily",
        cel="has(self.amiFamily) || "
        "(has(self.amiSelectorTerms) && self.amiSelectorTerms.exists(term, has(term.alias)))",
    ),
    Rule(
        "amiFamily must be that of the alias, or Custom",
        holds=_family_agrees,
        reads=("amiFamily", "amiSelectorTerms"),
        at="amiFamily",
        cel="!has(self.amiFamily) || self.amiFamily == 'Custom' || !has(self.amiSelectorTerms) || "
        f"self.amiSelectorTerms.all(term, !has(term.alias) || ({_CEL_ALIAS_FAMILIES}))",
    ),
    Rule(
        "a term with an alias must be the only term",
        holds=lambda spec: not _aliases(spec) or len(spec.ami_selector_terms) == 1,
        reads=("amiSelectorTerms",),
        at="amiSelectorTerms",
        cel="!has(self.amiSelectorTerms) || self.amiSelectorTerms.size() == 1 || "
        "!self.amiSelectorTerms.exists(term, has(term.alias))",
    ),
    Rule(
        "Custom needs amiSelectorTerms: there is no default image",
        holds=lambda spec: spec.ami_family != "Custom" or bool(spec.ami_selector_terms),
        reads=("amiFamily", "amiSelectorTerms"),
        at="amiSelectorTerms",
        cel="!has(self.amiFamily) || self.amiFamily != 'Custom' || "
        "(has(self.amiSelectorTerms) && self.amiSelectorTerms.size() > 0)",
    ),
    Rule(
        "only one disk can be the rootVolume",
        holds=lambda spec: sum(disk.root_volume for disk in spec.block_device_mappings) <= 1,
        reads=("blockDeviceMappings",),
        at="blockDeviceMappings",
        cel="!has(self.blockDeviceMappings) || "
        "self.blockDeviceMappings.filter(disk, has(disk.rootVolume) && disk.rootVolume).size() <= 1",
    ),
    Rule(
        "networkInterfaces must contain card 0, device 0 of type interface",
        holds=_has_primary,
        reads=("networkInterfaces",),
        at="networkInterfaces",
        cel="!has(self.networkInterfaces) || self.networkInterfaces.size() == 0 || self.networkInterfaces.exists(nic, "
        "nic.networkCardIndex == 0 && nic.deviceIndex == 0 && nic.interfaceType == 'interface')",
    ),
    Rule(
        "no two networkInterfaces may share card and device",
        holds=_interfaces_are_distinct,
        reads=("networkInterfaces",),
        at="networkInterfaces",
    ),
    Rule(
        "a network card can have one efa-only interface",
        holds=_one_efa_per_card,
        reads=("networkInterfaces",),
        at="networkInterfaces",
    ),
    Rule(
        "evictionSoft and evictionSoftGracePeriod must name the same signals",
        holds=lambda spec: (
            set(spec.kubelet.get("evictionSoft", ())) == set(spec.kubelet.get("evictionSoftGracePeriod", ()))
        ),
        reads=("kubelet",),
        at="kubelet.evictionSoft",
    ),
    Rule(
        "imageGCHighThresholdPercent must be greater than imageGCLowThresholdPercent",
        holds=lambda spec: (
            spec.kubelet.get("imageGCHighThresholdPercent", HIGH_THRESHOLD)
            > spec.kubelet.get("imageGCLowThresholdPercent", LOW_THRESHOLD)
        ),
        reads=("kubelet",),
        at="kubelet.imageGCHighThresholdPercent",
    ),
)
