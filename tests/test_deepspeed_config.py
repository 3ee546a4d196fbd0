"""DeepSpeed's configuration, read by DeepSpeed itself: it stands apart (`make install`), where no run imports it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.launch import deepspeed
from trainer.sections import RunConfig

APART = Path(sys.prefix) / "deepspeed"
READ = """
import json, sys
from deepspeed.runtime import config

config.dist.get_rank, config.dist.get_world_size = lambda: 0, lambda: int(sys.argv[1])

found = []
for settings in json.loads(sys.stdin.read()):
    read = config.DeepSpeedConfig(settings)
    zero = read.zero_config
    found.append({
        "stage": int(zero.stage),
        "rows": read.train_batch_size,
        "batch": read.train_micro_batch_size_per_gpu,
        "accumulation": read.gradient_accumulation_steps,
        "clipping": read.gradient_clipping,
        "optimiser waits on": zero.offload_optimizer and str(zero.offload_optimizer.device).split(".")[-1],
        "weights wait on": zero.offload_param and str(zero.offload_param.device).split(".")[-1],
        "bucket": zero.reduce_bucket_size,
        "bf16": read.bfloat16_config.enabled,
        "own optimiser": read.zero_allow_untested_optimizer and not read.zero_force_ds_cpu_optimizer,
    })
print("READ" + json.dumps(found))
"""


def run(strategy: str, offload: bool = False, kind: str = "lora") -> RunConfig:
    return RunConfig.model_validate(
        {
            "method": {"kind": kind},
            "schedule": {"batch_size": 2, "accumulation": 16, "max_grad_norm": 0.5},
            "hardware": {"device": "cuda", "processes": 4, "machines": 2, "strategy": strategy, "offload": offload},
        }
    )


def read_by_deepspeed(runs: list[RunConfig]) -> list[dict[str, Any]]:
    if not (APART / "deepspeed").is_dir():
        pytest.skip(f"DeepSpeed is not in {APART}; `make install` puts it there")
    command = f"import sys; sys.path.append({str(APART)!r})\n{READ}"
    done = subprocess.run(
        [sys.executable, "-c", command, "8"],
        input=json.dumps([deepspeed.settings(one) for one in runs]),
        capture_output=True,
        text=True,
        env={"DS_ACCELERATOR": "cpu", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("READ")]
    assert lines, done.stderr[-3000:]
    return json.loads(lines[0].removeprefix("READ"))


def test_deepspeed_reads_what_the_run_file_says():
    asked = [run("zero2"), run("zero3"), run("zero2", offload=True), run("zero3", offload=True, kind="full")]
    two, three, two_waiting, three_waiting = read_by_deepspeed(asked)
    for found in (two, three, two_waiting, three_waiting):
        # 2 rows x 2 passes x 8 processes: as many as one process learns from in 2 x 16.
        assert (found["batch"], found["accumulation"], found["rows"]) == (2, 2, 32)
        assert found["clipping"] == 0.5 and found["own optimiser"] and found["bucket"] == deepspeed.BUCKET
    assert [one["stage"] for one in (two, three, two_waiting, three_waiting)] == [2, 3, 2, 3]
    assert [one["optimiser waits on"] for one in (two, three, two_waiting, three_waiting)] == [None, None, "cpu", "cpu"]
    assert [one["weights wait on"] for one in (two, three, two_waiting, three_waiting)] == [None, None, None, "cpu"]
    assert [one["bf16"] for one in (two, three, two_waiting, three_waiting)] == [False, False, False, True]


def test_bedside_does_not_import_deepspeed_where_it_is_not_asked_for():
    import importlib.util

    assert importlib.util.find_spec("deepspeed") is None, "accelerate would import it in every run"
