"""What a tab tells a person: red where something went wrong."""

from __future__ import annotations

from typing import Any

import slicer

_ERROR, _PLAIN = "color: #B00020; font-weight: bold;", ""
_MILLISECONDS = 10000


def write(label: Any, sentence: str, isError: bool = False) -> None:
    """Write a sentence on a label."""
    label.text = sentence
    label.styleSheet = _ERROR if isError else _PLAIN


def announce(label: Any, log: Any, sentence: str, isError: bool) -> None:
    """Write a sentence on a label, which is hidden where there is none; the log keeps what went wrong."""
    write(label, sentence, isError)
    label.setVisible(bool(sentence))
    slicer.util.showStatusMessage(sentence, _MILLISECONDS)  # the panel may be scrolled down
    if sentence and isError:
        log.appendPlainText(sentence)
