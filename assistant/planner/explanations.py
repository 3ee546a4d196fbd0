"""Questions to the planner: what a term means, and why a value of the plan is what it is."""

from __future__ import annotations

import re

from assistant.planner import explanations_training
from assistant.planner.advice import Plan

# Term, pattern, explanation with its source. The first that matches is meant, so the narrower stand first.
_TERMS: list[tuple[str, str, str]] = [
    (
        "QLoRA",
        r"q-?lora|4[\s-]?bits?|nf4|quanti[sz]\w*",
        "QLoRA keeps the base model in 4-bit numbers (NF4) and trains a LoRA adapter beside it: about a quarter of the "
        "memory for the weights, a little slower, hardly less accurate (lecture L1.3; Dettmers et al. 2023).",
    ),
    (
        "LoRA",
        r"lora\b|low[\s-]rank",
        "LoRA leaves the base model as it is and trains two small matrices beside each layer. Only about 0.1 to 4 % of "
        "the weights are trained, so it needs far less memory, and base and tuned model can be compared by switching "
        "the adapter off (lecture L1.2; Hu et al. 2021).",
    ),
    (
        "rank",
        r"rank|\br\b(?=\s*=|\s*\?|\s+\d|\s+mean)",
        "The rank r is the width of LoRA's small matrices: how much the adapter can learn. 4 is enough for simple "
        "classes, 8 for extraction, 16 for reports and diagnosis, 32 for reasoning or several tasks (lecture L1.9).",
    ),
    (
        "alpha",
        r"alpha",
        "Alpha scales what the adapter adds: its update is multiplied by alpha / rank. Twice the rank is the usual "
        "choice, and that of both worked recipes (lecture L3.18).",
    ),
    (
        "target modules",
        r"target[\s_]modules?|[qkvo]_proj|all-linear",
        "Target modules are the layers that get an adapter. All linear layers learn more than q_proj and v_proj alone, "
        "for a little more memory (Dettmers et al. 2023).",
    ),
    (
        "the 20 % buffer",
        r"buffer|20\s?%|fifth|kept free|headroom",
        "A fifth of the memory is kept free because a run's peak is above its average: a long row, the validation or "
        "a fragmented allocator would otherwise end it with “out of memory” (lecture L1.13).",
    ),
    (
        "gradient checkpointing",
        r"(?:gradient |activation )?checkpointing",
        "Gradient checkpointing forgets most intermediate results and computes them again when they are needed: about "
        "half the memory for a fifth more time (lecture L1.11).",
    ),
    (
        "checkpoints",
        r"checkpoints?",
        "A checkpoint is a complete copy of the run so far. A run that was stopped or killed goes on from its last.",
    ),
    (
        "learning rate",
        r"learning[\s-]rate|\blr\b",
        "The learning rate is the size of each correction. The lecture gives 1e-3 to 5e-3 for adapters (L1.6) but uses "
        "3e-4 in both worked recipes (L3.18, L3.19); the planner starts at the recipes' side for models of 1B and "
        "more, and higher for small ones.",
    ),
    (
        "warm-up",
        r"warm-?\s?up",
        "During warm-up, the first 5-10 % of the steps, the learning rate rises from zero, so that the first noisy "
        "gradients do no harm (lecture L1.6).",
    ),
    (
        "epochs",
        r"epochs?|passes",
        "An epoch is one pass over all training rows. Three are usual (lecture L3.19); small sets take more, large "
        "sets fewer, and too many make the model learn the rows by heart.",
    ),
    (
        "accumulation",
        r"accumulation|effective batch",
        "Accumulation adds up the gradients of several small batches before each step: the effect of a large batch "
        "with the memory of a small one (lecture L1.11).",
    ),
    (
        "batch size",
        r"batch(?:[\s_-]*size)?",
        "The batch size is how many rows go through the model at once. Memory grows with it in proportion (lecture "
        "L1.11).",
    ),
    (
        "maximum length",
        r"max(?:imum)?[\s_-]*length|sequence[\s-]length|tokens?|context",
        "A token is a piece of a word, about three quarters of an English one. Rows longer than the maximum length are "
        "cut, and counted; memory grows with it.",
    ),
    (
        "replay",
        r"replay|mixing|general (?:text|data|examples)",
        "Replay mixes 10-20 % general, non-medical rows into the training, so that the model does not forget what it "
        "could do before (lecture L2.8).",
    ),
    (
        "forgetting",
        r"forget(?:ting)?\b|catastrophic",
        "A model that learns something new can lose what it knew. Bedside asks it general and general medical "
        "questions before, after and where wanted during training; past 5 points lost, in absolute points of accuracy, "
        "it warns, stops, or goes back to the last checkpoint within the limit (lecture L2.9).",
    ),
    (
        "dropout",
        r"dropout",
        "Dropout switches off a random part of the adapter at each step. 0.1-0.3 helps against overfitting (lecture "
        "L1.8).",
    ),
    (
        "weight decay",
        r"weight[\s_-]decay|regulari[sz]ation",
        "Weight decay pulls trained weights a little towards zero at each step; 0.01-0.1 is usual (lecture L1.8).",
    ),
    (
        "clipping",
        r"clip\w*|max_grad_norm|gradient norm",
        "Gradients larger than a limit, usually 1.0, are scaled down, so that one odd batch cannot throw the model off "
        "(lecture L1.8).",
    ),
    (
        "early stopping",
        r"early[\s-]stop\w*|patience",
        "Early stopping ends a run once the validation loss has not fallen for 3 to 5 measurements, and keeps the "
        "best checkpoint: what comes after is learnt by heart (lecture L3.13).",
    ),
    (
        "packing",
        r"packing|packed",
        "Packing puts several short rows into one sequence, so that no padding is computed. On a CPU and "
        "with FlashAttention Bedside puts rows one behind the other so; elsewhere it batches rows of similar length, "
        "which wastes little. No row can see another in either.",
    ),
    (
        "offloading",
        r"offload\w*",
        "Offloading keeps the optimiser or the weights in the computer's memory and not the GPU's: about 70 % less, "
        "two to three times slower (lecture L1.11). Full tuning can offload everything that is trained "
        "(method.offload); QLoRA's paged optimiser offloads its states when memory is short.",
    ),
    (
        "gated models",
        r"gated|hub token|hf token|access token|licen[cs]e|token (?:for|from) (?:the )?(?:hub|hugging)",
        "A gated model is downloaded only once its maker's licence is accepted: log in to the Hugging Face Hub, accept "
        "the licence on the model's page, make a read token in your settings there, and run `hf auth login` on the "
        "machine that trains. Bedside never writes the token into a run file or a log.",
    ),
    (
        "overfitting",
        r"overfit\w*",
        "A model overfits when it learns its training rows by heart: the training loss falls on while the validation "
        "loss rises.",
    ),
    (
        "validation",
        r"validation|held[\s-]out|eval\w*",
        "Validation rows are kept back and never trained on; their loss tells whether the model has learnt or only "
        "remembered. 10-20 % are usual (lecture L3.11).",
    ),
    (
        "the base model",
        r"base model|\bbase\b",
        "The base model is the language model that the tuning starts from. It stays unchanged beside the adapter.",
    ),
    (
        "an adapter",
        r"adapters?",
        "An adapter is the small set of weights that is trained; the base model stays as it is, and the adapter can be "
        "switched on and off.",
    ),
    (
        "preference alignment",
        r"dpo|preference\w*|rlhf|kto|alignment",
        "Preference alignment learns from pairs of answers of which experts chose the better (lecture L3.4): DPO from "
        "a run that was tuned before (Rafailov et al. 2023), ORPO where there is none (Hong et al. 2024), KTO from "
        "single answers that are good or bad (Ethayarajh et al. 2024). The planner takes the one that fits the data.",
    ),
    (
        "adversarial training",
        r"adversarial|red[\s-]team\w*|robust\w*",
        "Adversarial training adds rows with typos, paraphrases and traps and the same answers, so that answers stay "
        "the same under them. It can also hold the answer to a disturbed question to that of the clean one, attack the "
        "embeddings while training, and take more rows like those that the last evaluation failed on (lecture "
        "L3.5-L3.7, L3.9).",
    ),
    (
        "supervised tuning",
        r"sft|supervised|fine[\s-]?tun\w*|instruction[\s-]tun\w*",
        "In supervised tuning the model sees questions with the answers that it should give, and learns the answers "
        "only, not the questions (lecture L2.1).",
    ),
    (
        "patient data",
        r"phi\b|patient data|de-?identif\w*|anonymi[sz]\w*|hipaa",
        "Patient data is whatever could tell who a patient is: names, dates, numbers, addresses. It must be taken out "
        "before training, because a model can repeat what it was trained on (lecture L3.20).",
    ),
    (
        "GPU memory",
        r"vram|gpu memory|\bgpus?\b|graphics card|cuda",
        "A GPU is a graphics card; training is tens of times faster on one than on a processor. Its memory (VRAM) "
        "decides how large a model can be tuned.",
    ),
    (
        "bf16",
        r"bf16|fp16|fp32|mixed precision|precision",
        "bf16 numbers take half the memory of ordinary ones, with the same range. The base is kept in bf16 where the "
        "device computes in it; adapters stay in fp32 (lecture L1.11).",
    ),
    (
        "loss",
        r"loss\b",
        "The loss says how surprised the model is by the right answer, in nats per token: lower is better, and the "
        "validation loss is the one to watch.",
    ),
    (
        "seed",
        r"seed\b",
        "The seed fixes every random choice, so that the same run file gives the same run.",
    ),
]
_COMPILED = [
    (name, re.compile(rf"(?:\b|(?=\())(?:{pattern})", re.IGNORECASE), text)
    for name, pattern, text in [*explanations_training.TERMS, *_TERMS]
]
_QUESTION = re.compile(
    r"[^.;!?\n]*?\b(?P<kind>why|what(?:'s| is| are| was| do(?:es)?)\b|explain\b|how (?:does|do|is|much is)\b"
    r"|tell me (?:about|what)|meaning of|what (?:do you|does that) mean)\b[^;!\n?]*\??",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\b(?:explain|describe)\w*\b.*\bto (?:\w+ )?(?:patients?|famil|parents|people|carers)", re.IGNORECASE
)
_WHY = re.compile(r"^\W*(?:but |so |and )?why\b", re.IGNORECASE)
_FIELD_WORDS = {"lr": "learning_rate", "learning rate": "learning_rate", "r": "rank", "batch": "batch_size"}


