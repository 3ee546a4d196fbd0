"""An export pushed to the Hugging Face Hub: private unless it is said otherwise, with its card, or as a dry run.

Who pushes is told from the Hub library's own login (`hf auth login`); no token is taken, kept or written here.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from trainer import runs
from trainer.export import ExportError
from trainer.export.record import CARD, Export, File
from trainer.model_refs import parse
from trainer.models import Progress, is_unreachable

LOGIN = "Log in with `hf auth login`, as somebody who may write there, and push again."


class Push(BaseModel):
    """What is, or would be, on the Hub."""

    repo: str
    private: bool
    dry_run: bool
    files: list[File]
    bytes: int
    card: str
    url: str | None = None
    """None for a dry run."""


def push(
    export: Export,
    repo: str,
    *,
    private: bool = True,
    dry_run: bool = False,
    api: Any = None,
    progress: Progress = lambda stage, done, total: None,
) -> Push:
    """Create the repository `repo` (OWNER/NAME) where there is none, and upload the export's files.

    With `dry_run` the Hub is not asked. `api`: an `HfApi`; the library's own where it is left out. Raises `ExportError`
    for a name that the Hub does not take, a public push of a model that patients' text went into, a repository that is
    public already, and where the Hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise ExportError(f"{repo!r} cannot name a repository: {error}") from None
    if repo.count("/") != 1:
        raise ExportError(f"{repo!r} names no owner; write OWNER/NAME, as in my-clinic/lab-model.")
    said = runs.get(parse(export.model).run).config.data.contains_phi
    if not private and said is not False:
        raise ExportError(
            f"{export.model} was trained on data that {'holds' if said else 'may hold'} patients' text "
            f"(data.contains_phi: {said}), which a model can repeat; push it as private."
        )
    files = [*export.files]
    found = Push(
        repo=repo,
        private=private,
        dry_run=dry_run,
        files=files,
        bytes=sum(file.bytes for file in files),
        card=(export.folder / CARD).read_text(encoding="utf-8"),
    )
    if dry_run:
        return found
    hub = api or HfApi()
    try:
        progress("creating the repository", 0, 1)
        hub.create_repo(repo, private=private, exist_ok=True)
        if private and not hub.repo_info(repo).private:
            raise ExportError(f"{repo} is there already and public; name another one, or push with --public.")
        progress("uploading", 0, 1)
        done = hub.upload_folder(
            repo_id=repo,
            folder_path=str(export.folder),
            allow_patterns=[file.name for file in files],
            commit_message=f"{export.what} of {export.model}",
        )
    except HfHubHTTPError as error:
        code = error.response.status_code if error.response is not None else 0
        way = LOGIN if code in (401, 403) else "Try again later."
        raise ExportError(f"The Hub refused {repo} ({code}): {str(error).strip().splitlines()[0]} {way}") from None
    except Exception as error:
        if is_unreachable(error):
            raise ExportError(f"The Hub cannot be reached ({error}); nothing was pushed. Try again later.") from None
        raise
    return found.model_copy(update={"url": str(done.commit_url if hasattr(done, "commit_url") else done)})
