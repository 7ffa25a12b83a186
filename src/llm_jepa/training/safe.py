"""`SafeTrainer`: transformers' Trainer, whose checkpoints are whole or not there."""

import errno
import shutil
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Trainer

from llm_jepa.training.checkpoints import DRAFTS, rotate, seal


class SafeTrainer(Trainer):
    """Writes every checkpoint beside its place and puts it there when it is whole.

    Overridden hooks of Trainer, and why: `_save_checkpoint` writes into a draft, seals it, and removes old checkpoints by
    their steps, where Trainer goes by the clock of the file system; `_get_output_dir` says where the draft is. All processes
    take part; the one that writes for its machine seals, when all have written.
    """

    _drafting = False
    _saved = 0

    def save_once(self) -> None:
        """Save a checkpoint of the training as it is now, unless the latest one is of this step."""
        if self.state.global_step != self._saved:
            self._save_checkpoint(self.model_wrapped, None)

    def _get_output_dir(self, trial: Any) -> str:
        folder = super()._get_output_dir(trial)
        return str(Path(folder) / DRAFTS) if self._drafting else folder

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        folder = Path(self._get_output_dir(trial))
        checkpoint = folder / f"checkpoint-{self.state.global_step}"
        draft = folder / DRAFTS / checkpoint.name
        if self.args.should_save:
            if not folder.is_dir():  # Trainer would make it anew, without all that lay in it
                raise FileNotFoundError(errno.ENOENT, "the folder was removed while training", str(folder))
            shutil.rmtree(draft.parent, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self._drafting, self._saved = True, self.state.global_step
        try:
            super()._save_checkpoint(model, trial)
        finally:
            self._drafting = False
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            self._name_best(draft, checkpoint)
            seal(draft, checkpoint)
            rotate(folder, limit=self.args.save_total_limit, best=self.state.best_model_checkpoint)
        self.accelerator.wait_for_everyone()

    def _name_best(self, draft: Path, checkpoint: Path) -> None:
        """Name the best checkpoint, if it is this one, by the place where it will be."""
        best = self.state.best_model_checkpoint
        if best is not None and Path(best) == draft:
            self.state.best_model_checkpoint = str(checkpoint)
            self.state.save_to_json(str(draft / "trainer_state.json"))
