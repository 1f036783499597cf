"""Slicer's translation of a text, imported when it is needed: outside Slicer a text stands for itself."""

import sys


def _(text: str) -> str:
    """Translate a text that a person reads, in the context of the file that asks (Slicer keeps one a file)."""
    try:
        from slicer.i18n import getContext, translate
    except ImportError:
        return text
    translated: str = translate(getContext(sys._getframe(1).f_code.co_filename), text)
    return translated
