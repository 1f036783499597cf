"""Modules: found by their file, loaded once, shown in the module panel, unloaded with everything they made."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import slicer

from ..pythonqt.proxy import native_of, proxy_class
from ..widgets.module_widget import qSlicerScriptedLoadableModuleWidget
from .facade import Facade, PlainSignal


class Modules:
    """`slicer.modules`: one attribute for each module, in lower case, and `<Name>Widget`, `<Name>Instance`."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"module 'modules' has no attribute '{name}'")


class LogicModule(Facade):
    """A module of the application that is only asked for its logic, such as `slicer.modules.volumes`."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self._logic = logic
        self.seal()

    def logic(self) -> Any:
        return self._logic


class ScriptedModule(Facade):
    """`qSlicerScriptedLoadableModule`: what `ScriptedLoadableModule` writes its texts to."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, str(path)
        self.title = self.helpText = self.acknowledgementText = ""
        self.categories: list[str] = []
        self.contributors: list[str] = []
        self.dependencies: list[str] = []
        self.associatedNodeTypes: list[str] = []
        self.icon: Any = None
        self.hidden = False
        self.widgetRepresentationCreationEnabled = True
        self.python: ModuleType | None = None
        self._widget: Any = None
        self.seal()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("categories", "contributors", "dependencies", "associatedNodeTypes") and not (
            isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
        ):
            raise AttributeError(f"Property '{name}' of type 'QStringList' does not accept {value!r}")
        if name in ("title", "helpText", "acknowledgementText") and not isinstance(value, str):
            raise AttributeError(f"Property '{name}' of type 'QString' does not accept {value!r}")
        super().__setattr__(name, value)

    def widgetRepresentation(self) -> Any:
        """Return the module's panel, made at the first call."""
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> Any:
        holder = proxy_class(qSlicerScriptedLoadableModuleWidget)()
        native_of(holder).build(self, slicer.mrmlScene)
        return holder

    def unload(self) -> None:
        """Delete the panel, after its module was told."""
        if self._widget is not None:
            self._widget.setParent(None)
            self._widget.delete()
        self._widget = None


class ModuleManager(Facade):
    """`slicer.app.moduleManager()`."""

    SIGNALS: ClassVar = {
        "moduleAboutToBeUnloaded(QString)": "moduleAboutToBeUnloaded",
        "moduleLoaded(QString)": "moduleLoaded",
    }

    def __init__(self, modules: Modules) -> None:
        self.moduleAboutToBeUnloaded, self.moduleLoaded = PlainSignal(), PlainSignal()
        self._modules = modules
        self._scripted: dict[str, ScriptedModule] = {}
        self._path: list[str] = []
        self.seal()

    def module(self, name: str) -> Any:
        return self._scripted.get(name) or getattr(self._modules, name.lower(), None)

    def factoryManager(self) -> ModuleManager:
        return self

    def loadedModuleNames(self) -> tuple[str, ...]:
        return tuple(self._scripted)

    def load(self, path: Path) -> ScriptedModule:
        """Load a module file as Slicer does: its folder goes to `sys.path`, its classes are made by their names.

        Raises:
            ImportError: the file cannot be imported, or lacks the module's class.
        """
        name = path.stem
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
            self._path.append(str(path.parent))
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ImportError(f"{path} is no Python file")
        python = importlib.util.module_from_spec(spec)
        sys.modules[name] = python
        spec.loader.exec_module(python)
        if not hasattr(python, name):
            raise ImportError(f"{path} has no class {name}")
        entry = ScriptedModule(name, path)
        entry.python = python
        vars(self._modules)[name.lower()] = entry
        self._scripted[name] = entry
        vars(self._modules)[f"{name}Instance"] = getattr(python, name)(entry)
        self.moduleLoaded.emit(name)
        return entry

    def unloadAll(self) -> None:
        """Tell every module that it goes, and delete what it made."""
        for name in list(self._scripted):
            self.moduleAboutToBeUnloaded.emit(name)
            self._scripted.pop(name).unload()
            sys.modules.pop(name, None)
            for each in (name.lower(), f"{name}Widget", f"{name}Instance"):
                vars(self._modules).pop(each, None)
        for folder in self._path:
            if folder in sys.path:
                sys.path.remove(folder)
        self._path.clear()


class ModuleSelector(Facade):
    """The main window's module selector; selecting tells the old panel `exit` and the new one `enter`."""

    def __init__(self, manager: ModuleManager, window: Any) -> None:
        self._manager, self._window = manager, window
        self.selectedModule = ""
        self.seal()

    def selectModule(self, name: str) -> None:
        if name == self.selectedModule:
            return
        entry = self._manager.module(name)
        panel = native_of(entry.widgetRepresentation()) if isinstance(entry, ScriptedModule) else None
        self._tell("exit")
        self.selectedModule = name
        self._window.showPanel(panel)
        self._tell("enter")

    def forget(self) -> None:
        self._tell("exit")
        self.selectedModule = ""
        self._window.showPanel(None)

    def _tell(self, what: str) -> None:
        entry = self._manager.module(self.selectedModule) if self.selectedModule else None
        if isinstance(entry, ScriptedModule):
            holder = native_of(entry.widgetRepresentation())
            getattr(holder, what)()
