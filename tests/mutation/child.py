"""Tests run on a mutant: `python -m tests.mutation.child RULE NUMBER TEST…` prints, as JSON, which tests failed how."""

from __future__ import annotations

import json
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from typing import TYPE_CHECKING

import pytest

from tests.mutation import ROOT, Mutant
from tests.mutation.mutants import MUTANTS

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import CodeType, ModuleType


class _Loader(SourceFileLoader):
    """Compiles the changed text, past the cache of compiled files."""

    def __init__(self, module: str, file: str, source: str) -> None:
        super().__init__(module, str(ROOT / file))
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.get_filename(fullname), "exec")


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        sources = mutant.sources().items()
        self._loaders = {module(file): _Loader(module(file), file, source) for file, source in sources}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        loader = self._loaders.get(fullname)
        return spec_from_file_location(fullname, loader.path, loader=loader) if loader is not None else None


def module(file: str) -> str:
    """The name by which a file is imported."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


class _Failures:
    """Collects what failed, and by what."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def pytest_configure(self) -> None:
        """That a law fails is enough: its example is the same every time, and need not be small."""
        from hypothesis import Phase, settings  # noqa: PLC0415 - not before pytest, which rewrites it

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", phases=phases, derandomize=True, database=None)
        settings.load_profile("mutants")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.excinfo is not None:
            name = getattr(item, "originalname", None) or item.name
            self.found.setdefault(name, []).append(call.excinfo.type.__name__)
        return report


def main() -> None:
    rule, number, *tests = sys.argv[1:]
    sys.meta_path.insert(0, _Finder(MUTANTS[rule][int(number)]))
    failures = _Failures()
    # Time is kept outside; here it would count as a failure.
    options = ["-q", "--no-header", "--tb=no", "--timeout=0", "-p", "no:cacheprovider", "-p", "no:xdist"]
    code = pytest.main([*options, *tests], plugins=[failures])
    print()
    print(json.dumps({"code": int(code), "failed": failures.found}))


if __name__ == "__main__":
    main()
