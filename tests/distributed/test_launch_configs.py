"""The launch configs that are shipped: accelerate knows every key, and the engine is the one that the name says."""

from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DistributedType

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "accelerate"
ENGINES = {
    "ddp": DistributedType.MULTI_GPU,
    "fsdp2": DistributedType.FSDP,
    "multi-node": DistributedType.FSDP,
    "zero2": DistributedType.DEEPSPEED,
    "zero3": DistributedType.DEEPSPEED,
}


def test_all_configs_are_known() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == set(ENGINES)


@pytest.mark.parametrize("name", ENGINES)
def test_accelerate_takes_every_key(name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    config = load_config_from_file(str(path))  # refuses keys that it does not know
    assert config.distributed_type == ENGINES[name]
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    nested = {key for part in ("fsdp_config", "deepspeed_config") for key in given.get(part, {})}
    assert nested <= set(vars(launch_command_parser().parse_args(["-m", "llm_jepa"])))


@pytest.mark.parametrize(("name", "processes", "machines"), [("fsdp2", 8, 1), ("multi-node", 16, 2)])
def test_processes_are_counted_over_all_machines(name: str, processes: int, machines: int) -> None:
    given = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    assert (given["num_processes"], given["num_machines"]) == (processes, machines)


@pytest.mark.parametrize(("name", "stage"), [("zero2", 2), ("zero3", 3)])
def test_the_stage_of_deepspeed_is_that_of_the_name(name: str, stage: int) -> None:
    given = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))["deepspeed_config"]
    assert given["zero_stage"] == stage
    assert given["zero3_init_flag"] is False
