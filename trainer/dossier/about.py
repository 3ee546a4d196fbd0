"""The dossier's first parts: the model in short, what it is meant for, and what it is not meant for."""

from __future__ import annotations

from trainer.dossier.evidence import Evidence
from trainer.dossier.markdown import bullets, joined, plain, table
from trainer.evaluation.words import headline, named, setbacks
from trainer.method_names import method_name, method_size
from trainer.objective_names import objective_name

CAUTION = (
    "Research software and a research model, not a medical device. Nobody has approved this model. A clinician checks "
    "every answer before anything follows from it."
)


def in_short(found: Evidence) -> str:
    """Which model it is, what its evidence says in a few lines, and what is missing."""
    run, report, config = found.run, found.report, found.run.config
    trained = [method_name(config), method_size(config)]
    if report:
        trained.append(f"{100 * report.trainable_share:.2f} % of the parameters")
    facts = [
        ("Model", str(found.ref)),
        ("Versions", ", ".join(f"{one.line} {one.number}" for one in found.versions) or "none registered"),
        ("In use as", ", ".join(found.in_use) or "nothing"),
        ("Base model", config.model.name + (f" ({report.model_origin})" if report else "")),
        ("Tuned with", ", ".join(part for part in trained if part)),
        ("What was minimised", objective_name(config.objective.kind)),
        ("State of the run", run.status.state + (f"; ended early: {report.ended}" if report and report.ended else "")),
        ("Release gates", found.measured.decision if found.measured and found.measured.gates else "nothing evaluated"),
        ("Evidence (SHA-256)", found.sha256),
    ]
    said = [headline(found.measured)] if found.measured else []
    for suite in found.measured.suites if found.measured else []:
        if worse := setbacks(suite):
            said.append(f"But worse in {named(suite)}: {'; '.join(worse)}.")
    missing = bullets(f"{plain(one.what)} {one.how}" for one in found.missing.values())
    return joined(
        f"**{CAUTION}**",
        table(["", ""], facts),
        plain(" ".join(said)),
        f"What is missing, and how to get it:\n\n{missing}" if missing else "No part is without its evidence.",
    )


def intended_use(found: Evidence) -> str:
    """What the run file says that it is for. The one who releases it has to say the rest."""
    task = found.run.config.task
    tasks = [name.replace("_", " ") for name in (task.name, *task.other_tasks)]
    facts = [
        ("Tasks it was tuned for", ", ".join(tasks)),
        ("Specialty", (task.specialty or "none named").replace("_", " ")),
        ("System prompt, in training and in use", task.system_prompt),
        ("Who asks", "Clinicians who can judge the answer and check it. To be confirmed by a named person."),
        ("What an answer is used for", "A draft or a hint. To be confirmed by a named person."),
    ]
    return joined(
        "As the run file has it. Who uses the model, for which patients and in which workflow is not in the run file: "
        "the person who releases it states and signs that.",
        table(["", ""], facts),
    )


def out_of_scope(found: Evidence) -> str:
    """Uses that nothing here supports."""
    task = found.run.config.task
    served = {task.name, *task.other_tasks}
    lines = [
        "Any decision about a patient without a clinician who checks the answer.",
        "Emergencies, and any use in which waiting for that check harms.",
        "Tasks that it was not tuned for and not measured on.",
        f"Specialties other than {plain(task.specialty.replace('_', ' '))}."
        if task.specialty
        else "Specialties that its training data do not have (see *Subgroups* for those that were measured).",
        "Languages other than those of its training data.",
        "Patients below or above the ages, and conditions, that its data do not cover: none of it was looked at here "
        "unless *Subgroups* names it.",
        "Facts that are newer than its training data and its base model.",
    ]
    if "patient_education" not in served:
        lines.insert(2, "Answers that go to patients without a clinician in between.")
    if found.run.config.data.canaries:
        lines.append("Release: this run has planted records among its training rows, and was a trial.")
    return bullets(lines)
