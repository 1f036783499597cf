"""The result in the panel: the answer with its probabilities, what it rests on, and the volumes."""

from __future__ import annotations

import csv
import html
from pathlib import Path
from typing import Any

from ..diagnosis import RESEARCH_USE_ONLY
from ..errors import ResourceError
from ..summary import NO_EVIDENCE, Bar, Network, Summary, cautions, headline, over_folds, percent
from .translation import _

_TONES = {True: "#E8A662", False: "#8FB8DE"}
"""Warm on the side of COVID-19, cool on that of CAP: neither red nor green, which would read as good and bad."""
_COLUMNS = ("", "Lung (ml)", "Infection (ml)", "Infected")


class AnswerView:
    """Shows a `Summary` in the widgets of the section Result.

    Args:
        ui: the panel's widgets by name.
    """

    def __init__(self, ui: Any) -> None:
        import qt

        self._ui = ui
        self._bars: list[Any] = []
        ui.volumesTable.setColumnCount(len(_COLUMNS))
        ui.volumesTable.setHorizontalHeaderLabels([_(column) if column else "" for column in _COLUMNS])
        ui.volumesTable.verticalHeader().setVisible(False)
        ui.volumesTable.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        ui.volumesTable.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
        ui.volumesTable.setVerticalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)

    def show(self, summary: Summary | None) -> None:
        """Show a diagnosis; with None, that there is none."""
        ui = self._ui
        self._showBars(summary.bars if summary is not None and summary.applies else ())
        ui.volumesTable.setRowCount(0)
        if summary is None:
            ui.headlineLabel.text = _("No result yet: choose a CT and press Analyze.")
            ui.headlineLabel.styleSheet = ""
            ui.researchLabel.text = ""
            ui.detailsLabel.text = ""
            ui.researchLabel.setVisible(False)
            ui.volumesTable.setVisible(False)
            return
        ui.headlineLabel.text = headline(summary.decision)
        ui.headlineLabel.styleSheet = "font-weight: bold; font-size: 12pt;"
        ui.researchLabel.text = _("{notice} The bundle learned from {source}.").format(
            notice=f"{RESEARCH_USE_ONLY}.", source=summary.bundle.learned_from
        )
        ui.researchLabel.styleSheet = "font-weight: bold; padding: 4px; border: 1px solid palette(mid);"
        ui.researchLabel.setVisible(True)
        ui.detailsLabel.text = details(summary)
        self._showVolumes(summary)

    def _showBars(self, bars: tuple[Bar, ...]) -> None:
        import qt

        for old in self._bars:
            old.setParent(None)
            old.deleteLater()
        self._bars = []
        layout = self._ui.barArea.layout()
        for bar in bars:
            label = qt.QLabel(f"{bar.label} ({bar.weight})")
            label.setWordWrap(True)
            progress = qt.QProgressBar()
            progress.maximum = 1000
            progress.value = round(1000 * bar.probability)
            progress.format = _("P(COVID-19) = {p:.3f}").format(p=bar.probability)
            progress.toolTip = _(
                "Probability of COVID-19 against CAP; from 0.5 on it speaks for COVID-19. {use}."
            ).format(use=RESEARCH_USE_ONLY)
            weight = "bold" if bar.is_ensemble else "normal"
            progress.styleSheet = (
                f"QProgressBar {{ font-weight: {weight}; text-align: center; min-height: 16px; }}"
                f" QProgressBar::chunk {{ background: {_TONES[bar.probability >= 0.5]}; }}"
            )
            for widget in (label, progress):
                layout.addWidget(widget)
                self._bars.append(widget)

    def _showVolumes(self, summary: Summary) -> None:
        import qt

        table = self._ui.volumesTable
        table.setRowCount(len(summary.sides))
        for row, cells in enumerate(_cells(summary)):
            for column, text in enumerate(cells):
                item = qt.QTableWidgetItem(text)
                alignment = qt.Qt.AlignLeft if column == 0 else qt.Qt.AlignRight
                item.setTextAlignment(alignment | qt.Qt.AlignVCenter)
                table.setItem(row, column, item)
        table.resizeRowsToContents()
        height = table.horizontalHeader().height + sum(table.rowHeight(row) for row in range(len(summary.sides)))
        table.setFixedHeight(height + 4)
        table.setVisible(True)


def details(summary: Summary) -> str:
    """Return the ratio with its segmenter, the evidence of each network and the quality findings, as rich text."""
    decision, segmenter = summary.decision, summary.segmenter
    limits = segmenter.cut_offs
    infected = _("Infection <b>{ratio}</b> of the lungs").format(ratio=percent(decision.ratio))
    if summary.applies:
        stratum = _("stratum <b>{stratum}</b> (small below {small}, large above {large})")
        infected += ": " + stratum.format(
            stratum=decision.stratum, small=percent(limits.small), large=percent(limits.large)
        )
    made = _("Masks: {segmenter}").format(segmenter=html.escape(segmenter.title))
    if segmenter.detection_limit:
        made += _("; detection limit {limit}").format(limit=percent(segmenter.detection_limit))
    lines = [infected, made]
    lines += [html.escape(sentence) for sentence in over_folds(decision)]
    lines += [html.escape(caution) for caution in cautions(decision, segmenter)]
    lines += [peak(network, opposite=False, escape=True) for network in summary.networks]
    if summary.findings:
        lines += [_("Note: {message}").format(message=html.escape(f.message)) for f in summary.findings]
    else:
        lines.append(_("Nothing remarkable was found about the CT's quality."))
    return "".join(f"<p style='margin: 2px 0'>{line}</p>" for line in lines)


def peak(network: Network, opposite: bool, escape: bool = False) -> str:
    """Say how strong a network's evidence was before its map was scaled to 0-1."""
    name = html.escape(network.name) if escape else network.name
    raw = network.opposite_peak if opposite else network.raw_peak
    if raw <= 0:
        nothing = _("no CAP evidence") if opposite else _(NO_EVIDENCE)
        return _("{name}: {nothing}").format(name=name, nothing=nothing)
    return _("{name}: raw attention peak {peak:.3g}").format(name=name, peak=raw)


def saveTable(path: Path, summary: Summary) -> None:
    """Write the volumes as CSV.

    Raises:
        ResourceError: the file cannot be written.
    """
    header = ["side", "lung_ml", "infection_ml", "infected_fraction"]
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(header)
            for side in summary.sides:
                writer.writerow([side.name, f"{side.lung_ml:.1f}", f"{side.infected_ml:.2f}", f"{side.share:.6f}"])
    except OSError as error:
        raise ResourceError(_("{path}: cannot be written: {reason}").format(path=path, reason=error.strerror)) from None


def _cells(summary: Summary) -> list[tuple[str, str, str, str]]:
    return [
        (_(side.name), f"{side.lung_ml:.1f}", f"{side.infected_ml:.2f}", percent(side.share)) for side in summary.sides
    ]
