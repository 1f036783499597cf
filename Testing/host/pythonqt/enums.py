"""Enumerators as PythonQt hands them out: integers that know which enumeration they belong to."""

from __future__ import annotations

import enum
import functools


class EnumValue(int):
    """An int with the PySide6 enumerator that it stands for; a combination of flags stays one."""

    native: enum.Enum

    def __or__(self, other: int) -> int:
        return _combined(self, other, "__or__")

    def __and__(self, other: int) -> int:
        return _combined(self, other, "__and__")

    def __xor__(self, other: int) -> int:
        return _combined(self, other, "__xor__")

    __ror__, __rand__, __rxor__ = __or__, __and__, __xor__

    def __invert__(self) -> int:
        return enum_value(~self.native) if isinstance(self.native, enum.Flag) else ~int(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self)})"


def enum_value(native: enum.Enum) -> EnumValue:
    """Return the integer that PythonQt would give for a PySide6 enumerator."""
    value = _enum_class(type(native))(native.value)
    value.native = native
    return value


def enumerators(namespace: type) -> dict[str, EnumValue | type]:
    """Return what a class exposes: its enumerations by name, and each enumerator directly on the class.

    `qt.QMessageBox.Ok` exists in PythonQt; `qt.QMessageBox.StandardButton.Ok` does not.
    """
    found: dict[str, EnumValue | type] = {}
    for name, member in vars(namespace).items():
        if isinstance(member, type) and issubclass(member, enum.Enum):
            found[name] = _enum_class(member)
            found.update({key: enum_value(each) for key, each in member.__members__.items()})
    return found


def _combined(left: EnumValue, right: int, operator: str) -> int:
    """Combine two enumerators; flags of one enumeration stay flags, everything else is a plain int."""
    native = getattr(right, "native", None)
    if isinstance(left.native, enum.Flag) and type(native) is type(left.native):
        return enum_value(getattr(left.native, operator)(native))
    if isinstance(left.native, enum.Flag) and native is None:
        return enum_value(getattr(left.native, operator)(type(left.native)(right)))
    return getattr(int(left), operator)(int(right))


@functools.cache
def _enum_class(native: type[enum.Enum]) -> type[EnumValue]:
    return type(native.__name__, (EnumValue,), {})
