"""Running sums between two logs, and over an evaluation: terms, alignment, tokens."""

from dataclasses import asdict

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from llm_jepa.objective.jepa import JEPA, Objective, Terms
from llm_jepa.objective.monitors import alignment
from llm_jepa.packing.batch import Encoded, PackedBatch
