"""What Trainer is given: the samples as a data set, and arguments that fit packed batches."""

import copy
from collections.abc import Sequence
from typing import Any

from torch.utils.data import Dataset
from transformers import TrainingArguments

from llm_jepa.training.even import BLANK
from llm_jepa.views.tokenize import Sample


class Samples(Dataset[dict[str, Any]]):
    """Samples as a data set whose items also tell their length to Trainer's length-grouping sampler."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self._samples)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return one sample and its trained tokens, or a blank (`training.even`)."""
        if index == BLANK:
            return {"input_ids": [], "sample": None}
        sample = self._samples[index]
        return {"input_ids": [token for sequence in sample.sequences for token in sequence.ids], "sample": sample}


def packed_arguments(args: TrainingArguments) -> TrainingArguments:
    """Return the arguments with what packed batches need, and with what would make every step wait for a GPU turned off."""
    args = copy.copy(args)
    args.remove_unused_columns = False
    args.logging_nan_inf_filter = False  # it looks at every loss, for a mean that is replaced by ours
    loading: Any = copy.copy(args.accelerator_config)
    loading.non_blocking = args.dataloader_pin_memory
    args.accelerator_config = loading
    return args
