"""The faults of a run file that lie between its fields: pairs that cannot go together, and values that do not fit."""

from __future__ import annotations

from pydantic import BaseModel

from trainer.features import DEVICES, METHODS, OBJECTIVES, OPTIONS
from trainer.impossible_pairs import IMPOSSIBLE
from trainer.launch import launch
from trainer.method_sections import AdaLoraMethod, FullMethod, LoraMethod
from trainer.objective_sections import PAIRED, REINFORCED, DpoObjective, GrpoObjective, RewardObjective, RlooObjective
from trainer.sections import RunConfig


class Fault(BaseModel):
    """One thing wrong with a run file: where, what was found, and the way out."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def faults(config: RunConfig) -> list[Fault]:
    """Every fault between fields that are themselves in order."""
    return _impossible(config) + _between_fields(config)


def _impossible(config: RunConfig) -> list[Fault]:
    on = {feature.name: feature for feature in METHODS + OBJECTIVES + OPTIONS + DEVICES if feature.on(config)}
    return [
        Fault(
            field=on[one.second].field,
            message=f"{one.second} cannot go with {one.first} ({on[one.first].field}): {one.why}; {one.instead}",
        )
        for one in IMPOSSIBLE
        if one.first in on and one.second in on
    ]


def _between_fields(config: RunConfig) -> list[Fault]:
    faults = []
    if config.hardware.device == "cpu" and config.hardware.precision == "fp16":
        message = "a CPU does not train in fp16; set hardware.precision to auto, or hardware.device to cuda."
        faults.append(Fault(field="hardware.precision", message=message))
    if config.hardware.device == "cpu" and config.hardware.gpu is not None:
        message = f"names {config.hardware.gpu}, but hardware.device is cpu; set the device to cuda, or leave it empty."
        faults.append(Fault(field="hardware.gpu", message=message))
    if config.model.quantization == "nf4" and config.hardware.precision == "fp32":
        message = "4-bit weights are computed in bf16 or fp16; set hardware.precision to auto, or quantization to none."
        faults.append(Fault(field="model.quantization", message=message))
    every, saved = config.evaluation.every, config.schedule.checkpoint_every
    if config.schedule.patience is not None and saved % every:
        message = (
            f"the best checkpoint can only be kept where one is saved at a measurement: checkpoint_every ({saved}) has "
            f"to be a multiple of evaluation.every ({every}); or leave patience empty."
        )
        faults.append(Fault(field="schedule.patience", message=message))
    data = config.data
    if data.deidentify == "off" and data.contains_phi is not False and data.not_deidentified_because is None:
        message = (
            "rows that may hold patient data are only trained on as they are for a stated reason; give it, or mask."
        )
        faults.append(Fault(field="data.not_deidentified_because", message=message))
    if "back_translation" in data.augment and len(data.translation_models) != 2:
        message = "back_translation needs two local translation models, there and back; name their folders."
        faults.append(Fault(field="data.translation_models", message=message))
    if "paraphrase" in data.augment and data.paraphrase_model is None:
        message = "paraphrase needs a local model that rewrites sentences; name its folder."
        faults.append(Fault(field="data.paraphrase_model", message=message))
    if data.validation_share + data.test_share > 0.6:
        message = "validation and test take more than 60 % of the rows together; lower one of them."
        faults.append(Fault(field="data.test_share", message=message))
    faults += (
        _of_devices(config) + _of_method(config) + _of_attacks(config) + _of_preferences(config) + _of_rewards(config)
    )
    trained = {source.name for source in config.data.sources if not source.name.startswith("starter/")}
    for index, held_out in enumerate(config.evaluation.held_out):
        if held_out.name in trained:
            message = f"{held_out.name} is also trained on (data.sources); hold out a file of its own."
            faults.append(Fault(field=f"evaluation.held_out.{index}.name", message=message))
    if not config.data.sources and config.evaluation.held_out:
        message = "held-out sets are named but data.sources is empty; name what is trained on."
        faults.append(Fault(field="data.sources", message=message))
    return faults


def _of_method(config: RunConfig) -> list[Fault]:
    faults = []
    method, steering = config.method, config.steering
    if isinstance(method, FullMethod) and method.offload and config.hardware.device == "cpu":
        message = "there is no GPU to take the weights off (hardware.device is cpu); leave it off."
        faults.append(Fault(field="method.offload", message=message))
    if isinstance(method, FullMethod) and method.offload and config.schedule.gradient_checkpointing:
        message = "method.offload computes each layer again by itself; leave this off."
        faults.append(Fault(field="schedule.gradient_checkpointing", message=message))
    for field, on in (("mixing", steering.mixing == "dynamic"), ("ewc", steering.ewc > 0)):
        if on and not config.data.general_sources:
            message = "needs general rows, and data.general_sources is empty; name one, or leave this off."
            faults.append(Fault(field=f"steering.{field}", message=message))
    if isinstance(method, AdaLoraMethod) and method.start_rank < method.rank:
        message = f"is {method.start_rank}, below method.rank ({method.rank}), to which it falls; 1.5 x rank is usual."
        faults.append(Fault(field="method.start_rank", message=message))
    if steering.distillation and not steering.replay_share and steering.mixing == "fixed":
        message = (
            "is learnt on general rows, and steering.replay_share is 0; set that to 0.1, or leave distillation at 0."
        )
        faults.append(Fault(field="steering.distillation", message=message))
    for field, on in (
        ("gradient_surgery", steering.gradient_surgery != "off"),
        ("conflict_every", steering.conflict_every is not None),
    ):
        if on and config.hardware.precision == "fp16":
            message = "needs gradients that are not rescaled as fp16's are (hardware.precision); set precision to auto."
            faults.append(Fault(field=f"steering.{field}", message=message))
    return faults


def _of_devices(config: RunConfig) -> list[Fault]:
    """Of the GPU's kernels, and of several processes that train together."""
    hardware, accumulation, faults = config.hardware, config.schedule.accumulation, []
    for kernel in hardware.kernels:
        if hardware.device == "cpu":
            message = f"{kernel} is for a GPU, and hardware.device is cpu; leave it out."
        elif kernel == "flash_attention" and hardware.precision == "fp32":
            message = "flash_attention computes in 16 bits, and hardware.precision is fp32; leave it out, or take auto."
        elif kernel == "compile" and config.model.quantization == "nf4":
            message = "compile does not see into 4-bit layers (model.quantization is nf4); leave it out."
        else:
            continue
        faults.append(Fault(field="hardware.kernels", message=message))
    count = launch.processes(config)
    if count == 1:
        for field, on in (("strategy", hardware.strategy != "ddp"), ("offload", hardware.offload)):
            if on:
                message = (
                    "shares a model out, and one process trains (hardware.processes); take 2 or more, or leave this "
                    "at its default."
                )
                faults.append(Fault(field=f"hardware.{field}", message=message))
        return faults
    if accumulation % count:
        nearest = count * max(1, round(accumulation / count))
        message = (
            f"{accumulation} forward passes cannot be shared out to {count} processes (hardware.processes x machines); "
            f"take {nearest}."
        )
        faults.append(Fault(field="schedule.accumulation", message=message))
    if isinstance(config.method, FullMethod) and config.method.offload:
        message = (
            "is for one process (hardware.processes); leave it off, and take hardware.offload with zero2 or zero3."
        )
        faults.append(Fault(field="method.offload", message=message))
    if hardware.offload and hardware.strategy == "ddp":
        message = "is of what is shared out, and hardware.strategy is ddp; take fsdp, zero2 or zero3, or leave it off."
        faults.append(Fault(field="hardware.offload", message=message))
    if hardware.strategy in ("zero2", "zero3") and hardware.device == "cpu":
        message = f"{hardware.strategy} is DeepSpeed's, which needs GPUs (hardware.device); take ddp or fsdp."
        faults.append(Fault(field="hardware.strategy", message=message))
    if hardware.strategy in ("zero2", "zero3") and config.schedule.unfreezing_share:
        message = (
            f"DeepSpeed (hardware.strategy {hardware.strategy}) takes the layers' gradients together; leave it at 0, "
            "or take ddp or fsdp."
        )
        faults.append(Fault(field="schedule.unfreezing_share", message=message))
    if config.objective.kind == "reward" or config.objective.kind in REINFORCED:
        message = f"objective {config.objective.kind} is trained by one process (objective.kind); set this to 1."
        faults.append(Fault(field="hardware.processes", message=message))
    if config.steering.conflict_every is not None:
        message = "conflicts are measured in one process's gradients (hardware.processes); leave it empty."
        faults.append(Fault(field="steering.conflict_every", message=message))
    if hardware.strategy in ("fsdp", "zero3"):
        answers = {
            "steering.forgetting_every": config.steering.forgetting_every,
            "steering.harm_every": config.steering.harm_every,
            "evaluation.sample_prompts": config.evaluation.sample_prompts,
        }
        for field, on in answers.items():
            if on:
                message = (
                    "needs answers, and no process has the whole model "
                    f"(hardware.strategy {hardware.strategy}); leave it empty, or take ddp."
                )
                faults.append(Fault(field=field, message=message))
    if hardware.strategy == "fsdp" and not isinstance(config.method, LoraMethod):
        message = f"shares out the base under a LoRA adapter alone, not {config.method.kind}; take ddp or zero3."
        faults.append(Fault(field="hardware.strategy", message=message))
    return faults


