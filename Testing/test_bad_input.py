"""Bad input through the command line: its exit status, one line that names the file and the cause, nothing left."""

import ctypes
import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import SimpleITK as sitk

from _bad_cts import image, noise
from _bad_inputs import CASES, Case, Place, existing
from ct.test_quality import chest
from DualSamplingCOVIDLib import bundle, diagnosis_folder
from DualSamplingCOVIDLib.__main__ import main
from DualSamplingCOVIDLib.commands import analyze
from DualSamplingCOVIDLib.errors import ResourceError
from DualSamplingCOVIDLib.scene import headless
from test_bundle import a_bundle


@pytest.fixture(scope="module")
def a_good_ct(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "ct.nrrd"
    sitk.WriteImage(image(noise()), path)
    return path


@pytest.fixture(scope="module")
def a_bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "random"
    a_bundle(folder)
    return folder


@pytest.fixture
def place(tmp_path: Path, a_good_ct: Path, a_bundle_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # so that a scratch folder left there is found
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    one = Place(tmp_path, a_good_ct, a_bundle_folder)
    yield one
    for path in one.closed:
        path.chmod(0o700)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@contextmanager
def a_normal_user() -> Iterator[None]:
    """Take root's privilege to read and write everything from this thread; nobody else has it anyway."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = (ctypes.c_uint32 * 2)(0x20080522, 0)
    effective_first = (ctypes.c_uint32 * 6)()
    assert libc.capget(version, effective_first) == 0
    kept = effective_first[0]
    dac_override, dac_read_search = 1 << 1, 1 << 2
    effective_first[0] = kept & ~(dac_override | dac_read_search)
    assert libc.capset(version, effective_first) == 0
    try:
        yield
    finally:
        effective_first[0] = kept
        assert libc.capset(version, effective_first) == 0


def everything_in(folder: Path) -> list[str]:
    return sorted(os.path.join(where, name) for where, folders, files in os.walk(folder) for name in folders + files)


def one_line(arguments: Sequence[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a command, and return its status and the only line that it printed."""
    status = main([*arguments, "--progress", "none"])
    out, err = capfd.readouterr()
    assert (out, err.count("\n"), err[-1:]) == ("", 1, "\n"), out + err
    return status, err.removesuffix("\n")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line_and_leaves_nothing(case: Case, place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = case.arguments(place)
    before = everything_in(place.folder)
    with a_normal_user() if case.as_a_normal_user else nullcontext():
        status, line = one_line(arguments, capfd)
    assert status == case.status
    assert line.startswith("error: ")
    named, cause = line.removeprefix("error: ").split(": ", 1)
    assert named.endswith(case.named)
    assert case.cause in cause
    assert everything_in(place.folder) == before


def test_an_error_has_a_line_of_its_own_below_the_bar(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(place.analyze(ct=place.folder / "missing.nrrd", output=place.output)) == 3
    assert capfd.readouterr().err.splitlines()[-1].startswith("error: ")


def test_a_missing_default_bundle_asks_for_one(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "SHIPPED", "Bundles/none")
    status, line = one_line(["analyze", str(place.ct), "--output", str(place.output)], capfd)
    assert status == 4
    assert "Bundles/none" in line and "name a bundle of your own" in line


def test_a_defect_is_one_line_too(
    place: Place, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: object) -> None:
        raise KeyError("spacing")

    monkeypatch.setattr(analyze, "read_ct", defect)
    assert one_line(place.analyze(), capfd) == (1, "error: unexpected KeyError: 'spacing'")


# ---- what goes wrong while the results are written


@pytest.fixture(scope="module")
def a_quick_analysis(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The input and options of an analysis that takes no time: a coarse chest with its masks."""
    folder = tmp_path_factory.mktemp("chest")
    ct, lungs = chest((40, 48, 48), (6, 6, 7))
    for name, one in {"ct": ct, "lungs": lungs}.items():
        sitk.WriteImage(one, folder / f"{name}.nrrd")
    masks = [word for name in ("lungs", "infection") for word in (f"--{name}", str(folder / "lungs.nrrd"))]
    return [str(folder / "ct.nrrd"), "--write", "masks", "--device", "cpu", *masks]


def quick(place: Place, analysis: Sequence[str], *more: str, output: Path | None = None) -> list[str]:
    words = ["analyze", *analysis, "--bundle", str(place.bundle), "--output", str(output or place.output)]
    return [*words, *more]


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Let every write beyond `size` bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def no_memory(*_: object) -> None:
    raise MemoryError


def no_memory_in_itk(*_: object) -> None:
    raise RuntimeError("Exception thrown in SimpleITK: Failed to allocate memory for image.\nand more")


def no_scene(path: Path, *_: object) -> None:
    os.write(2, b"vtkMRMLStorageNode: failed to write\n")
    raise ResourceError(f"{path}: the scene could not be written")


@pytest.mark.parametrize(
    ("size", "file"),
    [(1000, "out"), (3300, "lungs-infection.seg.nrrd")],
    ids=["report", "masks"],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(
    size: int, file: str, place: Place, a_quick_analysis: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with files_no_longer_than(size):
        status, line = one_line(quick(place, a_quick_analysis, output=place.folder / "new" / "out"), capfd)
    assert status == 5
    assert line.startswith(f"error: {place.folder / 'new' / 'out'}")
    assert file in line and "cannot be written" in line and "full" in line
    assert everything_in(place.folder) == []


@pytest.mark.parametrize(
    ("where", "name", "failure", "cause"),
    [
        (diagnosis_folder, "save_report", no_space, "out: cannot be written: the disk is full"),
        (diagnosis_folder, "save_masks", no_memory, "memory ran out"),
        (diagnosis_folder, "save_masks", no_memory_in_itk, "memory ran out"),
        (headless, "writeScene", no_scene, "out/scene.mrb: the scene could not be written"),
    ],
)
def test_running_out_is_one_line_and_leaves_nothing(
    where: object,
    name: str,
    failure: Callable[..., None],
    cause: str,
    place: Place,
    a_quick_analysis: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(headless, "isAvailable", headless.Availability)
    monkeypatch.setattr(where, name, failure)
    status, line = one_line(quick(place, a_quick_analysis, "--write", "masks,scene"), capfd)
    assert status == 5
    assert cause in line
    assert everything_in(place.folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_writing_leaves_what_was_there(
    number: signal.Signals,
    place: Place,
    a_quick_analysis: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(diagnosis_folder, "save_masks", lambda *_: signal.raise_signal(number))
    existing(place)
    before = everything_in(place.folder)
    status, line = one_line(quick(place, a_quick_analysis, "--overwrite"), capfd)
    assert (status, line) == (130, "cancelled: nothing was written")
    assert everything_in(place.folder) == before
    assert (place.output / "mine.txt").read_text() == "precious"


def test_results_that_cannot_take_their_place_leave_what_was_there(
    place: Place, a_quick_analysis: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    existing(place)
    before = everything_in(place.folder)
    real = Path.rename

    def guarded(self: Path, target: Path) -> Path:
        if target == place.output and self.name != "old":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, target)

    monkeypatch.setattr(Path, "rename", guarded)
    status, line = one_line(quick(place, a_quick_analysis, "--overwrite"), capfd)
    assert status == 1
    assert "Input/output error" in line
    assert everything_in(place.folder) == before


def test_an_interrupted_process_prints_one_line_and_leaves_nothing(
    place: Place, tmp_path_factory: pytest.TempPathFactory
) -> None:
    ct = tmp_path_factory.mktemp("large") / "ct.nrrd"
    sitk.WriteImage(image(noise(128, 128, 128)), ct)
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "DualSamplingCOVIDLib",
            *place.segment(ct),
            *("--segmenter", "threshold", "--progress", "json"),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(analyze.__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert any("segmenting" in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "cancelled: nothing was written\n"
    assert process.returncode == 130
    assert everything_in(place.folder) == []
