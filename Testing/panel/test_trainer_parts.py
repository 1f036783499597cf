"""The small parts of the Trainer tab: a cohort's problems, the time left, and the bundles that were made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from DualSamplingCOVIDLib import resources
from DualSamplingCOVIDLib.cohort import check_cohort
from DualSamplingCOVIDLib.errors import InputError
from DualSamplingCOVIDLib.panel.settings import Preferences, bundles
from DualSamplingCOVIDLib.panel.time_left import TimeLeft
from DualSamplingCOVIDLib.panel.trainer_inputs import problemLines


def test_the_problems_of_a_cohort_are_split_by_line(tmp_path: Path) -> None:
    path = tmp_path / "cohort.csv"
    path.write_text("case_id,patient_id,image,label\n1,,gone.nii,CAP\n2,p,cohort.csv,CAP\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        check_cohort(path)
    problems = problemLines(str(caught.value), path)
    assert problems[:2] == ["line 2: image gone.nii does not exist", "line 2: patient_id is empty"]
    assert len(problems) == 3 and problems[2].startswith("line 3: ")
    assert problemLines(f"{path}: cannot be read (No such file)", path) == []


def test_the_time_left_follows_the_pace_since_the_start() -> None:
    now = [100.0]
    left = TimeLeft(lambda: now[0])
    assert left.seconds() is None
    left.reach(0.5)  # a run that is gone on with
    now[0] += 1
    left.reach(0.51)
    assert left.seconds() is None and left.sentence() == "time left not known yet"
    now[0] += 99
    left.reach(0.6)
    assert left.seconds() == pytest.approx(400)
    assert left.sentence() == "about 7 min left"
    now[0] += 99900
    left.reach(0.75)
    assert left.sentence() == "about 27 h 47 min left"


class _Settings(dict):
    """The two functions of `QSettings` that preferences use."""

    def value(self, key, default=None):
        return self.get(key, default)

    setValue = dict.__setitem__


def test_a_bundle_that_was_made_is_offered_for_as_long_as_it_is_there(tmp_path: Path) -> None:
    made = [tmp_path / "first", tmp_path / "second"]
    preferences = Preferences(_Settings())
    for folder in made:
        shutil.copytree(resources.path("Bundles/phantom-demo"), folder)
        preferences.addMadeBundle(str(folder))
    preferences.addMadeBundle(str(made[0]))
    assert preferences.madeBundles == (str(made[1]), str(made[0]))
    assert [bundle.folder for bundle in bundles("", preferences.madeBundles)][1:] == [made[1], made[0]]
    assert len(bundles(str(tmp_path), preferences.madeBundles)) == 3, "each once"
    shutil.rmtree(made[1])
    assert [bundle.folder for bundle in bundles("", preferences.madeBundles)][1:] == [made[0]]
    preferences.addMadeBundle(str(made[0]))
    assert preferences.madeBundles == (str(made[0]),)
