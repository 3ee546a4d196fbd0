"""FHIR resources (R4, and what R5 writes differently) become one record for each clinical note.

Notes are text attachments of DocumentReference and DiagnosticReport; a patient's conditions and medications stand
beside each of them. Names and identifiers of Patient resources are never looked at.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from trainer.data.records import DataError, Fault, Record

_NOTES = {"DocumentReference": "content", "DiagnosticReport": "presentedForm"}
_MEDICATIONS = {"MedicationStatement", "MedicationRequest", "MedicationUsage"}
_VOID = {"entered-in-error", "refuted", "not-taken"}
_CHARSETS = {"utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-15", "cp1252", "utf-16", "utf-16-le", "utf-16-be"}
_TEXTS = {"", "text/plain", "text/html", "text/markdown", "application/xhtml+xml"}


class _Patient:
    def __init__(self, place: str):
        self.place = place
        # Dicts keep the order and each value once.
        self.conditions: dict[str, None] = {}
        self.medications: dict[str, None] = {}


def read(name: str, rows: Callable[[], Iterable[Record | Fault]]) -> Iterator[Record | Fault]:
    """A record (patient, time, text, conditions, medications) for each note, and one list where a patient has no note.

    `rows` gives the file's resources and bundle entries. It is called three times, for medications by name, for what
    is known of each patient, and for the notes, so that notes are never all in memory.
    Raises `DataError` where the file holds none of these resources.
    """
    drugs: dict[str, str] = {}
    patients: dict[str, _Patient] = {}
    for _, resource in _resources(rows()):
        if isinstance(resource, dict) and resource.get("resourceType") == "Medication":
            drugs[_last_part(resource.get("id"))] = _said(resource.get("code"))
    for place, resource in _resources(rows()):
        if isinstance(resource, dict):
            _learn(patients, drugs, place, resource)
    found = False
    noted: set[str] = set()
    for place, resource in _resources(rows()):
        if isinstance(resource, Fault):
            found = True
            yield resource
        elif resource.get("resourceType") in _NOTES and not _is_void(resource):
            patient = _subject(resource)
            beside = patients.get(patient) or _Patient(place)
            for one in _note(place, resource, patient, beside):
                found = True
                if isinstance(one, Record):
                    noted.add(patient)
                yield one
        elif _is_about_patient(resource) and (fault := _missing(place, resource, drugs)):
            found = True
            yield fault
    for patient, about in patients.items():
        if patient not in noted:
            found = True
            values = _values(patient, "", _listed(about), about)
            yield Record(about.place, values)
    if not found:
        raise DataError(
            f"{name} holds FHIR resources, but no notes (DocumentReference, DiagnosticReport), conditions or "
            "medications; export those."
        )


def _resources(rows: Iterable[Record | Fault]) -> Iterator[tuple[str, dict[str, Any] | Fault]]:
    """Every resource with its place; bundles, also as lines of a file, are opened."""
    for row in rows:
        if isinstance(row, Fault):
            yield row.place, row
        elif row.values.get("resourceType") == "Bundle":
            entries = row.values.get("entry")
            for number, entry in enumerate(entries if isinstance(entries, list) else [], 1):
                place = f"{row.place}, entry {number}"
                yield place, _resource(place, entry)
        else:
            yield row.place, _resource(row.place, row.values)


def _resource(place: str, entry: Any) -> dict[str, Any] | Fault:
    resource = entry.get("resource") if isinstance(entry, dict) and "resourceType" not in entry else entry
    if isinstance(resource, dict) and isinstance(resource.get("resourceType"), str):
        return resource
    message = "is no FHIR resource; an entry is an object with its resource, which names its resourceType"
    return Fault(place=place, field="resource", message=message, record=entry)


def _learn(patients: dict[str, _Patient], drugs: dict[str, str], place: str, resource: dict[str, Any]) -> None:
    if not _is_about_patient(resource) or _missing(place, resource, drugs):
        return
    patient = patients.setdefault(_subject(resource), _Patient(place))
    if resource["resourceType"] == "Condition":
        patient.conditions[_said(resource.get("code"))] = None
    else:
        patient.medications[_medication(resource, drugs)] = None


def _is_about_patient(resource: dict[str, Any]) -> bool:
    return resource["resourceType"] in {"Condition", *_MEDICATIONS} and not _is_void(resource)


def _missing(place: str, resource: dict[str, Any], drugs: dict[str, str]) -> Fault | None:
    if not _subject(resource):
        message = "names no patient; give the subject's reference, or leave the resource out"
        return Fault(place=place, field="subject", message=message, record=resource)
    if resource["resourceType"] == "Condition":
        field, said = "code", _said(resource.get("code"))
    else:
        field, said = "medicationCodeableConcept", _medication(resource, drugs)
    message = "has no name in words (text, or the display of a code); give one, or leave the resource out"
    return None if said else Fault(place=place, field=field, message=message, record=resource)


def _medication(resource: dict[str, Any], drugs: dict[str, str]) -> str:
    newer = _object(resource.get("medication"))  # R5: a concept or a reference
    name = _said(resource.get("medicationCodeableConcept")) or _said(newer.get("concept"))
    if not name:
        reference = _reference(resource.get("medicationReference")) or _reference(newer.get("reference"))
        contained = {_last_part(one.get("id")): _said(one.get("code")) for one in _objects(resource.get("contained"))}
        name = contained.get(reference) or drugs.get(reference, "")
    doses = _objects(resource.get("dosageInstruction")) or _objects(resource.get("dosage"))
    dose = next((one["text"] for one in doses if isinstance(one.get("text"), str)), "")
    return f"{name}, {dose}" if name and dose and dose.lower() not in name.lower() else name


def _note(place: str, resource: dict[str, Any], patient: str, beside: _Patient) -> Iterator[Record | Fault]:
    kind = resource["resourceType"]
    listed = _objects(resource.get(_NOTES[kind]))
    attachments = [_object(one.get("attachment")) for one in listed] if kind == "DocumentReference" else listed
    time = _time(resource)
    # The same note is often attached twice, as text and as PDF: one of them is enough.
    readable = [one for one in attachments if _media_type(one) in _TEXTS and one.get("data")]
    if readable:
        for number, attachment in enumerate(readable, 1):
            found = _text_of(attachment)
            if isinstance(found, ValueError):
                field = f"{_NOTES[kind]}[{attachments.index(attachment)}].data"
                yield Fault(place=place, field=field, message=str(found), record=resource)
            elif not found:
                yield Fault(place=place, field=_NOTES[kind], message="is an empty note; leave it out", record=resource)
            else:
                yield Record(place if number == 1 else f"{place}, part {number}", _values(patient, time, found, beside))
        return
    conclusion = resource.get("conclusion")
    if isinstance(conclusion, str) and conclusion.strip():
        yield Record(place, _values(patient, time, conclusion.strip(), beside))
    elif attachments:
        types = ", ".join(sorted({_media_type(one) or "no data" for one in attachments}))
        message = f"the note is not in the file as text (found {types}); export notes as text/plain with their data"
        yield Fault(place=place, field=_NOTES[kind], message=message, record=resource)
    elif kind == "DocumentReference":
        message = "has no attachment; export notes as text/plain with their data"
        yield Fault(place=place, field="content", message=message, record=resource)


def _values(patient: str, time: str, text: str, beside: _Patient) -> dict[str, Any]:
    values = {"patient": patient, "time": time, "text": text}
    return values | {"conditions": [*beside.conditions], "medications": [*beside.medications]}


def _listed(about: _Patient) -> str:
    parts = [("Conditions", about.conditions), ("Medications", about.medications)]
    return "\n\n".join(f"{name}:\n" + "\n".join(f"- {one}" for one in listed) for name, listed in parts if listed)


def _text_of(attachment: dict[str, Any]) -> str | ValueError:
    data = attachment["data"]
    if not isinstance(data, str):
        return ValueError("is no base64 text; export the note again")
    try:
        content = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return ValueError("is not valid base64 text; export the note again")
    _, _, charset = str(attachment.get("contentType", "")).lower().partition("charset=")
    charset = charset.strip(' "') or "UTF-8"
    try:
        if codecs.lookup(charset).name not in _CHARSETS:
            raise LookupError  # Python knows more of them, and some take the square of a text's length in time
        text = content.decode(charset)
    except (LookupError, ValueError):
        return ValueError(f"is not {charset[:40]} text, as it says; export the note again as UTF-8")
    return _without_tags(text) if "html" in _media_type(attachment) else text.strip()


class _Visible:
    """What a reader sees of a page, for lxml's parser. (Python's own takes the square of a page's length in time.)"""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._hidden = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in {"p", "br", "div", "tr", "li", "h1", "h2", "h3", "h4"}:
            self.parts.append("\n")
        self._hidden += tag in {"script", "style"}

    def end(self, tag: str) -> None:
        self._hidden -= tag in {"script", "style"}

    def data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)

    def close(self) -> str:
        return "".join(self.parts)


