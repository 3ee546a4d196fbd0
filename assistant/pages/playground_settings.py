"""How the answers are drawn: the same for both models."""

from __future__ import annotations

import gradio as gr

from assistant.pages.playground_talk import DRAWS
from evaluators.generation import Sampling


class Settings:
    """The fold with sampling settings. `values`: temperature, top-p, seed, longest answer, and how many are drawn."""

    def __init__(self) -> None:
        fields = Sampling.model_fields
        with gr.Accordion("Settings, the same for every side", open=False, elem_id="play-settings"), gr.Row():
            self.values = [
                gr.Slider(
                    0.0,
                    2.0,
                    value=fields["temperature"].default,
                    step=0.1,
                    label="Temperature",
                    info="0 takes the likeliest token",
                    elem_id="play-temperature",
                ),
                gr.Slider(
                    0.05,
                    1.0,
                    value=fields["top_p"].default,
                    step=0.05,
                    label="Top-p",
                    info="Of no effect at temperature 0",
                    elem_id="play-top-p",
                ),
                gr.Number(
                    fields["seed"].default, label="Seed", info="Same seed, same draw", precision=0, elem_id="play-seed"
                ),
                gr.Number(
                    fields["max_new_tokens"].default,
                    label="Longest answer",
                    info="In tokens",
                    precision=0,
                    elem_id="play-max",
                ),
                gr.Number(
                    1,
                    label="Answers drawn",
                    info=f"With seeds from this one on, up to {DRAWS} at once",
                    precision=0,
                    minimum=1,
                    maximum=DRAWS,
                    elem_id="play-draws",
                ),
            ]


def sampling(temperature: float, top_p: float, seed: float | None, longest: float | None) -> Sampling:
    """The settings as they were given; raises `ValueError` with a sentence where they are out of bounds."""
    try:
        return Sampling(temperature=temperature, top_p=top_p, seed=int(seed or 0), max_new_tokens=int(longest or 0))
    except ValueError:
        raise ValueError("The seed is 0 or more, and the longest answer 1 to 4096 tokens.") from None


def draws(count: float | None, drawn_by: Sampling) -> int:
    """How many answers are drawn; raises `ValueError` with a sentence where so many cannot be, or would be the same."""
    wanted = int(count or 1)
    if not 1 <= wanted <= DRAWS:
        raise ValueError(f"1 to {DRAWS} answers can be drawn at once.")
    if wanted > 1 and drawn_by.temperature == 0:
        raise ValueError("At temperature 0 every answer drawn is the same; raise it, or draw one.")
    return wanted
