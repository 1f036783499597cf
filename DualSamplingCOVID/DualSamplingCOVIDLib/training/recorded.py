"""A trainer that writes down what happens, and goes on from its last whole epoch after any interruption."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError, ResourceError, is_full
from ..network.device import has_bfloat16
from ..run_folder import EPOCHS, STEPS
from ..storage import write_text, write_whole
from .fit import Step, Trainer
from .settings import OF_THE_MACHINE

CHECKPOINT = "checkpoint"
"""What a model's folder has until the model is finished."""


class Scalars:
    """The same numbers for TensorBoard, where it is installed; else nothing."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """Write into `folder`; what an interrupted run wrote from `first_step` on is taken back."""
        self._writer: Any = None
        self._folder = folder
        if has_tensorboard():
            _without_host(folder)
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=first_step)  # type: ignore[no-untyped-call]

    def add(self, step: int, **values: float) -> None:
        """Add values at an optimiser step."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write all that is left."""
        if self._writer is not None:
            self._writer.close()
            _without_host(self._folder)


def _without_host(folder: Path) -> None:
    """Rename TensorBoard's files, whose names tell computer and process: a run folder travels. Their order stays."""
    for number, file in enumerate(sorted(folder.glob("events.out.tfevents.*"))):
        began = file.name.split(".")[3]
        file.rename(folder / f"events.out.tfevents.{began}.{number}")


def has_tensorboard() -> bool:
    """Whether scalars can be written for TensorBoard."""
    return importlib.util.find_spec("tensorboard") is not None


class RecordedTrainer(Trainer):
    """Writes steps.jsonl, epochs.jsonl, TensorBoard scalars and a checkpoint an epoch into its folder (rank 0 does)."""

    def __init__(self, folder: Path, name: str, *arguments: Any, **named: Any) -> None:
        """Prepare the fit as `Trainer` does, and go on from the folder's checkpoint where there is one.

        Args:
            folder: of this model.
            name: what the fit is called to the person who waits.
            arguments: those of `Trainer`.
            named: those of `Trainer`.

        Raises:
            InputError: the checkpoint cannot be read, or is of other settings.
        """
        super().__init__(*arguments, **named)
        self.folder, self._name = folder, name
        self.checkpoint = folder / CHECKPOINT
        self.seconds, self._since = 0.0, time.perf_counter()
        self._before: dict[str, int | str] = {}
        if self.checkpoint.exists():
            self.resume()
        self.scalars: Scalars | None = None
        if self.team.leads:
            folder.mkdir(parents=True, exist_ok=True)
            _write_lines(folder / STEPS, self._steps_before())
            _write_lines(folder / EPOCHS, (json.dumps(epoch._asdict()) for epoch in self.history))
            self.scalars = Scalars(folder, self._place(self.epoch, 0))

    @property
    def name(self) -> str:
        """What the fit is called to the person who waits."""
        return self._name

    @property
    def sitting(self) -> dict[str, int | str]:
        """What of this sitting the numbers depend on, the last digits of a CPU's on all of it."""
        return {
            "threads": torch.get_num_threads(),
            "compile": int(self.settings.compile),
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "CPU",
            "arithmetic": "bfloat16" if self.settings.mixed_precision and has_bfloat16(self.device) else "float32",
            "torch": str(torch.__version__),
        }

    @property
    def begun_with(self) -> dict[str, int | str]:
        """What of the first sitting was other than it is now; a GPU's numbers are no others with other threads."""
        now = self.sitting
        skipped = ("threads",) if self.device.type == "cuda" and self._before.get("device") == now["device"] else ()
        return {key: was for key, was in self._before.items() if key not in skipped and now.get(key) != was}

    @property
    def difference(self) -> str | None:
        """One line where this sitting's numbers may not be those of an undisturbed run; else None."""
        changed = [f"{key} {was}, not {self.sitting[key]}" for key, was in self.begun_with.items()]
        if not changed:
            return None
        return (
            f"warning: {self.name.partition(',')[0]} was begun with {' and '.join(changed)}: its numbers may differ "
            "from an undisturbed run's"
        )

    def step_ended(self, step: Step) -> None:
        """Write one line, and scalars."""
        if not self.team.leads:
            return
        _add_line(self.folder / STEPS, step._asdict())
        values = step._asdict()
        place = self._place(values.pop("epoch"), values.pop("step"))
        self._scalars(place, {f"training/{name}": value for name, value in values.items()})

    def epoch_ended(self) -> None:
        """Write the checkpoint, then one line and scalars."""
        if not self.team.leads:
            return
        now = time.perf_counter()
        self.seconds, self._since = self.seconds + now - self._since, now
        self.save()
        epoch = self.history[-1]
        _add_line(self.folder / EPOCHS, epoch._asdict())
        values = {"validation/loss": epoch.validation_loss, "validation/auc": epoch.validation_auc}
        self._scalars(self._place(self.epoch, 0), values)

    def save(self) -> None:
        """Write all that is needed to go on, whole or not at all.

        Raises:
            ResourceError: the disk is full; the last checkpoint stays.
        """
        state = {
            **self.state(),
            "seconds": self.seconds,
            "settings": asdict(self.settings),
            "sitting": {**self.sitting, **self._before},
        }

        def write(path: Path) -> None:
            with path.open("wb") as stream:  # a stream of our own says why it cannot be written
                try:
                    torch.save(state, stream)
                except RuntimeError as error:  # the archive that is closed half-written hides it
                    raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None

        try:
            write_whole(self.checkpoint, write)
        except OSError as error:
            if not is_full(error):
                raise
            stays = "the last checkpoint stays; make room, and go on with --resume"
            raise ResourceError(f"{self.checkpoint}: cannot be written: the disk is full; {stays}") from None

    def resume(self) -> None:
        """Go on from the checkpoint.

        Raises:
            InputError: it cannot be read, or is of other settings.
        """
        advice = "delete it to train this model anew"
        try:
            state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            settings = {key: value for key, value in state["settings"].items() if key not in OF_THE_MACHINE}
            same = settings == {k: v for k, v in asdict(self.settings).items() if k not in OF_THE_MACHINE}
            if same:
                self.restore(state)
                self.seconds = float(state["seconds"])
                self._before = dict(state.get("sitting", {}))
        except Exception as error:
            raise InputError(f"{self.checkpoint}: damaged or no checkpoint ({_line(error)}); {advice}") from None
        if not same:
            raise InputError(f"{self.checkpoint}: of a training with other settings; {advice}")

    def close(self) -> None:
        """Write what is left to be written."""
        if self.scalars is not None:
            self.scalars.close()

    def _scalars(self, place: int, values: dict[str, float]) -> None:
        if self.scalars is not None:
            self.scalars.add(place, **values)

    def _place(self, epoch: int, step: int) -> int:
        """Return a step's number in the whole training."""
        return epoch * -(-len(self.sampler) // self.settings.batch) + step

    def _steps_before(self) -> Iterable[str]:
        """Yield the lines of steps that are not repeated."""
        path = self.folder / STEPS
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                if json.loads(line)["epoch"] < self.epoch:
                    yield line
            except (ValueError, KeyError, TypeError):  # the line that was being written
                continue


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    write_text(path, "".join(f"{line}\n" for line in lines))


def _add_line(path: Path, values: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(values) + "\n")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]