def _without_tags(text: str) -> str:
    from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]

    parser = etree.HTMLParser(target=_Visible(), no_network=True, remove_comments=True, remove_pis=True)
    try:
        parser.feed(text)
        found = parser.close()
    except etree.LxmlError:  # of a page that holds nothing
        return ""
    lines = (" ".join(line.split()) for line in found.splitlines())
    return "\n".join(line for line in lines if line)


def _media_type(attachment: dict[str, Any]) -> str:
    return str(attachment.get("contentType", "")).partition(";")[0].strip().lower()


def _is_void(resource: dict[str, Any]) -> bool:
    verified = _objects(_object(resource.get("verificationStatus")).get("coding"))
    return resource.get("status") in _VOID or any(one.get("code") in _VOID for one in verified)


def _time(resource: dict[str, Any]) -> str:
    period = _object(_object(resource.get("context")).get("period"))
    named = (resource.get(name) for name in ("date", "effectiveDateTime", "issued"))
    return next((one for one in (*named, period.get("start")) if isinstance(one, str)), "")


def _subject(resource: dict[str, Any]) -> str:
    """Whom a resource is about, to keep a patient's records together: the reference, or a hash of the identifier."""
    subject = _object(resource.get("subject")) or _object(resource.get("patient"))
    if reference := _reference(subject):
        return reference
    identifier = subject.get("identifier")
    if not identifier:
        return ""
    return hashlib.sha256(json.dumps(identifier, sort_keys=True).encode("utf-8", "replace")).hexdigest()[:16]


def _reference(value: Any) -> str:
    return _last_part(_object(value).get("reference"))


def _last_part(value: Any) -> str:
    """The id in a reference: "urn:uuid:7", "#7", "Patient/7" and "Patient/7/_history/2" are all about 7."""
    if not isinstance(value, str):
        return ""
    return value.partition("/_history/")[0].replace(":", "/").replace("#", "/").rsplit("/", 1)[-1]


def _said(concept: Any) -> str:
    """What a coded concept is called: its text, or else the name of its first code that has one."""
    concept = _object(concept)
    names = [concept.get("text"), *(one.get("display") for one in _objects(concept.get("coding")))]
    return next((" ".join(name.split()) for name in names if isinstance(name, str) and name.strip()), "")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
