"""Several adapters of one kind in one model, one for each task or specialty, and which of them acts (L1.4, L1.5, L2.6).

Switching is PEFT's, which also switches `requires_grad`; here it leaves that alone, so that one optimiser holds the
adapters of all groups.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from trainer.methods import MethodError
from trainer.methods.answering import same_gradients

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel

SINGLE = "default"
"""Name of the adapter where there is one for all rows; PEFT's own."""
BENEATH = "below_"
"""Frozen bottleneck adapters beneath a trained one are named so; nobody chooses them by themselves."""


def adapter_names(per: Literal["run", "task", "specialty"], groups: list[str]) -> dict[str, str]:
    """Each group's adapter, by the group's name; in a run with one for all, that one under its own name.

    A name is the kind of group and what is left of its own where only letters, digits and _ are: it becomes a folder
    and a part of parameters' names. Raises `MethodError` where there has to be a group and there is none.
    """
    if per == "run":
        return {SINGLE: SINGLE}
    if not groups:
        raise MethodError(f"method.per: no row's {per} is known; give it in the data, or set method.per to run.")
    names: dict[str, str] = {}
    for group in groups:
        plain = name = f"{per}_{re.sub(r'[^a-z0-9]+', '_', group.lower()).strip('_')}".rstrip("_")
        number = 2
        while name in names.values():
            name, number = f"{plain}_{number}", number + 1
        names[group] = name
    return names


def put_on(model: PreTrainedModel, settings: Callable[[], PeftConfig], names: list[str]) -> PeftModel:
    """Freeze the model and put one adapter with these settings on it for each name; all train, the first is active."""
    from peft import PeftModel, get_peft_model

    tuned = get_peft_model(model, settings(), adapter_name=names[0])
    assert isinstance(tuned, PeftModel)
    for name in names[1:]:
        tuned.add_adapter(name, settings())
    if not tuned.active_peft_config.is_prompt_learning:
        tuned.set_adapter(names[0])  # adding one makes it active in some kinds' layers
        tuned.set_requires_grad(names)
    return tuned


def activate(model: PeftModel, name: str) -> None:
    """Make one adapter act, and leave as it is what is trained.

    Raises `ValueError` where there is none of that name.
    """
    with same_gradients(model):
        model.set_adapter(name)