def _of_attacks(config: RunConfig) -> list[Fault]:
    faults = []
    adversarial = config.adversarial
    if adversarial.consistency and not adversarial.perturbations:
        message = (
            "compares disturbed rows with clean ones, and none is disturbed; name adversarial.perturbations, or 0."
        )
        faults.append(Fault(field="adversarial.consistency", message=message))
    if adversarial.embedding != "off" and config.steering.conflict_every is not None:
        message = (
            "conflicts are measured on clean gradients, in steps that would not be attacked; leave it empty, or "
            "adversarial.embedding off."
        )
        faults.append(Fault(field="steering.conflict_every", message=message))
    return faults


def _of_preferences(config: RunConfig) -> list[Fault]:
    """Of runs that learn from something else than answers that are all good."""
    objective, method, faults = config.objective, config.method, []
    if objective.kind == "sft":
        return []
    if config.steering.conflict_every is not None:
        message = "takes the cross-entropy of answers apart; leave it empty, or take objective.kind sft."
        faults.append(Fault(field="steering.conflict_every", message=message))
    if objective.kind in REINFORCED:
        return faults
    known = (
        ("loss", "answer_accuracy") if objective.kind == "reward" else ("loss", "answer_accuracy", "worst_task_loss")
    )
    if config.evaluation.watch not in known:
        message = (
            f"{config.evaluation.watch} is not measured with objective {objective.kind}; take {' or '.join(known)}."
        )
        faults.append(Fault(field="evaluation.watch", message=message))
    if config.data.canaries:
        what = "pairs" if objective.kind in PAIRED else "judged answers"
        message = f"canaries are single answers, and objective {objective.kind} learns from {what}; leave it at 0."
        faults.append(Fault(field="data.canaries", message=message))
    if isinstance(objective, DpoObjective) and not objective.precompute_reference:
        pissa = isinstance(method, LoraMethod) and method.init == "pissa"
        for field, why in {
            "method.kind": "full tuning changes the only copy of it" if isinstance(method, FullMethod) else "",
            "method.start_from": "it is the adapter that the run goes on from" if method.start_from else "",
            "method.init": "pissa takes it apart" if pissa else "",
        }.items():
            if why:
                message = f"the reference cannot be asked in each step ({field}: {why}); switch this on."
                faults.append(Fault(field="objective.precompute_reference", message=message))
                break
    return faults


