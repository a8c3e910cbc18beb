"""SSM Parameter Store: where the join facts and the bootstrap token are handed to new nodes."""

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from agent.aws.errors import Gone, mapped
from agent.aws.session import AwsSession

if TYPE_CHECKING:
    from types_boto3_ssm.type_defs import PutParameterRequestTypeDef


class Parameter(msgspec.Struct, frozen=True):
    """One version of a parameter, decrypted. Its text never shows the value."""

    name: str
    value: str
    version: int
    modified_at: datetime | None

    def __repr__(self) -> str:
        """Without the value, which may be a token: a repr ends up in logs."""
        return f"Parameter(name={self.name!r}, version={self.version})"


class Ssm:
    """Reads and writes single parameters; every error is one of ``agent.aws.errors``."""

    def __init__(self, session: AwsSession) -> None:
        self._session = session

    def get(self, name: str) -> Parameter | None:
        """The current version, decrypted; None when there is no such parameter.

        Raises:
            Denied: ``ssm:GetParameter`` or ``kms:Decrypt`` is not allowed.
        """
        try:
            with mapped("ssm:GetParameter"):
                found = self._session.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]
        except Gone:
            return None
        return Parameter(
            name=found.get("Name", name),
            value=found.get("Value", ""),
            version=found.get("Version", 0),
            modified_at=found.get("LastModifiedDate"),
        )

    def put(self, name: str, value: str, *, secure: bool, description: str = "", kms_key_id: str | None = None) -> int:
        """Write a new version over the old one and return its number.

        A repeated put after a lost answer costs a version and nothing else: the value is the same.

        Args:
            name: with its path, such as ``/joinery/<cluster>/bootstrap-token``.
            value: up to 4096 bytes.
            secure: encrypt it (SecureString).
            description: for people who look at the console.
            kms_key_id: the key to encrypt with; None means the account's own for SSM.
        """
        request: PutParameterRequestTypeDef = {
            "Name": name,
            "Value": value,
            "Type": "SecureString" if secure else "String",
            "Overwrite": True,
        }
        if description:
            request["Description"] = description
        if secure and kms_key_id:
            request["KeyId"] = kms_key_id
        with mapped("ssm:PutParameter"):
            return self._session.client("ssm").put_parameter(**request)["Version"]

    def delete(self, name: str) -> None:
        """Remove a parameter with all its versions; one that is not there is removed already."""
        try:
            with mapped("ssm:DeleteParameter"):
                self._session.client("ssm").delete_parameter(Name=name)
        except Gone:
            return
