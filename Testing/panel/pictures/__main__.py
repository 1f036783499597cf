"""The documentation's pictures of the panel, drawn by the test host.

python Testing/panel/pictures {analyze,train,review} FOLDER [CT]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TESTING = Path(__file__).resolve().parents[2]
sys.path[:1] = [str(TESTING), str(TESTING.parent / "DualSamplingCOVID")]

from panel.pictures import analyze, review, train  # noqa: E402

TABS = {"analyze": analyze.draw, "train": train.draw, "review": review.draw}

parser = argparse.ArgumentParser(prog="python Testing/panel/pictures", description=__doc__)
parser.add_argument("tab", choices=TABS, help="whose pictures")
parser.add_argument("folder", type=Path, metavar="FOLDER", help="where they are written")
parser.add_argument("ct", type=Path, nargs="?", metavar="CT", help="what is analysed; of a CAP for review")
options = parser.parse_args()
TABS[options.tab](options.folder, options.ct)
