"""What a person would answer: dialogs never block a test, they are recorded and answered by what the test set."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One dialog that the panel opened.

    Attributes:
        kind: "info", "warning", "error", "question", "open file", "save file", "folder", "text", "dialog", "url", ...
        text: what it says; a file dialog's caption.
        title: the window's title.
        details: the detailed text of a message, the filter of a file dialog.
    """

    kind: str
    text: str
    title: str = ""
    details: str = ""


class Unanswered(AssertionError):
    """A dialog was opened that the test did not expect: in Slicer the window would now wait for a person."""


class Answers:
    """Answers in the order in which they will be asked for, and all that was asked."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.asked: list[Asked] = []
        self._answers: deque[Any] = deque()

    def will(self, *answers: Any) -> None:
        """Set the next answers: a path, a text, True/False for a question, or a function of the opened dialog."""
        self._answers.extend(answers)

    @property
    def left(self) -> int:
        """How many answers nobody has asked for."""
        return len(self._answers)

    def of_kind(self, kind: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.kind == kind]

    def tell(self, asked: Asked) -> None:
        """Record a message that needs no answer."""
        self.asked.append(asked)

    def ask(self, asked: Asked) -> Any:
        """Record a question and return its answer.

        Raises:
            Unanswered: the test set none.
        """
        self.asked.append(asked)
        if not self._answers:
            raise Unanswered(f"nobody answers the {asked.kind} '{asked.title}': {asked.text}")
        return self._answers.popleft()

    def play(self, asked: Asked, dialog: Any) -> Any:
        """Answer an opened modal dialog: a function of it acts as the person, anything else is its result."""
        answer = self.ask(asked)
        return answer(dialog) if callable(answer) else answer


answers = Answers()
