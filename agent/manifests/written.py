"""What a person wrote: the base of every model, and rules that span several fields.

A rule stands once, beside the fields it is about. ``agent.manifests.examine`` asks its Python half of a file,
``agent.manifests.schema`` puts its CEL half into the CRD, and the reference page prints its sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from agent.manifests.meanings import meanings


@dataclass(frozen=True)
class Rule:
    """One rule across fields of an object."""

    message: str
    """What is wrong when the rule does not hold; said to a person and by the API server alike."""
    holds: Callable[[Any], bool] | None = None
    """Asked of the parsed object. None: only the API server can tell, because it compares with what was before."""
    reads: tuple[str, ...] = ()
    """Fields, as written in YAML, that the rule is about. It is not asked when one of them is faulty already."""
    at: str = ""
    """The field that the message points at; empty: the object itself."""
    cel: str = ""
    """The same rule for the API server; empty: it cannot be said there within the cost that CEL is allowed."""

    def validation(self) -> dict[str, str]:
        """The entry of ``x-kubernetes-validations``."""
        return {"rule": self.cel, "message": self.message}


class Written(BaseModel):
    """Base of what people write: camelCase as in Kubernetes, frozen, unknown fields refused."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        validate_by_name=False,
        validate_by_alias=True,
    )
    RULES: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Pydantic's schema of the model with its fields' meanings and the rules that the API server can check."""
        json = handler.resolve_ref_schema(handler(schema))
        for name, text in meanings(cls).items():
            json["properties"][cls.model_fields[name].alias or name]["description"] = text
        validations = [rule.validation() for rule in cls.RULES if rule.cel]
        if validations:
            json["x-kubernetes-validations"] = validations
        return json


class Observed(Written):
    """Base of what controllers write into a status: fields that a newer version added are let pass."""

    model_config = ConfigDict(extra="ignore")
