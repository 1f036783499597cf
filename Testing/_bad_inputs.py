"""Bad inputs of the command line, as one table: what makes each of them, and what the one line must say."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import safetensors.torch
import SimpleITK as sitk
import torch

from _bad_cts import CTS, SHAPE, Make, image, text
from ct._dicom_files import voxels, write_series
from DualSamplingCOVIDLib.network.resnet import ResNet34


@dataclass
class Place:
    """Where a case makes its input: an empty folder, and a good CT and bundle to use beside it."""

    folder: Path
    ct: Path
    bundle: Path
    closed: list[Path] = field(default_factory=list)

    @property
    def output(self) -> Path:
        """The output folder of most cases."""
        return self.folder / "out"

    def analyze(self, *more: str | Path, ct: Path | None = None, output: Path | None = None) -> list[str]:
        """Arguments that analyse the good CT with the good bundle, unless others are given."""
        words = ["analyze", ct or self.ct, "--bundle", self.bundle, "--output", output or self.output, *more]
        return [str(word) for word in words]

    def segment(self, ct: Path) -> list[str]:
        """Arguments that segment a CT."""
        return ["segment", str(ct), "--output", str(self.output)]

    def close(self, path: Path, mode: int = 0) -> Path:
        """Take the owner's permissions until the test is over."""
        self.closed.append(path)
        path.chmod(mode)
        return path


Arguments = Callable[[Place], list[str]]


@dataclass(frozen=True)
class Case:
    """A bad input: what makes it and returns the arguments, and how the one line names it and its cause."""

    name: str
    arguments: Arguments
    named: str
    cause: str
    status: int = 3
    as_a_normal_user: bool = False


# ---- CTs: analyze and segment refuse them alike


def of_ct(command: str, path: str, make: Make, cause: str) -> Case:
    def arguments(place: Place) -> list[str]:
        ct = place.folder / Path(path).parts[0]
        make(ct)
        return place.segment(ct) if command == "segment" else place.analyze(ct=ct)

    shown = ascii(path)[1:-1]
    return Case(f"{command} {shown}", arguments, shown, cause)


# ---- masks


def mask(shape: Sequence[int] = SHAPE, value: float = 1, spacing: Sequence[float] = (0.8, 0.82, 2.0)) -> Make:
    return lambda file: sitk.WriteImage(image(np.full(shape, value, np.float32), spacing), file)


ANOTHER_GRID = "the mask's geometry differs from the CT's"
MASKS: list[tuple[str, str, Make, str]] = [
    ("--lungs", "smaller.nrrd", mask((9, 24, 32)), ANOTHER_GRID),
    ("--lungs", "coarser.nrrd", mask(spacing=(0.8, 0.82, 2.1)), ANOTHER_GRID),
    ("--infection", "smaller.nii.gz", mask((9, 24, 32)), ANOTHER_GRID),
    ("--lungs", "empty.nrrd", mask(value=0), "empty lung mask"),
    ("--lungs", "nan.nrrd", mask(value=np.nan), "the mask holds NaN or infinite voxels"),
    ("--lungs", "missing.nrrd", lambda file: None, "no such file or folder"),
    ("--infection", "text.nii.gz", text, "not a NIfTI file"),
    ("--lungs", "folder", Path.mkdir, "a folder, where a mask file was expected"),
]


def of_mask(option: str, name: str, make: Make, cause: str) -> Case:
    def arguments(place: Place) -> list[str]:
        make(place.folder / name)
        return place.analyze(option, place.folder / name)

    return Case(f"analyze {option} {name}", arguments, name, cause)


# ---- bundles


def metadata(**values: object) -> Make:
    def change(folder: Path) -> None:
        path = folder / "metadata.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def another_width(folder: Path) -> None:
    path = folder / "metadata.json"
    path.write_text(path.read_text().replace('"width": 2', '"width": 4'))


def member(key: str, value: object) -> Make:
    """Another value in the first member's entry."""

    def change(folder: Path) -> None:
        path = folder / "metadata.json"
        data = json.loads(path.read_text())
        data["members"][0][key] = value
        path.write_text(json.dumps(data))

    return change


def detection_limit(value: object) -> Make:
    def change(folder: Path) -> None:
        path = folder / "metadata.json"
        data = json.loads(path.read_text())
        data["segmenter"]["detection_limit"] = value
        path.write_text(json.dumps(data))

    return change


