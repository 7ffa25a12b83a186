"""`SafeTrainer`: transformers' Trainer, whose checkpoints are whole or not there, and hold numbers."""

import errno
import shutil
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Trainer

from llm_jepa.durable import drafting
from llm_jepa.errors import UserError
from llm_jepa.training.checkpoints import DRAFTS, latest_whole, rotate, seal, step_of
from llm_jepa.training.nonfinite import finite_weights
from llm_jepa.training.sharded import check_resumable


class SafeTrainer(Trainer):
    """Writes every checkpoint beside its place and puts it there when it is whole.

    Overridden hooks of Trainer, and why: `train` refuses a checkpoint whose optimizer it would not load; `_save_checkpoint`
    writes into a draft, seals it, and removes old checkpoints by their steps, where Trainer goes by the clock of the file
    system; `_get_output_dir` says where the draft is; `_load_optimizer_and_scheduler` notes the checkpoint that training
    resumes from. All processes take part; the one that writes for its machine seals, when all have written.
    """

    _drafting = False
    _saved = 0

    def train(self, resume_from_checkpoint: str | bool | None = None, *arguments: Any, **options: Any) -> Any:  # noqa: FBT001
        """Train, from the beginning or from a checkpoint.

        Raises:
            UserError: the checkpoint is one of another launch (`training.sharded.check_resumable`), or a config of DeepSpeed
                says other than the run's.
        """
        if isinstance(resume_from_checkpoint, str):
            check_resumable(self.accelerator, Path(resume_from_checkpoint))
        try:
            return super().train(resume_from_checkpoint, *arguments, **options)
        except ValueError as error:
            if "DeepSpeed config values" not in str(error):
                raise
            raise UserError(f"training.deepspeed: {' '.join(str(error).split())}") from error

    def save_once(self) -> None:
        """Save a checkpoint of the training as it is now, unless the latest one is of this step."""
        if self.state.global_step != self._saved and self.model_wrapped is not None:
            self._save_checkpoint(self.model_wrapped, None)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self._saved = step_of(Path(checkpoint))

    def _get_output_dir(self, trial: Any) -> str:
        folder = super()._get_output_dir(trial)
        return str(Path(folder) / DRAFTS) if self._drafting else folder

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        folder = Path(self._get_output_dir(trial))
        checkpoint = folder / f"checkpoint-{self.state.global_step}"
        draft = folder / DRAFTS / checkpoint.name
        if not finite_weights(model):
            last = latest_whole(folder)
            raise UserError(
                f"after step {self.state.global_step} some weights are infinite or no numbers, and none is saved; "
                f"{'no checkpoint was' if last is None else last.name + ' is the last that was'} saved before. A smaller "
                "training.learning_rate, gradient clipping (training.max_grad_norm) or model.dtype float32 may help"
            )
        if self.args.should_save:
            if not folder.is_dir():  # Trainer would make it anew, without all that lay in it
                raise FileNotFoundError(errno.ENOENT, "the folder was removed while training", str(folder))
            shutil.rmtree(draft.parent, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        with drafting(draft.parent):
            self._write_draft(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self._name_best(draft, checkpoint)
                seal(draft, checkpoint)
        self._saved = self.state.global_step
        if self.args.should_save:
            rotate(folder, limit=self.args.save_total_limit, best=self.state.best_model_checkpoint)
        self.accelerator.wait_for_everyone()

    def _write_draft(self, model: nn.Module, trial: Any) -> None:
        self._drafting = True
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._drafting = False

    def _name_best(self, draft: Path, checkpoint: Path) -> None:
        """Name the best checkpoint, if it is this one, by the place where it will be."""
        best = self.state.best_model_checkpoint
        if best is not None and Path(best) == draft:
            self.state.best_model_checkpoint = str(checkpoint)
            self.state.save_to_json(str(draft / "trainer_state.json"))
