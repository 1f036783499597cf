"""Calling C++: arguments converted on the way in, results on the way out, wrong ones refused with a ValueError."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .conversion import Unconvertible, unwrap, wrap


def checked(name: str, native: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Call a PySide6 function or constructor with converted arguments.

    Raises:
        ValueError: no overload takes them, in PythonQt's words.
    """
    try:
        return native(*[unwrap(argument) for argument in arguments])
    except Unconvertible as error:
        raise ValueError(f"Called {name}() with wrong arguments: {error}") from error
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise  # raised further inside, by Python code
        shown = ", ".join(repr(argument) for argument in arguments)
        raise ValueError(f"Called {name}({shown}) with wrong arguments: {error}") from error


class Function:
    """A C++ function: bound to an object, static, or unbound. C++ has no keyword arguments."""

    def __init__(self, name: str, native: Callable[..., Any], owner: Any = None) -> None:
        self.__name__ = name
        self._function = native
        self._owner = owner  # keeps the object alive for as long as its method is held, as a Python method does

    def __call__(self, *arguments: Any) -> Any:
        return wrap(checked(self.__name__, self._function, arguments))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and (self.__name__, self._owner) == (other.__name__, other._owner)

    def __hash__(self) -> int:
        return hash((self.__name__, self._owner))

    def __repr__(self) -> str:
        return f"<qt slot {self.__name__} of {self._owner!r}>"