def tampered(folder: Path) -> None:
    blob = bytearray((folder / "us.safetensors").read_bytes())
    blob[-1] ^= 1
    (folder / "us.safetensors").write_bytes(blob)


def truncated(name: str) -> Make:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:1000])


def weights(write: Make) -> Make:
    """A bundle whose first member's file is another one, of which the metadata knows."""

    def change(folder: Path) -> None:
        path, text_file = folder / "us.safetensors", folder / "metadata.json"
        before = hashlib.sha256(path.read_bytes()).hexdigest()
        write(path)
        text_file.write_text(text_file.read_text().replace(before, hashlib.sha256(path.read_bytes()).hexdigest()))

    return change


def half_precision(path: Path) -> None:
    safetensors.torch.save_file({name: one.half() for name, one in ResNet34(2).state_dict().items()}, path)


def pickled(path: Path) -> None:
    torch.save(ResNet34(2).state_dict(), path)


ALTERED = "altered or truncated (its SHA-256 is not the one in metadata.json)"
PICKLED = "pickled files can run code"
ANOTHER_ARCHITECTURE = "weights of another architecture than ResNet34 of width"
BUNDLES: list[tuple[str, Make, str, str]] = [
    ("missing", shutil.rmtree, "bundle", "no such folder"),
    ("without metadata", lambda f: (f / "metadata.json").unlink(), "bundle", "no metadata.json, so this is not a"),
    ("without weights", lambda f: (f / "ss.safetensors").unlink(), "ss.safetensors", "missing from the bundle"),
    ("tampered", tampered, "us.safetensors", ALTERED),
    ("truncated weights", truncated("ss.safetensors"), "ss.safetensors", ALTERED),
    ("truncated metadata", truncated("metadata.json"), "metadata.json", "not valid bundle metadata"),
    ("of another architecture", metadata(architecture="resnet50"), "metadata.json", "architecture 'resnet50'"),
    ("of another width", another_width, "us.safetensors", ANOTHER_ARCHITECTURE),
    ("of half precision", weights(half_precision), "us.safetensors", ANOTHER_ARCHITECTURE),
    ("of another schema", metadata(schema=99), "metadata.json", "schema 99, this version reads 1"),
    ("of no members", metadata(members=[]), "metadata.json", "the ensemble needs one attention member with US"),
    ("of a member named as a path", member("name", "../../escaped"), "metadata.json", "it names files"),
    ("of two members of one name", member("name", "ss"), "metadata.json", "do not tell their maps apart"),
    ("of a detection limit in words", detection_limit("low"), "metadata.json", "not valid bundle metadata"),
    ("with a pickle", lambda f: (f / "us.pkl").write_bytes(pickle.dumps(1)), "us.pkl", PICKLED),
    ("with a pickle deeper", lambda f: ((f / "m").mkdir(), (f / "m/a.pt").touch()), "m/a.pt", PICKLED),
    ("with a pickle for weights", weights(pickled), "us.safetensors", "not a readable safetensors file"),
]


def a_copy(place: Place) -> Path:
    return Path(shutil.copytree(place.bundle, place.folder / "bundle"))


def of_bundle(name: str, damage: Make, named: str, cause: str) -> Case:
    def arguments(place: Place) -> list[str]:
        folder = a_copy(place)
        damage(folder)
        return place.analyze("--bundle", folder)

    return Case(f"bundle {name}", arguments, named, cause, status=4)


# ---- cohorts

HEADER = "case_id,patient_id,image,label,split\n"
ROWS = [f"c{n},p{n},bad{n}.nii.gz,{('CAP', 'COVID-19')[n % 2]},{('train', 'validation')[n // 2]}\n" for n in range(4)]
COHORTS: list[tuple[str, bytes | str | None, str]] = [
    ("missing", None, "cannot be read (No such file or directory)"),
    ("empty", "", "no column case_id, patient_id, image, label"),
    ("of a header alone", HEADER, "no cases"),
    ("binary", b"\xff\xfe\x00", "not a CSV file in UTF-8"),
    ("without labels", "case_id,patient_id,image\na,b,c\n", "no column label"),
    ("with another label", HEADER + "a,b,bad0.nii.gz,flu,train\n", "line 2: label 'flu' is none of COVID-19, CAP"),
    ("without its CT", HEADER + "a,b,c.nii,CAP,train\n", "line 2: image c.nii does not exist"),
    ("without validation", HEADER + "".join(ROWS[:2]), "the split 'validation' needs cases of both classes"),
    ("of one class", HEADER + "".join(ROWS[1:]), "the split 'train' needs cases of both classes"),
    ("with bad CTs", HEADER + "".join(ROWS), "bad3.nii.gz: not a NIfTI file"),
]


