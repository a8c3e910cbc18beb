"""Tests run on a mutant: `python -m tests.mutation.child RULE NUMBER TEST…` prints, as JSON, which tests failed how."""

from __future__ import annotations

import json
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from typing import TYPE_CHECKING

import pytest

from tests.mutation import ROOT, Mutant, module
from tests.mutation.mutants import MUTANTS

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from types import CodeType, ModuleType


class _Loader(SourceFileLoader):
    """Compiles the changed text, past the cache of compiled files."""

    def __init__(self, name: str, file: str, source: str) -> None:
        super().__init__(name, str(ROOT / file))
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.get_filename(fullname), "exec")


class _Finder(MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self._changed = {module(file): (file, source) for file, source in mutant.sources().items()}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname not in self._changed:
            return None
        file, source = self._changed[fullname]
        return spec_from_file_location(fullname, ROOT / file, loader=_Loader(fullname, file, source))


class _Failures:
    """Collects what failed, and by what."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

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
    options = ["-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
    code = pytest.main([*options, *tests], plugins=[failures])
    print()
    print(json.dumps({"code": int(code), "failed": failures.found}))


if __name__ == "__main__":
    main()
