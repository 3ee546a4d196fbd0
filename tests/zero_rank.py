"""A process that trains a run by ZeRO on a CPU: `python zero_rank.py RUN_FOLDER`, started by torchrun.

DeepSpeed itself does that, over gloo. accelerate does not let it: it knows DeepSpeed on devices alone. What stands in
the way is taken out here, so that everything else is what trains on GPUs.
"""

import os
import sys
from pathlib import Path
from typing import Any

os.environ["DS_ACCELERATOR"] = "cpu"
os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]
sys.path.append(str(Path(sys.prefix) / "deepspeed"))

import deepspeed  # noqa: E402, F401  # pyright: ignore[reportMissingImports]

# Its own way over shared memory would be compiled first.
sys.modules["deepspeed.comm.torch"].build_shm_op = lambda: None  # pyright: ignore

from accelerate.state import PartialState  # noqa: E402
from accelerate.utils.dataclasses import DistributedType  # noqa: E402

from trainer import combinations  # noqa: E402
from trainer.launch import rank  # noqa: E402
from trainer.objectives.settings import Parts  # noqa: E402


def _backend(self: Any, *arguments: Any) -> tuple[str, DistributedType]:
    return "gloo", DistributedType.MULTI_GPU


_arguments = Parts.arguments
PartialState._prepare_backend = _backend  # pyright: ignore
Parts.arguments = lambda self, rows=None: _arguments(self, rows) | {"use_cpu": False}
combinations._of_devices = lambda config: []

if __name__ == "__main__":
    rank.main(Path(sys.argv[1]), [])
