"""What a reader leaves beside a run: RUN/review.csv with opinions, RUN/review/<case>/ with the maps of what was shown.

Standard library alone, as `run_folder`.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .errors import InputError, ResourceError
from .storage import alone, write_text

FILE, FOLDER = "review.csv", "review"
AGREE, FLAG = "agree", "flag"
COLUMNS = ("case_id", "opinion", "comment", "time")
_NOT_IN_NAMES = '/\\:*?"<>|'

Row = dict[str, str]


@dataclass(frozen=True)
class Opinion:
    """What a reader thinks of one case: ``"agree"``, ``"flag"`` or nothing yet, and words; `time` is UTC, ISO 8601."""

    case_id: str
    opinion: str = ""
    comment: str = ""
    time: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        return ", ".join(word for word in (self.opinion, self.comment and f"“{self.comment}”") if word) or "nothing"

    @property
    def is_empty(self) -> bool:
        """Whether nothing was said."""
        return not self.opinion and not self.comment


def case_folder(run: Path, case_id: str) -> Path:
    """Return where the maps of a case are kept.

    Raises:
        InputError: the case_id cannot name a folder.
    """
    if not case_id or case_id.startswith(".") or any(character in case_id for character in _NOT_IN_NAMES):
        raise InputError(f"{run}: case_id {case_id!r} cannot name a folder")
    return run / FOLDER / case_id


class Opinions:
    """The opinions of a run: read once, each saved at once; what cannot be saved is kept and saved with the next.

    Columns and rows that others have added stay as they are. Where somebody has changed a case's row meanwhile, their
    row stays.

    Args:
        run: the run folder.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / FILE
        self._known: dict[str, Row] = {}
        self._unsaved: dict[str, Opinion] = {}

    @property
    def unsaved(self) -> tuple[str, ...]:
        """The cases whose opinion could not be saved yet."""
        return tuple(self._unsaved)

    def read(self) -> None:
        """Read the file; where there is none, nobody has said anything.

        Of cases whose opinion is still to be saved the row stays the one that was known when it was said.

        Raises:
            InputError: one line that names the file and what is wrong in it.
        """
        _, rows = _read(self.path)
        said = {case: row for case, row in self._known.items() if case in self._unsaved}
        self._known = {row["case_id"]: row for row in rows if row["case_id"] not in self._unsaved} | said

    def of(self, case_id: str) -> Opinion:
        """Return what is thought of a case."""
        if case_id in self._unsaved:
            return self._unsaved[case_id]
        row = self._known.get(case_id, {})
        return Opinion(case_id, *(row.get(column, "") for column in COLUMNS[1:]))

    def save(self, opinion: Opinion) -> None:
        """Save an opinion, whole or not at all, with those that could not be saved before.

        Raises:
            InputError: the file is damaged, or somebody has changed one of these cases in it since it was read.
            ResourceError: it cannot be written.
        """
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._unsaved[opinion.case_id] = Opinion(opinion.case_id, opinion.opinion, opinion.comment, now)
        self.save_rest()

    def save_rest(self) -> None:
        """Save what could not be saved before; raises as `save`."""
        if not self._unsaved:
            return
        with _writable(self.path), alone(self.path):
            self._merge()

    def _merge(self) -> None:
        """Read the file, put what is unsaved into it, and write it."""
        columns, rows = _read(self.path)
        found = {row["case_id"]: row for row in rows}
        changed = [case for case in self._unsaved if found.get(case) != self._known.get(case)]
        if changed:
            self._known = found
            yours = [self._unsaved.pop(case) for case in changed]
            raise InputError(
                f"{self.path}: somebody has changed what it says of {', '.join(changed)}; their words are shown now, "
                f"yours were not saved ({'; '.join(map(str, yours))}): choose again where you still think so"
            )
        for case, opinion in self._unsaved.items():
            found[case] = {**found.get(case, {}), **vars(opinion)}
        _write(self.path, columns, found)
        self._known, self._unsaved = found, {}


def _read(path: Path) -> tuple[list[str], list[Row]]:
    """Return columns and rows of the file; InputError where it cannot be read as what it is."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = list(reader.fieldnames or ())
            missing = [name for name in COLUMNS if name not in columns]
            if missing:
                raise InputError(f"{path}: no column {', '.join(missing)}; {_ADVICE}")
            rows: list[Row] = []
            lines: dict[str, int] = {}
            for row in reader:
                if None in row or None in row.values():
                    raise InputError(f"{path}: line {reader.line_num}: not as many fields as the header; {_ADVICE}")
                first = lines.setdefault(row["case_id"], reader.line_num)
                if first != reader.line_num:
                    raise InputError(
                        f"{path}: line {reader.line_num}: {row['case_id']!r} is already on line {first}; {_ADVICE}"
                    )
                rows.append(row)
            return columns, rows
    except FileNotFoundError:
        return list(COLUMNS), []
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8 ({error}); {_ADVICE}") from None


_ADVICE = "nothing is saved into it until that is put right"


def _write(path: Path, columns: list[str], rows: dict[str, Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows.values())
    write_text(path, text.getvalue())


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"{path}: cannot be written ({error.strerror}); what you said is kept here and saved with the next"
        ) from None
