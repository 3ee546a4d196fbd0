"""DeepSpeed's ZeRO: its configuration, from a run file (Rajbhandari et al. 2020; lecture L1.12).

ZeRO-2 shares out gradients and the optimiser's states, ZeRO-3 the weights as well. DeepSpeed is no dependency: wherever
it is installed accelerate imports it in every run. Install it where it is wanted (`pip install deepspeed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from trainer.launch import launch
from trainer.sections import RunConfig

if TYPE_CHECKING:
    import torch

STAGES = {"zero2": 2, "zero3": 3}
BUCKET = 50_000_000
"""Numbers that are sent together; a bucket of each process stands beside its share (DeepSpeed's own 5e8: 2 GB)."""
LIVE = 100_000_000
"""ZeRO-3: numbers that a process keeps whole beyond the layer that it computes (DeepSpeed's own 1e9: 2 GB)."""


def uses(config: RunConfig) -> bool:
    """Whether DeepSpeed trains this run."""
    return config.hardware.strategy in STAGES


def arguments(config: RunConfig, bf16: bool) -> dict[str, Any]:
    """What transformers' trainer is told; `bf16` as it is told elsewhere."""
    return {"deepspeed": settings(config) | {"bf16": {"enabled": bf16}}} if uses(config) else {}


def loading(config: RunConfig) -> dict[str, Any]:
    """What `from_pretrained` is told where ZeRO-3 trains: weights are shared out as they are read.

    transformers does so while a configuration of ZeRO-3 is alive, which is kept here for as long as the process.
    """
    from deepspeed import init_distributed  # pyright: ignore
    from transformers.integrations.deepspeed import HfDeepSpeedConfig

    init_distributed(auto_mpi_discovery=False)  # it takes over the processes that have met, or counts one alone
    _alive.append(HfDeepSpeedConfig(settings(config)))
    return {}


_alive: list[Any] = []


def forget() -> None:
    """From here on models are loaded whole again, by the one process that goes on."""
    if _alive:
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        _alive.clear()
        unset_hf_deepspeed_config()


def is_share(parameter: torch.Tensor) -> bool:
    """Whether a parameter is one that ZeRO-3 has taken into shares."""
    return hasattr(parameter, "ds_id")


@contextmanager
def whole(parameters: Iterable[torch.Tensor], written: bool = False) -> Iterator[None]:
    """Within it the parameters that ZeRO-3 shares out are whole, in every process, which all have to come here.

    `written`: what the main process writes to them is shared out again afterwards.
    """
    shares = [one for one in parameters if is_share(one)]
    if not shares:
        yield
        return
    from deepspeed.runtime.zero.partition_parameters import (  # pyright: ignore[reportMissingImports]
        GatheredParameters,
    )

    with GatheredParameters(shares, modifier_rank=0 if written else None):
        yield


def settings(config: RunConfig) -> dict[str, Any]:
    """DeepSpeed's configuration. Its batch is what a step learns from: rows of a forward pass x passes x processes."""
    schedule, stage = config.schedule, STAGES[config.hardware.strategy]
    zero: dict[str, Any] = {
        "stage": stage,
        "overlap_comm": True,
        "contiguous_gradients": True,
        "reduce_bucket_size": BUCKET,
        "allgather_bucket_size": BUCKET,
    }
    if stage == 3:
        zero.pop("allgather_bucket_size")
        zero |= {
            "stage3_prefetch_bucket_size": BUCKET,
            "stage3_max_live_parameters": LIVE,
            "stage3_max_reuse_distance": LIVE,
            # Nothing stays whole: DeepSpeed would gather a bf16 base and fp32 adapters into one buffer, and fail.
            "stage3_param_persistence_threshold": 0,
            "stage3_gather_16bit_weights_on_model_save": False,
        }
    if config.hardware.offload:
        waiting = {"device": "cpu", "pin_memory": config.hardware.device == "cuda"}
        zero["offload_optimizer"] = waiting
        if stage == 3:
            zero["offload_param"] = waiting
    whole = config.method.kind == "full"
    return {
        "train_batch_size": schedule.batch_size * launch.accumulation(config) * launch.processes(config),
        "train_micro_batch_size_per_gpu": schedule.batch_size,
        "gradient_accumulation_steps": launch.accumulation(config),
        "gradient_clipping": schedule.max_grad_norm,
        "zero_optimization": zero,
        # The run's own AdamW, with its groups of rates, also where its states wait in the computer's memory.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "bf16": {"enabled": whole and config.hardware.device == "cuda" and config.hardware.precision != "fp32"},
        "steps_per_print": 1_000_000,
        "wall_clock_breakdown": False,
    }
