"""Packages that some commands alone need: missing ones are named before any work, with the line that installs them."""

import importlib.util

from ..errors import InputError

_PACKAGES = {
    "sklearn": ("scikit-learn", "training"),
    "monai": ("monai", "training"),
    "matplotlib": ("matplotlib", "report"),
    "jinja2": ("jinja2", "report"),
}
"""What each module's package is called, and the extra of this project that brings it."""


def need(who: str, *modules: str) -> None:
    """Raise an InputError that names the first of these modules' packages that is not installed."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            package, extra = _PACKAGES[module]
            install = f"pip install -c constraints.txt -e '.[{extra}]'"
            raise InputError(f"{who} needs the package {package}; in this project's folder: {install}")
