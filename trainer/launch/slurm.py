"""A run over several machines as a job of SLURM: one torchrun on each, which meet at the first of the job's list."""

from __future__ import annotations

import shlex
from pathlib import Path

from trainer.launch import torchrun
from trainer.sections import RunConfig

_JOB, _HEAD = "$SLURM_JOB_ID", "$head"


def script(config: RunConfig, folder: Path) -> str:
    """The batch script, for `sbatch`. Where one machine's processes end, srun ends those of all."""
    hardware = config.hardware
    asked = [
        f"--job-name={shlex.quote(config.output.name)}",
        f"--nodes={hardware.machines}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={hardware.processes * 8 if hardware.device == 'cuda' else hardware.processes}",
        f"--output={shlex.quote(str(folder / 'slurm-%j.txt'))}",
    ]
    if hardware.device == "cuda":
        asked.append(f"--gpus-per-node={hardware.processes}")
    command = torchrun.arguments(config, folder, _JOB, f"{_HEAD}:{torchrun.PORT}")
    words = [f'"{one}"' if "$" in one else shlex.quote(one) for one in command]
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {one}" for one in asked),
            "set -euo pipefail",
            *torchrun.setting(folder),
            'head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)',
            f"srun --kill-on-bad-exit=1 {' '.join(words)}",
            "",
        ]
    )
