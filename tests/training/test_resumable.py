"""A checkpoint is continued by the engine that wrote it, for no other would load its optimizer states."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate.utils import DistributedType

from llm_jepa.errors import UserError
from llm_jepa.training.sharded import check_resumable

ZERO = [f"global_step3/bf16_zero_pp_rank_{rank}_mp_rank_00_optim_states.pt" for rank in range(2)]
WRITTEN = {
    "plain": ["optimizer.pt"],
    "fsdp": ["optimizer.bin", "pytorch_model_fsdp.bin"],
    "fsdp sharded": ["optimizer_0/__0_0.distcp", "pytorch_model_fsdp_0/__0_0.distcp"],
    "zero": ["global_step3/mp_rank_00_model_states.pt", *ZERO],
    "weights alone": ["model.safetensors"],
}  # fmt: skip


def launch(kind: DistributedType, ranks: int = 2) -> Any:
    return SimpleNamespace(distributed_type=kind, num_processes=ranks)


@pytest.fixture
def checkpoint(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    made = tmp_path / "checkpoint-3"
    for name in WRITTEN[request.param]:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).touch()
    return made


@pytest.mark.parametrize(
    ("checkpoint", "kind"),
    [
        ("plain", DistributedType.NO),
        ("plain", DistributedType.MULTI_GPU),
        ("fsdp", DistributedType.FSDP),
        ("fsdp sharded", DistributedType.FSDP),
        ("zero", DistributedType.DEEPSPEED),
        ("weights alone", DistributedType.MULTI_GPU),
    ],
    indirect=["checkpoint"],
)
def test_the_engine_that_wrote_a_checkpoint_goes_on_from_it(checkpoint: Path, kind: DistributedType):
    check_resumable(launch(kind), checkpoint)


@pytest.mark.parametrize(
    ("checkpoint", "kind", "sentence"),
    [
        (
            "fsdp",
            DistributedType.MULTI_GPU,
            "was written under FSDP, and this launch is one process, or data parallel, which",
        ),
        (
            "fsdp sharded",
            DistributedType.NO,
            "was written under FSDP, and this launch is one process, or data parallel, which",
        ),
        ("plain", DistributedType.FSDP, "was written under one process, or data parallel, and this launch is FSDP, which"),
        (
            "plain",
            DistributedType.DEEPSPEED,
            "was written under one process, or data parallel, and this launch is DeepSpeed, ",
        ),
        (
            "zero",
            DistributedType.FSDP,
            "was written under DeepSpeed, and this launch is FSDP, which cannot read its optimizer",
        ),
    ],
    indirect=["checkpoint"],
)
def test_another_engine_is_refused(checkpoint: Path, kind: DistributedType, sentence: str):
    with pytest.raises(UserError, match=rf"^checkpoint-3 {sentence}[^\n]*launch as before$"):
        check_resumable(launch(kind), checkpoint)


@pytest.mark.parametrize("checkpoint", ["zero"], indirect=True)
def test_zero_goes_on_with_as_many_processes_as_before(checkpoint: Path):
    with pytest.raises(UserError, match=r"^checkpoint-3 was written by 2 processes, .* among 4; launch 2 processes$"):
        check_resumable(launch(DistributedType.DEEPSPEED, ranks=4), checkpoint)
