"""Two models that answer the same question: a tuned model, a base or a checkpoint, of one run or of two.

Where both rest on the same base and are plain LoRA or bottleneck adapters of it (or that base itself), one copy of the
base answers for both in one batch. Otherwise they take turns, token by token.

What is compared is the models, so both are asked with the same system prompt: that of the second model's run, which is
the one on trial. A base was trained on none; where the second is a base, it is that of the first's run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evaluators import generation
from evaluators.generation import BASE, PROMPTED, Answer, Sampling, stream, stream_alone
from evaluators.held_out import Item, with_examples
from trainer import expected_memory, models, room, runs, scoring
from trainer.data.rows import Message
from trainer.data.sources import STARTER_PREFIX
from trainer.data.tokens import conversation
from trainer.duration import Range
from trainer.errors import ModelError
from trainer.methods import MethodError, saved
from trainer.model_refs import BASE as BASE_PART
from trainer.model_refs import TUNED, ModelRef
from trainer.quick_weights import quick_weights
from trainer.room import Held
from trainer.runs import Run
from trainer.tuned import Tuned, adapter_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from evaluators.quick_decoding import QuickWeights

Answers = dict[str, Answer]
TURNS = "These two cannot share one batch: they take turns, token by token."


@dataclass
class Half:
    """One of the two. `adapters`: the names of what its run trained, and what each is called within `model`.

    `quick`: what answers sooner than `model` does, where there is such a thing (`evaluators.quick_decoding`).
    """

    ref: ModelRef
    run: Run
    model: Any
    tokenizer: PreTrainedTokenizerBase
    adapters: dict[str, str] = field(default_factory=dict)
    quick: QuickWeights | None = None

    @property
    def tuned(self) -> bool:
        """Whether it answers with its adapter on (`evaluators.sides.side`)."""
        return not self.ref.is_base

    def names(self, chosen: Sequence[str]) -> list[str]:
        """What the chosen adapters are called in the model; the first where none is chosen, none for a base.

        Raises `ModelError` for one that there is not.
        """
        if unknown := [name for name in chosen if name not in self.adapters]:
            known = ", ".join(self.adapters) or "none"
            raise ModelError(f"There is no adapter {unknown[0]!r} in {self.ref}; it has {known}.")
        return [self.adapters[name] for name in chosen] or list(self.adapters.values())[:1]

    def switch(self, chosen: Sequence[str] = ()) -> None:
        """Let the chosen adapters answer from now on, one or several together.

        Raises `ModelError` for one that there is not, and for kinds that cannot be put together.
        """
        if names := self.names(chosen):
            try:
                saved.choose(self.model, names)
            except MethodError as error:
                raise ModelError(str(error)) from None


class Pairing:
    """Two loaded models. Not safe for two questions at once: callers take turns."""

    def __init__(self, first: Half, second: Half, together: bool, held: Held | None = None):
        self.held = held
        """Its place in memory, as jobs on the same device know it."""
        self.halves = {"first": first, "second": second}
        self.together = together
        """Whether both can answer in one batch; else they take turns, token by token."""
        self._leads = first if second.ref.is_base else second
        self.system = self._leads.run.config.task.system_prompt
        """The system prompt that both are asked with; see the module."""

    def move(self, device: str) -> None:
        """Answer there from now on."""
        for half in self.halves.values():
            half.model.to(device)
            half.quick = None

    def close(self) -> None:
        """Give its memory back now, even where an answer was left in the middle; it answers nothing more."""
        for half in self.halves.values():
            for tensor in (*half.model.parameters(), *half.model.buffers()):
                tensor.data = tensor.data.new_empty(0)
        for quick in {half.quick for half in self.halves.values() if half.quick}:
            quick.close()
        for half in self.halves.values():
            half.quick = None
        if self.held:
            self.held.close()

    @property
    def remarks(self) -> list[str]:
        """What has to be said of this comparison, in sentences that do not tell which side is which."""
        found = [] if self.together else [TURNS]
        trained = [half for half in self.halves.values() if not half.ref.is_base]
        if any(half.run.config.task.system_prompt != self.system for half in trained):
            found.append(f"They were trained with different system prompts; both are asked with: “{self.system}”.")
        return found

    @property
    def can_prompt(self) -> bool:
        """Whether one of the two is a base that can be shown examples of what the other was trained on."""
        return any(half.ref.is_base for half in self.halves.values()) and bool(_first_set(self._leads.run))

    def ask(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        second_messages: Sequence[Message] | None = None,
        prompted: bool = False,
        adapters: Mapping[str, Sequence[str]] | None = None,
    ) -> Iterator[Answers]:
        """Answers so far after every token, under `first` and `second`, and with `prompted` under `PROMPTED`.

        `messages`: the conversation up to the question; `second_messages` where the second has one of its own, since
        in a longer conversation each goes on from what it said itself. `adapters`: which of its adapters answer for
        `first` and `second`, where a run has several. The prompted base (two worked examples from the training data in
        its prompt) has a longer prompt and takes turns with the others. Close the iterator to stop. Raises `ModelError`
        for an adapter that there is not, and where `prompted` is not `can_prompt`.
        """
        others = self._prompted(messages, sampling) if prompted else iter(())
        pairs = self.draws(messages, sampling, [sampling.seed], second_messages, adapters)
        last: Answers = {}
        while True:
            pair, other = next(pairs, None), next(others, None)
            if pair is None and other is None:
                return
            last |= (pair[0] if pair else {}) | ({PROMPTED: other[0]} if other else {})
            yield dict(last)

    def draws(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        seeds: Sequence[int],
        second_messages: Sequence[Message] | None = None,
        adapters: Mapping[str, Sequence[str]] | None = None,
    ) -> Iterator[list[Answers]]:
        """As `ask`, once for each seed at the same time: a `first` and a `second` for each, in the order of `seeds`."""
        asked = {
            "first": conversation(list(messages), self.system),
            "second": conversation(list(second_messages or messages), self.system),
        }
        chosen = {name: list((adapters or {}).get(name, ())) for name in self.halves}
        names = {name: half.names(chosen[name]) for name, half in self.halves.items()}
        if self.together and all(len(one) <= 1 for one in names.values()):
            first = self.halves["first"]
            rows = [one[0] if one else BASE for one in names.values()]
            of_rows = [seed for seed in seeds for _ in rows]
            count = len(seeds)
            batch = stream(
                first.model,
                first.tokenizer,
                list(asked.values()) * count,
                rows * count,
                sampling,
                of_rows,
                first.quick,
            )
            for answers in batch:
                yield [dict(zip(asked, answers[at : at + 2], strict=True)) for at in range(0, len(answers), 2)]
            return
        streams = {
            name: stream_alone(half.model, half.tokenizer, asked[name], half.tuned, sampling, seeds, half.quick)
            for name, half in self.halves.items()
        }
        last: dict[str, list[Answer]] = {}
        while streams:
            for name, answers in list(streams.items()):
                self.halves[name].switch(chosen[name])
                step = next(answers, None)
                if step is None:
                    del streams[name]
                else:
                    last[name] = step
            if streams:
                yield [{name: last[name][at] for name in self.halves} for at in range(len(seeds))]

    def answer_all(
        self,
        conversations: Sequence[Sequence[Message]],
        max_new_tokens: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> list[tuple[str, str]]:
        """Both models' greedy answers to many conversations (without system prompt), in their order.

        `progress` hears how many of twice as many answers as there are conversations are done.
        """
        asked = [conversation(list(one), self.system) for one in conversations]
        found: list[list[str]] = []
        for half in self.halves.values():
            before = len(found) * len(asked)
            half.switch()
            found.append(
                generation.answer_all(
                    half.model,
                    half.tokenizer,
                    asked,
                    max_new_tokens,
                    half.tuned,
                    lambda done, before=before: progress(before + done, 2 * len(asked)),
                )
            )
        return list(zip(*found, strict=True))

    def _prompted(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[list[Answer]]:
        base = next((half for half in self.halves.values() if half.ref.is_base), None)
        if base is None:
            raise ModelError("Examples can be shown to a base, of what the other model was trained on; choose a base.")
        if not _first_set(self._leads.run):
            raise ModelError(f"{self._leads.run.id} names no data that examples could be taken from.")
        # Of the set that comes first in the run: what somebody would paste in before they tried to tune.
        examples = scoring.worked_examples(self._leads.run.config, _first_set(self._leads.run))
        asked = with_examples(Item(prompt=conversation(list(messages), self.system), reference=""), examples)
        return stream_alone(base.model, base.tokenizer, asked, False, sampling, quick=base.quick)


def load(first: ModelRef, second: ModelRef) -> Pairing:
    """Load both models (a second or two for the embedded one; a checkpoint takes about twice that).

    On a CPU with memory to spare their weights are held a second time, as it reads them fastest.

    Raises `RunError` and `ModelError` where one of them is not there, cannot be had, or gives no answers, and
    `NoRoomError` where they do not fit beside a job that is at work.
    """
    found = [(ref, runs.get(ref.run)) for ref in (first, second)]
    can_mix = _can_mix(found)
    with room.loading(_needs(found, can_mix)) as held:
        try:
            if can_mix:
                halves = _on_one_base(found)
            elif first.run == second.run and (first.is_base or second.is_base):
                halves = _of_one_run(found)
            else:
                loaded = {ref: _alone(ref, run) for ref, run in found}
                halves = [loaded[ref] for ref, _ in found]
        except MethodError as error:
            raise ModelError(str(error)) from None
        quick = {}
        for half in halves:
            if id(half.model) not in quick:
                quick[id(half.model)] = quick_weights(half.model)
            half.quick = quick[id(half.model)]
    return Pairing(*halves, together=can_mix, held=held)


def _needs(found: list[tuple[ModelRef, Run]], can_mix: bool) -> dict[str, Range | None]:
    """By device, what the two take while they answer."""
    (first, one), (second, two) = found
    whole = any(run.config.method.kind == "full" and not ref.is_base for ref, run in found)
    if can_mix or first == second or (one.id == two.id and (first.is_base or second.is_base) and not whole):
        # A checkpoint's base is loaded a second time while it is read.
        copies = 1 if {first.part, second.part} <= {BASE_PART, TUNED} else 2
        return {room.device_of(one.config): expected_memory.answering_gib(one.config, copies=copies)}
    needs: dict[str, Range | None] = {}
    for _, run in found:
        device, needed = room.device_of(run.config), expected_memory.answering_gib(run.config, rows=1)
        before = needs.get(device, Range(low=0.0, high=0.0))
        if before is None or needed is None:
            needs[device] = None
        else:
            needs[device] = Range(low=before.low + needed.low, high=before.high + needed.high)
    return needs


def _can_mix(found: list[tuple[ModelRef, Run]]) -> bool:
    adapted = [run for ref, run in found if not ref.is_base]
    if not adapted or not all(run.weights and saved.can_mix(run.adapter) for run in adapted):
        return False
    if len({run.config.method.kind for run in adapted}) > 1:
        return False
    (_, one), (_, two) = found
    return one.id == two.id or _base_key(one) == _base_key(two)


def _base_key(run: Run) -> tuple[str, str, str, str]:
    config = run.config
    dtype = models.resolve_dtype(config.hardware.precision, config.hardware.device)
    weights = models.find(config.model.name).weights_sha256
    return weights, config.model.quantization, str(dtype), config.hardware.device


def _on_one_base(found: list[tuple[ModelRef, Run]]) -> list[Half]:
    model: Any
    model, tokenizer, _ = models.load_base(found[0][1].config)
    adapters: dict[ModelRef, dict[str, str]] = {ref: {} for ref, _ in found if ref.is_base}
    for ref, run in found:
        if ref in adapters:
            continue
        with adapter_folder(run, ref.part) as folder:
            if not any(adapters.values()):
                model = saved.load(model, folder)
                adapters[ref] = {name: name for name in saved.names(folder)}
            else:
                adapters[ref] = saved.add(model, folder, "second_")
    return [Half(ref, run, model, tokenizer, adapters[ref]) for ref, run in found]


def _of_one_run(found: list[tuple[ModelRef, Run]]) -> list[Half]:
    """A tuned model and its own base, from one copy of the weights unless the whole model was tuned."""
    run = found[0][1]
    part = next((ref.part for ref, _ in found if not ref.is_base), None)
    if part is None:
        half = _alone(found[0][0], run)
        return [half, half]
    tuned = Tuned(run, both=True, part=part)
    names = {name: name for name in tuned.adapters}
    return [
        Half(ref, run, tuned.side(not ref.is_base), tuned.tokenizer, {} if ref.is_base else names) for ref, run in found
    ]


def _alone(ref: ModelRef, run: Run) -> Half:
    if ref.is_base:
        model, tokenizer, _ = models.load_base(run.config)
        return Half(ref, run, model.eval(), tokenizer)
    tuned = Tuned(run, part=ref.part)
    return Half(ref, run, tuned.side(tuned=True), tuned.tokenizer, {name: name for name in tuned.adapters})


def _first_set(run: Run) -> str:
    """The set that the run names first, a starter set where it was scored on one; empty where it names none."""
    held_out = [one.name for one in run.config.evaluation.held_out if one.name.startswith(STARTER_PREFIX)]
    return next(iter(held_out or [one.name for one in run.config.data.sources]), "")
