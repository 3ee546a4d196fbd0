"""What the ways of tuning are, and what acts while a run trains, in a sentence or two with the source."""

from __future__ import annotations

# Term, pattern, explanation with its source. The first that matches is meant, so the narrower stand first.
TERMS: list[tuple[str, str, str]] = [
    (
        "rank search",
        r"rank[\s-]search|(?:find|search)\w* (?:for )?the rank",
        "The rank search trains short trials before the run, from rank 8: it doubles on an early plateau, halves on "
        "overfitting, and stops by itself; the gap between training and validation loss is kept as evidence (lecture "
        "L1.10).",
    ),
    (
        "rsLoRA",
        r"rs-?lora|rank[\s-]stabili[sz]\w*",
        "rsLoRA multiplies the update by alpha / sqrt(rank) and not by alpha / rank, so that high ranks go on learning "
        "(Kalajdzievski 2023).",
    ),
    (
        "AdaLoRA",
        r"ada-?lora",
        "AdaLoRA begins with a higher rank everywhere and takes it away from the matrices that need it least, down to "
        "a mean that is set (Zhang et al. 2023).",
    ),
    (
        "LoRA+",
        r"lora\s?\+|lora plus",
        "LoRA+ gives LoRA's second matrix, which begins at zero, a higher rate than the first, 16 times as a rule "
        "(Hayou et al. 2024).",
    ),
    (
        "DoRA",
        r"dora\b",
        "DoRA trains the length of each of a layer's columns apart from its direction: somewhat closer to full tuning, "
        "and slower (Liu et al. 2024).",
    ),
    (
        "PiSSA and EVA",
        r"pissa|eva init\w*|(?-i:EVA)\b",
        "PiSSA and EVA are other beginnings for LoRA's matrices: from the largest directions of the weights (Meng et "
        "al. 2024), or from those of the training rows' activations (Paischer et al. 2024).",
    ),
    (
        "full tuning",
        r"full(?:y)?[\s-](?:parameter |model )?(?:fine[\s-]?)?tun\w*",
        "Full tuning trains every weight, at 1e-5 to 5e-5: about 16 bytes of memory a weight, 112 GB for 7 billion, "
        "and more forgetting than an adapter (lecture L1.1).",
    ),
    (
        "prefix tuning",
        r"prefix\w*(?: tun\w*)?",
        "Prefix tuning trains keys and values that stand before those of every layer, 20-50 of them as a rule. "
        "Prefixes can belong to a task or a specialty and be put together when a question is asked (lecture L1.4; Li & "
        "Liang 2021).",
    ),
    (
        "P-tuning",
        r"p[\s-]tuning",
        "P-tuning trains virtual tokens before the input by way of a small network, which makes them steadier (Liu et "
        "al. 2021).",
    ),
    (
        "prompt tuning",
        r"prompt[\s-]tuning|soft[\s-]prompts?|virtual tokens?",
        "Prompt tuning trains nothing but the embeddings of some virtual tokens before the input: very few numbers, "
        "which learn slowly (Lester et al. 2021).",
    ),
    (
        "IA3",
        r"ia\s?\^?3|\(ia\)",
        "IA3 trains factors that make keys, values and the MLP's inner activations larger or smaller: a few "
        "hundredths of a percent of the weights (Liu et al. 2022).",
    ),
    (
        "layer norm tuning",
        r"(?:layer[\s-]?norms?|ln)(?:[\s-]tuning)?",
        "Layer norm tuning trains the scales of the norms alone (Zhao et al. 2024). One set for each task is a "
        "decoder's counterpart of task-specific batch norm, since decoders have no batch norm (lecture L2.6).",
    ),
    (
        "bottleneck adapters",
        r"(?:bottleneck|parallel|sequential|stacked) adapters?|bottleneck|adapter (?:layers?|modules?)",
        "Bottleneck adapters are small layers in every block, down to 64-512 numbers, ReLU, and up again: after "
        "attention and MLP (sequential) or beside them (parallel). There can be one for each task, and they can be "
        "stacked (lecture L1.5; Houlsby et al. 2019).",
    ),
    (
        "layer-wise rates",
        r"layer[\s-]?wise|discriminative",
        "With layer-wise rates the bottom layers, which hold general language, move slower than the top ones, 1 : 10 "
        "as a rule (lecture L1.7).",
    ),
    (
        "gradual unfreezing",
        r"unfreez\w*",
        "With gradual unfreezing the layers join in one after the other, the top ones first (lecture L1.7).",
    ),
    (
        "NEFTune",
        r"nef-?tune",
        "NEFTune adds noise to the input embeddings while training. It regularises; it is no defence against attacks "
        "(Jain et al. 2023).",
    ),
    (
        "mixup",
        r"mix-?up",
        "Mixup trains on blends of two rows' embeddings with blended losses, which smooths what is learnt from few "
        "rows (lecture L3.9).",
    ),
    (
        "curriculum",
        r"curriculum",
        "A curriculum begins with facts and goes on to concepts, reasoning and clinical judgement, with a share of the "
        "earlier rows carried over. The next level begins after its steps, or when the validation loss no longer falls "
        "(lecture L2.7).",
    ),
    (
        "gradient surgery",
        r"pc-?grad|up-?grad|gradient surgery|gradient conflicts?|conflict\w*",
        "Two tasks conflict where their gradients point away from each other. Gradient surgery takes the conflicting "
        "part out: PCGrad (Yu et al. 2020) or UPGrad (Quinton & Rey 2024) (lecture L2.6).",
    ),
    (
        "task weights",
        r"task[\s-]weights?|uncertainty weight\w*|inverse[\s-]loss",
        "Task weights say how much each task counts in the loss: all the same, by the inverse of its loss, by an "
        "uncertainty that is learnt (Kendall et al. 2018), or more for those that learn slowly (Liu et al. 2019) "
        "(lecture L2.5).",
    ),
    (
        "EWC",
        r"ewc|elastic weight|fisher",
        "EWC holds back the weights that matter for general text, by how strongly the Fisher information says they "
        "do; under LoRA it is the change scale x BA that is held back (lecture L2.8; Kirkpatrick et al. 2017).",
    ),
    (
        "L2-SP",
        r"l2[\s-]?sp",
        "L2-SP pulls every weight back towards where it began, all with the same strength (lecture L2.8; Li et al. "
        "2018).",
    ),
    (
        "distillation",
        r"distil\w*",
        "Distillation keeps the answers to general rows near those of the untouched base, which is the same model with "
        "the adapter off, so no second copy is held (lecture L2.8; Li & Hoiem 2017).",
    ),
    (
        "dynamic mixing",
        r"dynamic\w* mix\w*",
        "Dynamic mixing begins with half general rows and lowers their share, as long as the loss on general rows does "
        "not rise (lecture L2.11).",
    ),
    (
        "folds",
        r"k-?folds?|\bfolds?\b|cross[\s-]?validat\w*|leave[\s-]one[\s-]out",
        "With folds the model is trained several times, each time without some rows that it is then measured on, and "
        "the spread is told. Leave-one-out holds back one row at a time (lecture L3.3: for 5-100 rows).",
    ),
    (
        "meta-learning",
        r"reptile|meta[\s-]?learn\w*",
        "Reptile looks for a start that is near the solutions of all tasks, so that few examples are enough afterwards "
        "(lecture L3.3; Nichol et al. 2018).",
    ),
    (
        "FGM and FreeLB",
        r"fgm|fast gradient\w*|free-?\s?lb|embedding attacks?|attacks? on (?:the )?embeddings",
        "FGM and FreeLB train under attack: the embeddings of the question are moved in the direction that raises the "
        "loss most, and the answer is learnt there too. FGM takes one step and two passes (Miyato et al. 2017), FreeLB "
        "several of each (Zhu et al. 2020). Epsilon is how far, as a share of the embeddings' norm (lecture L3.6).",
    ),
    (
        "the consistency loss",
        r"consistency(?: (?:loss|term|training|regulari[sz]\w+))?",
        "The consistency loss holds what is said to a disturbed question to what is said to the clean one, word by "
        "word of the answer; it needs rows that are disturbed (as Miyato et al. 2018; lecture L3.7).",
    ),
    (
        "hard cases",
        r"hard[\s-]cases?(?: mining)?|hard[\s-]example mining",
        "Hard cases are questions that the last evaluation failed on. Training rows like them, never they themselves, "
        "come up to four times (lecture L3.7).",
    ),
    (
        "the harm monitor",
        r"harm\w*|unsafe answers?",
        "The harm monitor puts a fixed set of harmful requests to the model now and then and screens the answers by "
        "rules; past its limit it warns, or ends the run (lecture L3.15).",
    ),
    (
        "trackers",
        r"tensorboard|wandb|trackio|trackers?",
        "TensorBoard's files are always written into the run folder. W&B and trackio can be chosen beside it; both "
        "stay offline, and get numbers only.",
    ),
]
