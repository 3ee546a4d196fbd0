"""FSDP2: each process holds its share of the base, and the whole of one layer at a time (Zhao et al. 2023).

The base is shared out while it is loaded, so that it never stands whole in one place; the adapter, which is small, each
process has whole, and its gradients are averaged. transformers does both (`DistributedConfig`). accelerate's own FSDP
becomes DDP on CPUs without a word, and needs all of the model in each process first.
"""

from __future__ import annotations

from typing import Any

from trainer.launch import launch
from trainer.sections import RunConfig


def shares(config: RunConfig) -> bool:
    """Whether the base is shared out here: in the processes that train, and not in the one that scores afterwards."""
    return config.hardware.strategy == "fsdp" and launch.size() > 1


def loading(config: RunConfig) -> dict[str, Any]:
    """What `from_pretrained` is told; with hardware.offload the shares wait in the computer's memory."""
    from transformers.distributed.configuration_utils import DistributedConfig

    return {
        "distributed_config": DistributedConfig(
            fsdp_size=launch.processes(config), fsdp_cpu_offload=config.hardware.offload
        )
    }
