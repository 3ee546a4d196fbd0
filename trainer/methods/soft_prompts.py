"""Virtual tokens before the input: prefix tuning, prompt tuning and P-tuning (lecture L1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from trainer.method_sections import PrefixMethod, PromptMethod, PTuningMethod
from trainer.methods import MethodError, groups

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def prefix(model: PreTrainedModel, method: PrefixMethod, names: list[str]) -> PeftModel:
    """Freeze the model and put trained keys and values before every layer's own, for each name a prefix.

    They begin as those of words drawn at random, read by the model itself: from random numbers it learns worse (Li &
    Liang 2021, section 7.4). With 30 on the embedded model, four sentences had a loss of 5.1 (without a prefix 4.6,
    from zeros 5.6, from PEFT's random numbers 12.2). With method.projection they come out of a small network of tanh,
    which is left behind when they are saved.
    Cost: length x 2 x layers x width of the keys, in fp32; and length more tokens to attend to in every answer.
    """
    from peft import PrefixTuningConfig
    from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values

    cache = None if method.projection else _read_words(model, method.length)
    tuned = groups.put_on(
        model,
        lambda: PrefixTuningConfig(
            task_type="CAUSAL_LM", num_virtual_tokens=method.length, prefix_projection=method.projection
        ),
        names,
    )
    for name in names if cache is not None else []:
        initialize_kv_prefix_from_past_key_values(tuned, adapter_name=name, past_key_values=cache)
    return tuned


def prompt(model: PreTrainedModel, method: PromptMethod) -> PeftModel:
    """Freeze the model and put trained embeddings before the input: method.init_text's, repeated, or random words'.

    Cost: length x width, in fp32, and length more tokens in every answer. Source: Lester et al. 2021, section 2.
    """
    from peft import PromptTuningConfig

    text = method.init_text
    settings = PromptTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=method.length,
        prompt_tuning_init="SAMPLE_VOCAB" if text is None else "TEXT",
        prompt_tuning_init_text=text,
        tokenizer_name_or_path=None if text is None else model.name_or_path,
    )
    return groups.put_on(model, lambda: settings, [groups.SINGLE])


def p_tuning(model: PreTrainedModel, method: PTuningMethod) -> PeftModel:
    """Freeze the model and put embeddings before the input that a small network makes, which is not saved.

    Cost while training: length x width and a network of three layers, in fp32. Source: Liu et al. 2021.
    """
    from peft import PromptEncoderConfig

    settings = PromptEncoderConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=method.length, encoder_hidden_size=method.encoder_width
    )
    return groups.put_on(model, lambda: settings, [groups.SINGLE])


def compose(model: PeftModel, names: list[str], new_name: str) -> None:
    """Add the prefix `new_name`, which is those of `names` one after the other; it is not trained (lecture L1.4).

    As the keys of a prefix have no places of their own, the order makes no difference; the input's places move on by
    the sum of the lengths. Raises `MethodError` where one is not a prefix of this model, or the new name is taken.
    """
    from peft import PrefixTuningConfig

    if new_name in model.peft_config:
        raise MethodError(f"{new_name}: there is a prefix of this name already; take another one.")
    for name in names:
        if not isinstance(model.peft_config.get(name), PrefixTuningConfig):
            raise MethodError(f"{name}: is no prefix of this model; it has {', '.join(model.peft_config)}.")
    together = torch.cat([_keys_and_values(model, name) for name in names])
    settings = PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=len(together), inference_mode=True)
    model.add_adapter(new_name, settings)
    encoder: Any = model.prompt_encoder[new_name]
    encoder.load_prompt_embeddings(together)
    encoder.requires_grad_(False)


def _keys_and_values(model: PeftModel, name: str) -> torch.Tensor:
    """(length, 2 x layers x width) of one prefix, as PEFT lays them out."""
    if model.peft_config[name].inference_mode:
        # Loaded: the network that a projection had is gone.
        return model.prompt_encoder[name].embedding.weight.detach().cpu()  # pyright: ignore
    return model.get_prompt_embedding_to_save(name)


def _read_words(model: PreTrainedModel, length: int) -> Any:
    words = torch.randint(0, model.config.get_text_config().vocab_size, (1, length), device=model.device)
    with torch.no_grad():
        return model(input_ids=words, use_cache=True, logits_to_keep=1).past_key_values
