"""What `accelerate launch` tells the processes that it starts, by the launch files that are shipped."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from accelerate.commands import launch
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

FOLDER = Path(__file__).resolve().parents[2] / "configs" / "accelerate"
OWN = ("ACCELERATE_", "FSDP_")
"""How the names of its variables begin."""


def variables(name: str) -> dict[str, str]:
    """Return the variables of accelerate that a launch file sets, as accelerate itself makes them of it."""
    given = ["--config_file", str(FOLDER / f"{name}.yaml"), "--num_processes", "2", "-m", "llm_jepa", "train", "mine.yaml"]
    arguments: Any
    defaults: Any
    arguments, defaults, _ = launch._validate_launch_command(launch.launch_command_parser().parse_args(given))
    if arguments.use_deepspeed:
        arguments.deepspeed_fields_from_accelerate_config = ",".join(defaults.deepspeed_config)
        told = prepare_deepspeed_cmd_env(arguments)[1]
    else:
        told = prepare_multi_gpu_env(arguments)
    return {key: value for key, value in told.items() if key.startswith(OWN)}


@contextmanager
def launched_by(name: str) -> Iterator[None]:
    """Let this process see what it would see if it had been launched with a launch file."""
    with pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith(OWN)]:
            patch.delenv(key)
        for key, value in variables(name).items():
            patch.setenv(key, value)
        yield
