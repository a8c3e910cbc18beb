"""Texts and numbers with a grammar of their own: one class checks, explains itself, and gives the CRD its pattern."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, StrictBool, StrictInt
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from agent.core.quantity import QuantityError, parse_amount
from agent.manifests.durations import DurationError, parse_duration

NAME_PART: Final = "([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)"
DNS_SUBDOMAIN: Final = "[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*"
DURATION: Final = "([0-9]+(s|m|h))+"
_DAYS: Final = re.compile("([0-9]{1,5})d", re.ASCII)
_NUMBER: Final = "(([0-9]+(\\.[0-9]*)?)|(\\.[0-9]+))"
QUANTITY: Final = f"(\\+|-)?{_NUMBER}(([KMGTPE]i)|[numkMGTPE]|([eE](\\+|-)?{_NUMBER}))?"


def fault(text: str) -> PydanticCustomError:
    """A validation error whose message is said as it stands."""
    return PydanticCustomError("rule", "{text}", {"text": text})


@dataclass(frozen=True)
class Between:
    """An integer between two bounds, both allowed. ``high`` None: no upper bound."""

    low: int
    high: int | None = None

    def check(self, value: int) -> int:
        """The value, if it is in bounds."""
        if value < self.low or (self.high is not None and value > self.high):
            raise fault(f"must be {self}")
        return value

    def __str__(self) -> str:
        """As people write a range."""
        return f"at least {self.low}" if self.high is None else f"{self.low}..{self.high}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401  pydantic's signature
        """Check after pydantic has made sure that it is an integer."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The bounds, as OpenAPI says them."""
        json = handler(schema)
        json["minimum"] = self.low
        if self.high is not None:
            json["maximum"] = self.high
        return json


@dataclass(frozen=True)
class Matching:
    """A text that a pattern covers from end to end, and what to call it when it does not."""

    pattern: str
    noun: str
    max_length: int | None = None

    def check(self, value: str) -> str:
        """The text, if it is what it should be."""
        if self.max_length is not None and len(value) > self.max_length:
            raise fault(f"must have at most {self.max_length} characters")
        if not re.fullmatch(self.pattern, value):
            raise fault(f'"{value}" is not {self.noun}' if value else "must not be empty")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401  pydantic's signature
        """Check after pydantic has made sure that it is a text."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """The pattern, anchored, as OpenAPI says it."""
        json = handler(schema)
        json["pattern"] = f"^({self.pattern})$" if "|" in self.pattern else f"^{self.pattern}$"
        if self.max_length is not None:
            json["maxLength"] = self.max_length
        return json


@dataclass(frozen=True)
class GoDuration(Matching):
    """A Go duration in hours, minutes and seconds; its text is kept, so that GitOps tools see no difference."""

    def check(self, value: str) -> str:
        """The text, if it is a duration that fits Go's 63 bits of nanoseconds. Go has no days."""
        if (days := _DAYS.fullmatch(value)) is not None:
            raise fault(f'"{value}" is not {self.noun} (write {24 * int(days[1])}h)')
        super().check(value)
        return value if value == "Never" else duration_text(value)


def duration_text(value: str) -> str:
    """The text, if it is a Go duration."""
    try:
        parse_duration(value)
    except DurationError as error:
        raise fault(str(error)) from error
    return value


def amount_text(value: Any) -> Any:  # noqa: ANN401  what YAML left there
    """A quantity as text; YAML reads ``cpu: 20`` as a number."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


@dataclass(frozen=True)
class QuantityText:
    """A Kubernetes quantity that is not negative."""

    def check(self, value: str) -> str:
        """The text, if it is a quantity."""
        try:
            amount = parse_amount(value)
        except QuantityError as error:
            raise fault(f'"{value}" is not a quantity') from error
        if amount < 0:
            raise fault(f'"{value}" is less than nothing')
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:  # noqa: ANN401  pydantic's signature
        """Check after numbers have become texts."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Kubernetes' int-or-string."""
        return {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": f"^{QUANTITY}$",
            "x-kubernetes-int-or-string": True,
        }


Flag = StrictBool
Whole = StrictInt
Quantity = Annotated[str, BeforeValidator(amount_text), QuantityText()]
Duration = Annotated[str, GoDuration(DURATION, "a duration")]
DurationOrNever = Annotated[str, GoDuration(f"{DURATION}|Never", "a duration")]
BudgetDuration = Annotated[str, GoDuration("([0-9]+(h|m))+(0s)?", "a duration in hours and minutes")]
NonEmpty = Annotated[str, Matching("[\\s\\S]+", "a text")]
LabelValue = Annotated[str, Matching(f"{NAME_PART}?", "a label value", 63)]
LabelKey = Annotated[str, Matching(f"({DNS_SUBDOMAIN}/)?{NAME_PART}", "a label key", 316)]
ObjectName = Annotated[str, Matching(DNS_SUBDOMAIN, "a name (lower-case letters, digits, - and .)", 253)]
