"""Regulatory notes (lecture L3.16) as questions to answer, each with what this dossier has on it. No claims.

Sources: FDA, IMDRF N12 and N41 on SaMD; section 520(o)(1)(E) FD&C Act; the ten principles of good machine learning
practice (FDA, Health Canada, MHRA 2021); 45 CFR 164.502 and 164.514; Regulation (EU) 2017/745, Annexes I, VIII (Rule
11) and XIV; Regulation (EU) 2024/1689; Regulation (EU) 2016/679.
"""

from __future__ import annotations

from trainer.dossier.markdown import joined, table

_DATA, _SPLIT, _GATES, _RISKS = "Data", "Split and leakage", "Release gates", "Risk register"
QUESTIONS: dict[str, list[tuple[str, str]]] = {
    "FDA: software as a medical device (SaMD)": [
        ("Is it meant to diagnose, treat, mitigate or prevent disease, by what its maker says of it?", "Intended use"),
        (
            "If it only supports a clinician: are all four conditions of section 520(o)(1)(E) met, above all that the "
            "clinician can review the basis of each answer by themselves?",
            "Interpretability",
        ),
        ("Which IMDRF category is it: how serious the condition, how much the answer decides?", "Intended use"),
        ("Which way to the market, with which predicate, if any?", "nothing in it"),
        (
            "Which changes are planned after release, how is each checked, and does a predetermined change control "
            "plan cover them?",
            "Versions and changes",
        ),
        ("Who watches it in use, what is reported, and who can switch it off?", "Versions and changes"),
    ],
    "Good machine learning practice (ten principles)": [
        ("Who of which professions took part, over the whole life of the product?", "Expert votes; Sign-offs"),
        ("Good practice of software and of security: which processes were followed?", "Environment; Making it again"),
        ("Do the data stand for the patients it is meant for?", "Data; Subgroups"),
        ("Are training and test data independent?", _SPLIT),
        ("Are the reference answers the best that there are, and who wrote them?", _DATA),
        ("Does the design fit the data and the risks (over-fitting, loss of performance, security)?", _RISKS),
        ("Was the team of human and model measured, and not the model alone?", "Expert votes"),
        ("Do tests show how it does in conditions of clinical use?", "Metrics; Robustness"),
        ("Do users get clear information: use, limits, data, performance by subgroup?", "Intended use; Out of scope"),
        ("Is the model watched when it is in use, and are the risks of training it again managed?", _RISKS),
    ],
    "HIPAA": [
        (
            "Was the training text de-identified by safe harbor (18 identifiers) or by an expert's determination, and "
            "who answers for what the recognisers miss?",
            "De-identification",
        ),
        ("Is there a legal basis and a minimum-necessary decision for the use of this text?", _DATA),
        ("Are business associate agreements in place for each machine and service that saw it?", "nothing in it"),
        ("Can the model give back what a patient said, and who may ask it?", "Safety; Risk register"),
        ("Who has access, and is access logged?", "nothing in it"),
    ],
    "EU: Medical Device Regulation, Rule 11": [
        ("Is it a medical device by Article 2(1), by what its maker says of it?", "Intended use"),
        (
            "Rule 11: do its answers serve decisions on diagnosis or therapy, and could such a decision cause death or "
            "lasting harm (class III), serious harm or surgery (class IIb), or neither (class IIa)?",
            _RISKS,
        ),
        ("Is there clinical evidence by Annex XIV, and a plan to follow up on it?", "Metrics"),
        ("Is risk managed over its whole life (Annex I, 3)? Which standard is followed?", _RISKS),
        ("Which notified body, which technical documentation, which UDI?", "nothing in it"),
    ],
    "EU: AI Act": [
        ("Is it high-risk by Article 6(1), as a device that a notified body has to look at?", "Intended use"),
        ("Article 9: is there a risk management system?", _RISKS),
        ("Article 10: are data relevant, representative and looked at for bias?", "Data; Subgroups"),
        ("Articles 11 and 12: technical documentation and logs?", "this dossier; the run's events"),
        ("Article 13: do those who use it get instructions they understand?", "Intended use; Out of scope"),
        ("Article 14: who oversees it, and can that person overrule and stop it?", "Sign-offs"),
        ("Article 15: accuracy, robustness and security: declared and kept?", "Metrics; Robustness; Release gates"),
        ("Is the base a general-purpose model, and what does its maker have to give on it?", "Licences and hashes"),
    ],
    "EU: data protection (GDPR)": [
        ("Which basis of Articles 6 and 9 for health data, and was its impact assessed (Article 35)?", _DATA),
        ("Is the model itself personal data, since it may give back text it learnt?", "Safety"),
    ],
}


def part() -> str:
    """All questions, by regulation, each with the parts of this dossier that help to answer it."""
    tables = [
        f"**{name}**\n\n" + table(["question", "see here", "answer, name, date"], [(*row, "") for row in rows])
        for name, rows in QUESTIONS.items()
    ]
    return joined(
        "Bedside claims nothing about regulation. These are questions that a person who is answerable has to answer, "
        "with advice from those who know the law; they are not all that may be asked. The last column is for the "
        "answer.",
        *tables,
    )
