"""The module SampleData: what registers there can be clicked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any


@dataclass(frozen=True)
class SampleDataSource:
    """One registered sample; fields as `registerCustomSampleDataSource` names them."""

    category: str
    sampleName: str
    uris: Any = None
    fileNames: Any = None
    nodeNames: Any = None
    customDownloader: Callable[[SampleDataSource], Any] | None = None
    thumbnailFileName: str | None = None
    loadFileType: str | None = None
    loadFiles: Any = None
    loadFileProperties: Any = None
    checksums: Any = None
    sampleDescription: str | None = None


class Samples:
    """Registered samples, by category and in the order of their registration."""

    def __init__(self) -> None:
        self.sources: list[SampleDataSource] = []

    def register(self, **fields: Any) -> None:
        source = SampleDataSource(**fields)
        known = [(each.category, each.sampleName) for each in self.sources]
        if (source.category, source.sampleName) in known:
            raise ValueError(f"the sample '{source.sampleName}' is registered twice in '{source.category}'")
        self.sources.append(source)

    def named(self, sampleName: str) -> SampleDataSource:
        found = [each for each in self.sources if each.sampleName == sampleName]
        if not found:
            raise AssertionError(f"no sample '{sampleName}' among {[each.sampleName for each in self.sources]}")
        return found[0]

    def click(self, sampleName: str) -> Any:
        """Load a sample as its button does; downloads are refused, so it must bring its own function."""
        source = self.named(sampleName)
        if source.customDownloader is None:
            raise AssertionError(f"the sample '{sampleName}' would be downloaded from {source.uris}")
        return source.customDownloader(source)


def module(samples: Samples) -> ModuleType:
    """Return what `import SampleData` gives."""
    made = ModuleType("SampleData")

    class SampleDataLogic:
        """The part of the logic that other modules call."""

        @staticmethod
        def registerCustomSampleDataSource(
            category: str = "Custom", sampleName: str | None = None, **fields: Any
        ) -> None:
            if not sampleName:
                raise ValueError("a sample needs a sampleName")
            samples.register(category=category, sampleName=sampleName, **fields)

        @staticmethod
        def isSampleDataSourceRegistered(category: str, source: SampleDataSource) -> bool:
            return any(each.category == category and each == source for each in samples.sources)

    made.SampleDataLogic = SampleDataLogic  # type: ignore[attr-defined]
    made.SampleDataSource = SampleDataSource  # type: ignore[attr-defined]
    return made
