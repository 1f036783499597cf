"""The Trainer tab's tables: how far each model is, and Table II of a finished run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..run_folder import ModelProgress
from .translation import _

_MODEL_COLUMNS = ("Fold", "Model", "State", "Best AUC", "Epoch")
_METRICS = (("auc", "AUC"), ("accuracy", "Acc."), ("sensitivity", "Sens."), ("specificity", "Spec."), ("f1", "F1"))
_SETS = (("validation", "Validation cases of all folds"), ("test", "Test cases, mean over the folds' models"))
_MOST_ROWS, _ROW_HEIGHT = 18, 22
NOTHING = "–"


class ModelsTable:
    """A row for each fold and model.

    Args:
        table: the `QTableWidget`.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._models: list[ModelProgress] = []
        _prepare(table, [_(column) for column in _MODEL_COLUMNS], stretched=2)

    @property
    def selected(self) -> tuple[int, str] | None:
        """Fold and model of the row that was clicked."""
        row = int(self._table.currentRow())
        return (self._models[row].fold, self._models[row].model) if 0 <= row < len(self._models) else None

    def show(self, models: list[ModelProgress], states: Iterable[str]) -> None:
        """Show how far the models are; a row that is selected stays so."""
        self._models = models
        if self._table.rowCount != len(models):
            self._table.setRowCount(len(models))
            self._table.setCurrentCell(-1, -1)
        for row, (model, state) in enumerate(zip(models, states, strict=True)):
            best = model.best
            cells = [str(model.fold), model.model, state]
            cells += [NOTHING, ""] if best is None else [f"{best.validation_auc:.3f}", str(best.epoch + 1)]
            for column, text in enumerate(cells):
                _setCell(self._table, row, column, text)
            self._table.item(row, 2).setToolTip(state)  # the narrowest panel cuts long ones
        _fitHeight(self._table)


class ResultsTable:
    """Table II: methods in rows, figures in columns, the interval of each in its tooltip.

    Args:
        table: the `QTableWidget`.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        _prepare(table, [_("Method"), *(_(title) for _name, title in _METRICS)], stretched=0)

    def show(self, record: dict[str, Any] | None) -> bool:
        """Show what evaluation.json holds; return whether there is anything to show."""
        table = self._table
        table.clearSpans()
        table.setRowCount(0)
        rows = [row for row in (record or {}).get("tables", []) if row["group"] == "all"]
        for name, title in _SETS:
            found = [row for row in rows if row["set"] == name]
            if found:
                self._addTitle(f"{_(title)} (n = {found[0]['covid'] + found[0]['cap']})")
            for row in found:
                self._addMethod(str((record or {})["methods"].get(row["method"], row["method"])), row)
        _fitHeight(table)
        table.setVisible(bool(rows))
        return bool(rows)

    def _addTitle(self, title: str) -> None:
        row = self._table.rowCount
        self._table.setRowCount(row + 1)
        _setCell(self._table, row, 0, title)
        self._table.setSpan(row, 0, 1, len(_METRICS) + 1)
        font = self._table.item(row, 0).font()
        font.setBold(True)
        self._table.item(row, 0).setFont(font)

    def _addMethod(self, title: str, figures: dict[str, Any]) -> None:
        row = self._table.rowCount
        self._table.setRowCount(row + 1)
        _setCell(self._table, row, 0, _short(title))
        self._table.item(row, 0).setToolTip(title)
        for column, (name, _title) in enumerate(_METRICS, 1):
            _setCell(self._table, row, column, _figure(figures[name]["value"]))
            self._table.item(row, column).setToolTip(_interval(figures[name]))


def _short(title: str) -> str:
    """Return a method's name as it fits into a narrow panel; its tooltip has the whole."""
    return title.replace("Attention RN34 + ", "Attention ").replace(" form", "")


def _figure(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"


def _interval(estimate: dict[str, Any]) -> str:
    if estimate["low"] is None:
        return _("{value}, n = {n}").format(value=_figure(estimate["value"]), n=estimate["n"])
    return _("{value}, 95 % interval {low} to {high}, n = {n}").format(
        value=_figure(estimate["value"]), low=_figure(estimate["low"]), high=_figure(estimate["high"]), n=estimate["n"]
    )


def _prepare(table: Any, titles: list[str], stretched: int) -> None:
    """Name the columns; one takes the room that the others leave."""
    import qt

    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(titles)
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(_ROW_HEIGHT)
    table.setWordWrap(False)
    header = table.horizontalHeader()
    header.setFixedHeight(_ROW_HEIGHT)
    header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    header.setSectionResizeMode(stretched, qt.QHeaderView.Stretch)
    table.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)


def _setCell(table: Any, row: int, column: int, text: str) -> None:
    """Write a cell; one that says the same already is left alone."""
    import qt

    item = table.item(row, column)
    if item is None:
        table.setItem(row, column, qt.QTableWidgetItem(text))
    elif item.text() != text:
        item.setText(text)


def _fitHeight(table: Any) -> None:
    table.setFixedHeight(_ROW_HEIGHT * (1 + min(int(table.rowCount), _MOST_ROWS)) + 4)
