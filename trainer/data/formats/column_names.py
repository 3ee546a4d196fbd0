"""Names of columns, in several languages, and what they hold.

They are compared without case, and with _ for blanks and hyphens.
"""

from __future__ import annotations

import re

Names = tuple[str, ...]

QUESTION: Names = (
    "question",
    "query",
    "q",
    "question_text",
    "patient_question",
    "user_question",
    "frage",
    "fragestellung",
    "pregunta",
    "consulta",
    "domanda",
    "pergunta",
    "问题",
    "問題",
    "提问",
    "提問",
    "harmful_medical_request",
    "prompt",
    "input",
)
ANSWER: Names = (
    "answer",
    "response",
    "a",
    "answer_text",
    "doctor_answer",
    "reply",
    "antwort",
    "respuesta",
    "réponse",
    "reponse",
    "risposta",
    "resposta",
    "答案",
    "回答",
    "答复",
    "答覆",
    "safe_response",
    "answer_icliniq",
    "output",
    "completion",
)
PROMPT: Names = ("prompt",)
COMPLETION: Names = ("completion",)
INSTRUCTION: Names = ("instruction", "instructions", "anweisung", "instrucción", "instruccion", "consigne", "指令")
INPUT: Names = ("input", "context", "eingabe", "entrada", "entrée", "输入", "輸入")
OUTPUT: Names = ("output", "response", "answer", "ausgabe", "salida", "sortie", "输出", "輸出", *ANSWER[2:])
SYSTEM: Names = ("system", "system_prompt")
MESSAGES: Names = ("messages", "conversation", "chat", "turns", "dialog")
CONVERSATIONS: Names = ("conversations", "conversation")
CHOSEN: Names = ("chosen", "chosen_response", "preferred_response", "better_answer")
REJECTED: Names = ("rejected", "rejected_response", "dispreferred_response", "worse_answer")
WINNER: Names = ("winner", "preferred", "preference", "better_response_id", "better", "choice", "vote")
GRADE: Names = ("grade", "score", "rating", "quality", "stars", "puntuación", "bewertung", "评分", "評分")
LABEL: Names = ("label",)
OPTIONS: Names = ("options", "choices", "answer_choices", "endings", "opciones", "optionen", "选项", "選項")
STEM: Names = (*QUESTION[:-2], "stem", "sent1", "startphrase", "ctx")
KEY: Names = (
    "answer_idx",
    "answer_index",
    "answer_key",
    "answerkey",
    "correct_option",
    "correct_answer",
    "correct_index",
    "right_answer",
    "cop",
    "correct",
    "gold",
    "answer",
    "key",
    "respuesta_correcta",
    "respuesta",
    "richtige_antwort",
    "antwort",
    "réponse",
    "正确答案",
    "答案",
    "label",
)
CONTEXT: Names = (
    "contexts",
    "context",
    "passage",
    "passages",
    "paragraph",
    "abstract",
    "kontext",
    "contexto",
    "上下文",
)
LONG_ANSWER: Names = ("long_answer", "answers", *ANSWER)
DECISION: Names = ("final_decision",)
DIALOGUE: Names = ("dialogue", "dialog", "transcript", "conversation", "diálogo", "dialogo", "gespräch", "对话", "對話")
NOTE: Names = ("section_text", "note", "clinical_note", "soap", "summary", "notiz", "nota", "病历", "病歷")
SECTION: Names = ("section_header", "section")
TOKENS: Names = ("tokens", "words")
TAGS: Names = ("tags", "ner_tags", "labels", "iob_tags", "bio_tags")
SPANNED: Names = ("full_text", "text", "sentence", "note", "document_text")
SPANS: Names = ("spans", "entities", "label", "annotations")
TEXT: Names = (
    "text",
    "note",
    "note_text",
    "full_text",
    "content",
    "body",
    "report",
    "abstract",
    "texto",
    "文本",
    "病历",
)
CONDITIONS: Names = ("conditions", "diagnoses", "problems", "diagnosen", "diagnósticos", "诊断")
MEDICATIONS: Names = ("medications", "drugs", "medikamente", "medicamentos", "药物")
RESPONSE_A: Names = ("response_a", "answer_a", "completion_a", "response_0", "answer_0", "response_1", "answer_1")
RESPONSE_B: Names = ("response_b", "answer_b", "completion_b", "response_2", "answer_2", "response_1", "answer_1")

ABOUT: dict[str, Names] = {
    "patient": (
        "patient",
        "patient_id",
        "patientid",
        "mrn",
        "subject_id",
        "person_id",
        "encounter",
        "encounter_id",
        "hadm_id",
        "case_id",
        "paciente",
        "patienten_id",
        "患者",
        "病人",
        # Where no column names a patient, rows of one document belong together.
        "document",
        "document_id",
        "doc_id",
        "filename",
    ),
    "time": (
        "time",
        "date",
        "timestamp",
        "datetime",
        "charttime",
        "chartdate",
        "note_date",
        "visit_date",
        "encounter_date",
        "admission_date",
        "admittime",
        "seen_on",
        "fecha",
        "datum",
        "日期",
        "year",
    ),
    "specialty": (
        "specialty",
        "speciality",
        "medical_specialty",
        "department",
        "subject_name",
        "fachgebiet",
        "fachrichtung",
        "especialidad",
        "spécialité",
        "科室",
        "专科",
    ),
    "task": ("task", "task_type"),
    "language": ("language", "lang", "sprache", "idioma", "langue", "语言"),
    "level": ("level", "difficulty", "niveau"),
    "label": ("label", "class"),
    "expert_validated": ("expert_validated", "expert_reviewed", "validated", "verified", "reviewed_by_expert"),
    "id": ("id", "row_id", "record_id", "pubid", "pmid", "question_id", "message_id"),
}
"""What is known of a row beside its text, and the columns that say it; of several, the first."""

_JOINTS = re.compile(r"[\s_-]+")


def plain(name: str) -> str:
    """A column's name as the tables above write it: "Patient ID" becomes "patient_id"."""
    return _JOINTS.sub("_", name.strip().lower())


def option_names(number: int, first: int) -> Names:
    """Names of the column of one option, the first being 0; numbers in names count from `first`."""
    digit = str(number + first)
    numbered = tuple(f"{stem}{digit}" for stem in ("option_", "option", "choice_", "choice", "ending", "ending_", "op"))
    if first == 0:
        return numbered
    letter = "abcdefghij"[number]
    stems = ("op", "option_", "option", "choice_", "choice", "opt_", "opción_", "选项", "選項", "")
    return (*(f"{stem}{letter}" for stem in stems), *numbered)