def _of_rewards(config: RunConfig) -> list[Fault]:
    """Of a reward model, and of runs that learn from rewards."""
    objective, method, faults = config.objective, config.method, []
    if objective.kind != "reward" and objective.kind not in REINFORCED:
        return []
    if not isinstance(method, LoraMethod):
        message = f"objective {objective.kind} trains low-rank adapters only, not {method.kind}; take method.kind lora."
        faults.append(Fault(field="method.kind", message=message))
    if isinstance(objective, RewardObjective):
        if isinstance(method, LoraMethod) and method.init != "zero":
            message = f"a reward model's adapter begins at zero, not by {method.init}; leave it at zero."
            faults.append(Fault(field="method.init", message=message))
        if method.start_from is not None:
            message = "a reward model has a head that no other run trained, so that it cannot go on; leave it empty."
            faults.append(Fault(field="method.start_from", message=message))
        silent = {
            "steering.forgetting_every": config.steering.forgetting_every,
            "steering.harm_every": config.steering.harm_every,
            "evaluation.held_out": config.evaluation.held_out,
        }
        message = "needs answers, and a reward model (objective.kind) gives none; leave it empty."
        return faults + [Fault(field=field, message=message) for field, value in silent.items() if value]
    if isinstance(objective, RlooObjective | GrpoObjective):
        if objective.reward_model is None and not objective.rewards:
            message = "nothing rates the answers; name rules here, or a run in objective.reward_model."
            faults.append(Fault(field="objective.rewards", message=message))
        batch, accumulation = config.schedule.batch_size, config.schedule.accumulation
        if batch * accumulation % objective.answers:
            message = (
                f"the {batch} x {accumulation} answers of a step (batch_size x accumulation) are no multiple of "
                f"objective.answers ({objective.answers}), which are drawn to each question; change one of them."
            )
            faults.append(Fault(field="schedule.batch_size", message=message))
        if config.schedule.patience is not None:
            message = (
                "ends a run by how likely the data's own answers are, which is not what is learnt from rewards; leave "
                "it empty."
            )
            faults.append(Fault(field="schedule.patience", message=message))
    return faults
