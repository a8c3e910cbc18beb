"""The example manifests, wherever this was installed: inside the package, or beside it in a checkout."""

from importlib import resources
from pathlib import Path
from typing import Any

import yaml


def example(name: str) -> list[dict[str, Any]]:
    """The documents of one example. Raises ``FileNotFoundError`` when the installation lacks them."""
    inside = Path(str(resources.files("agent"))) / "examples"
    beside = Path(__file__).resolve().parents[2] / "examples"
    found = next((folder / name for folder in (inside, beside) if (folder / name).is_file()), None)
    if found is None:
        raise FileNotFoundError(f"the package was installed without examples/{name}; install it again")
    return [document for document in yaml.safe_load_all(found.read_text("utf-8")) if document]