def answer(text: str, plan: Plan | None) -> tuple[str, str]:
    """What a message asks of the planner, answered; and the message without the question.

    ("", text) where it asks nothing that the planner can answer.
    """
    match = _QUESTION.search(text)
    if match is None or _ORDER.search(match[0]) or re.search(r"\bwhat if\b", match[0], re.IGNORECASE):
        return "", text
    asked, rest = match[0], text[: match.start()] + " " + text[match.end() :]
    if plan is not None and (found := _why(asked, plan)):
        return found, rest
    explained = next((text for _, pattern, text in _COMPILED if pattern.search(asked)), "")
    return (explained, rest) if explained else ("", text)


def _why(asked: str, plan: Plan) -> str:
    """The reason of the value that a "why" is about, in the plan's own words."""
    if not _WHY.search(asked):
        return ""
    words = asked.lower().replace("-", " ")
    found: tuple[int, str] = (0, "")
    for reason in plan.reasons:
        section, _, name = reason.field.partition(".")
        spoken = name.replace("_", " ")
        names = {spoken} | {short for short, long in _FIELD_WORDS.items() if long == name}
        names |= {section} if name in ("name", "kind") else set()
        names |= {"lora"} if reason.field == "method.kind" else set()
        names |= {str(reason.value).lower().replace("-", " ")} if isinstance(reason.value, str) else set()
        said = [one for one in names if len(one) > 1 or f"{one}=" in words]
        longest = max((len(one) for one in said if re.search(rf"\b{re.escape(one)}\b", words)), default=0)
        if longest > found[0]:  # "forgetting limit" is meant rather than "forgetting"
            found = longest, f"{reason.field} is {reason.value}: {reason.why} ({reason.source})"
    return found[1]