def fit(cohort: Path, place: Place) -> list[str]:
    return ["fit", str(cohort), "--output", str(place.output), "--width", "2", "--shrink", "8", "--epochs", "1"]


def of_cohort(name: str, content: bytes | str | None, cause: str) -> Case:
    def arguments(place: Place) -> list[str]:
        for number in range(len(ROWS)):
            text(place.folder / f"bad{number}.nii.gz")
        if content is not None:
            raw = content if isinstance(content, bytes) else content.encode()
            (place.folder / "cohort.csv").write_bytes(raw)
        return fit(place.folder / "cohort.csv", place)

    return Case(f"cohort {name}", arguments, "cohort.csv", cause)


# ---- options and output folders


def existing(place: Place) -> list[str]:
    place.output.mkdir()
    (place.output / "mine.txt").write_text("precious")
    for file in ("report.json", "run.json"):
        text(place.output / file)
    return place.analyze()


def mine_alone(place: Place) -> list[str]:
    place.output.mkdir()
    (place.output / "mine.txt").write_text("precious")
    return place.analyze()


def of_something_else(place: Place) -> list[str]:
    return [*mine_alone(place), "--overwrite"]


def a_cohort_of_ones_own(place: Place) -> list[str]:
    place.output.mkdir()
    (place.output / "cohort.csv").write_text("precious")
    return ["phantom", "--cases", "1", "--output", str(place.output), "--overwrite"]


def holding_the_input(place: Place) -> list[str]:
    place.output.mkdir()
    text(place.output / "report.json")
    shutil.copy(place.ct, place.output / "ct.nrrd")
    return place.analyze("--overwrite", ct=place.output / "ct.nrrd")


def taken_by_a_file(place: Place) -> list[str]:
    text(place.output)
    return place.analyze("--overwrite")


def below_a_file(place: Place) -> list[str]:
    text(place.folder / "file")
    return place.analyze(output=place.folder / "file" / "out")


def dangling(place: Place) -> list[str]:
    place.output.symlink_to("nowhere")
    return place.analyze()


def a_series(place: Place) -> Path:
    write_series(place.folder / "dicom", voxels(10))
    return place.folder / "dicom"


A_FOLDER, NOWHERE = ("--segmenter", "nnunet"), ("--segmenter", "nnunet:nowhere")
MAGIC, OTHER_SERIES = ("--segmenter", "magic"), ("--series", "9.9")
NO_SUCH_SEGMENTER, NO_SUCH_SERIES = "choose one of vbnet", "none of its 1 CT series has the UID 9.9"
OTHERS: list[tuple[str, Arguments, str, str]] = [
    ("analyze unknown segmenter", lambda p: p.analyze(*MAGIC), "'magic'", NO_SUCH_SEGMENTER),
    ("segment unknown segmenter", lambda p: [*p.segment(p.ct), *MAGIC], "'magic'", NO_SUCH_SEGMENTER),
    ("fit unknown segmenter", lambda p: [*fit(p.ct, p), *MAGIC], "'magic'", NO_SUCH_SEGMENTER),
    ("segment without nnunet's folder", lambda p: [*p.segment(p.ct), *A_FOLDER], "folder", "nnunet:FOLDER"),
    ("segment with a missing nnunet folder", lambda p: [*p.segment(p.ct), *NOWHERE], "nowhere", "no such folder"),
    ("analyze with a missing monai bundle", lambda p: p.analyze("--segmenter", "monai:none"), "none", "no such folder"),
    ("analyze unknown series", lambda p: p.analyze(*OTHER_SERIES, ct=a_series(p)), "dicom", NO_SUCH_SERIES),
    ("segment unknown series", lambda p: [*p.segment(a_series(p)), *OTHER_SERIES], "dicom", NO_SUCH_SERIES),
    ("output exists", existing, "out", "exists already; choose another folder or add --overwrite"),
    ("output is no such result", of_something_else, "out", "--overwrite replaces only what this command wrote"),
    ("phantoms over a cohort", a_cohort_of_ones_own, "out", "holds no phantom-0000/ct.nii.gz, and --overwrite"),
    ("output holds the input", holding_the_input, "out", "holds the input"),
    ("output is a file", taken_by_a_file, "out", "exists and is not a folder"),
    ("output is a dangling link", dangling, "out", "exists and is not a folder"),
    ("output below a file", below_a_file, "file/out", "cannot be written: Not a directory"),
    ("output name too long", lambda p: p.analyze(output=p.folder / ("x" * 300)), "xxx", "File name too long"),
    ("output name not UTF-8", lambda p: p.analyze(output=p.folder / "\udce9"), "\\udce9", "not valid UTF-8"),
]


