"""The table of cases with its filters: sorted by a click on a title, walked by mouse and keyboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..diagnosis import STRATA
from ..evaluation.cases import LOW_CONFIDENCE, JudgedCase
from ..review_folder import Opinion
from .review_cases import (
    ALL,
    CASE,
    FALSE_NEGATIVES,
    FALSE_POSITIVES,
    MISCLASSIFIED,
    REVIEW,
    Filters,
    columns,
    count,
    listed,
)
from .slots import connect
from .translation import _

_WRONG = {True: "#C26A00", False: "#2F6FB0"}
"""A missed COVID-19 is written warm, a CAP called COVID-19 cool, as the bars of the Analyze tab are."""

_ARROW_PIXELS = 14


class CaseTable:
    """Lists a run's cases.

    Args:
        ui: the tab's widgets by name.
        opinion: gives the reader's opinion of a case.
        onChosen: is told the case that was chosen.
        tell: is told what went wrong.
    """

    def __init__(
        self,
        ui: Any,
        opinion: Callable[[str], Opinion],
        onChosen: Callable[[JudgedCase], None],
        tell: Callable[[str], None],
    ) -> None:
        self._ui = ui
        self._opinion = opinion
        self._onChosen = onChosen
        self._columns = columns()
        self._judged: tuple[JudgedCase, ...] = ()
        self._shown: list[JudgedCase] = []
        self._sorted, self._descending = CASE, False
        self._filling = False
        self._prepare()
        header = ui.casesTable.horizontalHeader()
        for widget, signal, slot in (
            (ui.answerSelector, "activated(int)", self._onFilter),
            (ui.stratumSelector, "activated(int)", self._onFilter),
            (ui.disagreeCheck, "toggled(bool)", self._onFilter),
            (ui.lowConfidenceCheck, "toggled(bool)", self._onFilter),
            (ui.notReviewedCheck, "toggled(bool)", self._onFilter),
            (header, "sectionClicked(int)", self._onSort),
            (ui.casesTable, "currentCellChanged(int,int,int,int)", self._onRow),
            (ui.casesTable, "cellClicked(int,int)", self._onRow),
        ):
            connect(widget, signal, slot, tell)

    def show(self, judged: Sequence[JudgedCase]) -> None:
        """List a run's cases, nothing chosen; the filters stay."""
        self._judged = tuple(judged)
        self._fill(None)

    def refresh(self, chosen: JudgedCase | None) -> None:
        """Write the opinions of the listed cases anew; the list itself stays until a filter is touched."""
        for row, one in enumerate(self._shown):
            text = self._columns[REVIEW].text(one, self._opinion(one.case.case_id))
            self._ui.casesTable.item(row, REVIEW).setText(text)
        self._select(chosen)

    def step(self, chosen: JudgedCase | None, by: int) -> None:
        """Choose the next (1) or the previous (-1) case of the list; at its ends nothing happens."""
        row = self._row(chosen)
        wanted = row + by if row is not None else (0 if by > 0 else len(self._shown) - 1)
        if 0 <= wanted < len(self._shown):
            self._select(self._shown[wanted])
            self._onChosen(self._shown[wanted])

    def canStep(self, chosen: JudgedCase | None, by: int) -> bool:
        """Whether there is a case to step to."""
        row = self._row(chosen)
        return bool(self._shown) if row is None else 0 <= row + by < len(self._shown)

    def _prepare(self) -> None:
        import qt

        ui, table = self._ui, self._ui.casesTable
        for data, title in (
            (MISCLASSIFIED, _("Misclassified")),
            (FALSE_NEGATIVES, _("False negatives")),
            (FALSE_POSITIVES, _("False positives")),
            (ALL, _("All cases")),
        ):
            ui.answerSelector.addItem(title, data)
        ui.stratumSelector.addItem(_("Any infection"), "")
        for stratum in STRATA:
            ui.stratumSelector.addItem(_("{stratum} infection").format(stratum=_(stratum.capitalize())), stratum)
        ui.lowConfidenceCheck.toolTip = _("The probability of the ensemble's own answer is below {limit}.").format(
            limit=LOW_CONFIDENCE
        )
        table.setColumnCount(len(self._columns))
        table.setHorizontalHeaderLabels([column.title for column in self._columns])
        for index, column in enumerate(self._columns):
            table.horizontalHeaderItem(index).setToolTip(column.meaning)
        table.verticalHeader().setVisible(False)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        header = table.horizontalHeader()
        header.setMinimumSectionSize(16)
        header.setHighlightSections(False)
        header.setSectionsClickable(True)
        header.setSortIndicator(CASE, qt.Qt.AscendingOrder)

    def _filters(self) -> Filters:
        ui = self._ui
        return Filters(
            answer=str(ui.answerSelector.itemData(ui.answerSelector.currentIndex)),
            stratum=str(ui.stratumSelector.itemData(ui.stratumSelector.currentIndex)),
            networksDisagree=ui.disagreeCheck.checked,
            lowConfidence=ui.lowConfidenceCheck.checked,
            notReviewed=ui.notReviewedCheck.checked,
        )

    def _fill(self, chosen: JudgedCase | None) -> None:
        import qt

        table = self._ui.casesTable
        self._shown = listed(
            self._judged, self._opinion, self._filters(), self._columns[self._sorted], self._descending
        )
        self._filling = True
        table.setRowCount(len(self._shown))
        for row, one in enumerate(self._shown):
            opinion = self._opinion(one.case.case_id)
            for index, column in enumerate(self._columns):
                item = qt.QTableWidgetItem(column.text(one, opinion))
                side = qt.Qt.AlignRight if column.isNumber else qt.Qt.AlignLeft
                item.setTextAlignment(side | qt.Qt.AlignVCenter)
                if not one.right:
                    item.setForeground(qt.QBrush(qt.QColor(_WRONG[one.false_negative])))
                table.setItem(row, index, item)
        self._fitColumns()
        table.resizeRowsToContents()
        self._filling = False
        self._ui.countLabel.text = count(self._shown, len(self._judged)) if self._judged else ""
        self._select(chosen)

    def _fitColumns(self) -> None:
        """Make the columns as narrow as they can be: only the sorted one needs room for its arrow."""
        table, header = self._ui.casesTable, self._ui.casesTable.horizontalHeader()
        header.setSortIndicatorShown(False)
        table.resizeColumnsToContents()
        header.setSortIndicatorShown(True)
        table.setColumnWidth(self._sorted, table.columnWidth(self._sorted) + _ARROW_PIXELS)

    def _select(self, chosen: JudgedCase | None) -> None:
        """Mark a case's row without choosing it."""
        row = self._row(chosen)
        self._filling = True
        if row is None:
            self._ui.casesTable.clearSelection()
            self._ui.casesTable.setCurrentCell(-1, -1)
        else:
            column = max(CASE, int(self._ui.casesTable.currentColumn()))
            self._ui.casesTable.setCurrentCell(row, column)
        self._filling = False

    def _row(self, chosen: JudgedCase | None) -> int | None:
        return self._shown.index(chosen) if chosen in self._shown else None

    def _current(self) -> JudgedCase | None:
        row = int(self._ui.casesTable.currentRow())
        return self._shown[row] if 0 <= row < len(self._shown) else None

    def _onFilter(self, _value: Any = None) -> None:
        self._fill(self._current())

    def _onSort(self, section: int) -> None:
        import qt

        chosen = self._current()
        self._descending = not self._descending if section == self._sorted else False
        self._sorted = section
        order = qt.Qt.DescendingOrder if self._descending else qt.Qt.AscendingOrder
        self._ui.casesTable.horizontalHeader().setSortIndicator(section, order)
        self._fill(chosen)

    def _onRow(self, row: int, *_cells: int) -> None:
        if not self._filling and 0 <= row < len(self._shown):
            self._onChosen(self._shown[row])
