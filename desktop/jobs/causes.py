"""Why a run failed, as its user should read it."""

from desktop.jobs.sources import with_names
from desktop.store.job import GraphRecipe, Job, JobError
from shared.jobs.events import Failed
from shared.media import BrokenMedia, MediaTooLarge, UnsupportedMedia, verify_image

__all__ = ["plain_cause"]

_BUILTIN = "builtin"
_SENTENCES = {
    "out_of_memory": "there is not enough memory {where} for {name}: use a smaller copy",
    "disk_full": "the disk is full {where}: make room, then try {name} again",
}


def plain_cause(job: Job, failed: Failed) -> JobError:
    """The author of a graph hears of its nodes; whoever chose a preset, what is wrong with the file.

    Blocking: a picture that does not decode is the reason, in whatever words the engine put it.
    """
    message = with_names(job, failed.message)
    if isinstance(job.order.recipe, GraphRecipe):
        return JobError(failed.code, message, failed.retryable)
    for item in job.order.inputs:
        try:
            verify_image(item.path)
        except (BrokenMedia, MediaTooLarge, UnsupportedMedia) as error:
            return JobError(error.code, error.message, retryable=False)
        except OSError:
            continue  # gone meanwhile: the engine's own words are what there is
    sentence = _SENTENCES.get(failed.code)
    if sentence is not None:
        where = "on this computer" if job.engine == _BUILTIN else "on the server"
        message = sentence.format(where=where, name=job.order.source_name)
    return JobError(failed.code, message, failed.retryable)