# ---- permissions: root is kept from going around them


def secret(place: Place) -> Path:
    shutil.copy(place.ct, place.folder / "secret.nrrd")
    return place.close(place.folder / "secret.nrrd")


def secret_slice(place: Place) -> list[str]:
    folder = a_series(place)
    place.close(next(folder.iterdir()).rename(folder / "secret.dcm"))
    return place.analyze(ct=folder)


def secret_inside(place: Place) -> list[str]:
    folder = a_series(place)
    (folder / "secret").mkdir()
    place.close(folder / "secret")
    return place.analyze(ct=folder)


def secret_above(place: Place) -> list[str]:
    return place.analyze(ct=place.close(a_series(place)) / "ct.nrrd")


def secret_cohort(place: Place) -> list[str]:
    path = place.folder / "cohort.csv"
    path.write_text(HEADER)
    return fit(place.close(path), place)


def theirs(output: str) -> Arguments:
    def arguments(place: Place) -> list[str]:
        (place.folder / "theirs").mkdir()
        return place.analyze(output=place.close(place.folder / "theirs", 0o500) / output)

    return arguments


def secret_in_bundle(*path: str) -> Arguments:
    def arguments(place: Place) -> list[str]:
        folder = a_copy(place)
        place.close(folder.joinpath(*path))
        return place.analyze("--bundle", folder)

    return arguments


DENIED, NOT_WRITABLE = "cannot be read: Permission denied", "cannot be written: Permission denied"
PERMISSIONS: list[tuple[str, Arguments, str, str, int]] = [
    ("CT of analyze", lambda p: p.analyze(ct=secret(p)), "secret.nrrd", DENIED, 3),
    ("CT of segment", lambda p: p.segment(secret(p)), "secret.nrrd", DENIED, 3),
    ("folder that cannot be listed", lambda p: p.analyze(ct=p.close(a_series(p), 0o300)), "dicom", DENIED, 3),
    ("folder that cannot be entered", lambda p: p.analyze(ct=p.close(a_series(p), 0o600)), "dicom", DENIED, 3),
    ("slice", secret_slice, "secret.dcm", DENIED, 3),
    ("folder inside", secret_inside, "dicom/secret", DENIED, 3),
    ("folder above", secret_above, "dicom/ct.nrrd", DENIED, 3),
    ("mask", lambda p: p.analyze("--lungs", secret(p)), "secret.nrrd", DENIED, 3),
    ("cohort", secret_cohort, "cohort.csv", "cannot be read (Permission denied)", 3),
    ("output's parent", theirs("out"), "theirs/out", NOT_WRITABLE, 3),
    ("output's grandparent", theirs("new/out"), "theirs/new/out", NOT_WRITABLE, 3),
    ("bundle", secret_in_bundle(), "bundle", DENIED, 4),
    ("bundle's metadata", secret_in_bundle("metadata.json"), "metadata.json", DENIED, 4),
    ("bundle's weights", secret_in_bundle("ss.safetensors"), "ss.safetensors", DENIED, 4),
]

CASES = [
    *(of_ct(command, *row) for row in CTS for command in ("analyze", "segment")),
    *(of_mask(*row) for row in MASKS),
    *(of_bundle(*row) for row in BUNDLES),
    *(of_cohort(*row) for row in COHORTS),
    *(Case(*row) for row in OTHERS),
    *(Case(f"permissions {row[0]}", *row[1:], as_a_normal_user=True) for row in PERMISSIONS),
]
