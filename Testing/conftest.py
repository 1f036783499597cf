"""What measuring tests print is shown at the end of the run, whether they pass or not."""

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """List the lines that passed tests printed: Dice, AUC, ratios and logits."""
    lines = [
        line
        for report in terminalreporter.getreports("passed")
        for line in report.capstdout.splitlines()
        if line.strip()
    ]
    if lines:
        terminalreporter.section("measured")
        for line in dict.fromkeys(lines):
            terminalreporter.write_line(line)
