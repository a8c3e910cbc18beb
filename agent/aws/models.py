"""botocore's service models without their documentation.

botocore keeps every model that it has read for the life of the process. That of EC2 alone is 20 MB in memory, half of
it prose that no call needs.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.loaders import JSONFileLoader


class _Terse(JSONFileLoader):
    def load_file(self, file_path: str) -> Any:  # noqa: ANN401 - a model is any JSON
        """What the file holds, or None when it is not there."""
        for path, opened in ((f"{file_path}.json", open), (f"{file_path}.json.gz", gzip.open)):
            if Path(path).is_file():
                with opened(path, "rb") as file:
                    return json.loads(file.read(), object_hook=_without_prose)
        return None


def session(region: str) -> boto3.Session:
    """A session of its own in a region. Raises ``BotoCoreError`` for a region that is no region."""
    core = botocore.session.get_session()
    core.get_component("data_loader").file_loader = _Terse()
    return boto3.Session(botocore_session=core, region_name=region)


def _without_prose(found: dict[str, Any]) -> dict[str, Any]:
    # A member may be called so too; its value is a shape, not text.
    if isinstance(found.get("documentation"), str):
        del found["documentation"]
    return found
