"""Every text of the window, in one table."""

import html
import re
from enum import Enum

from PySide6.QtCore import QCoreApplication

from shared.jobs.stage import StageName
from shared.jobs.state import JobState

__all__ = ["Text", "counted", "eta", "job_state", "linked", "plain", "say", "sentence", "stage"]

_CONTEXT = "Safelight"
_ADDRESS = re.compile(r"https://([\w.-]+\.\w+)/[^\s;]*")


class Text(Enum):
    APP = "Safelight"
    PRODUCT_LINE = "Develops pictures"
    LOADING = "Warming up the darkroom…"

    PICTURES = "Pictures"
    PRESETS = "Presets"
    DROP_TITLE = "Drop pictures or folders here"
    DROP_HINT = "or paste a picture with Ctrl+V"
    DROP_RELEASE = "Release to add them"
    DROP_NO_FILES = "These are no files on this computer"
    DROP_NOT_READABLE = "Safelight cannot read {suffix} files"
    CHOOSE_FILES = "Add &files…"
    CHOOSE_FOLDER = "Add f&older…"
    TRY_SAMPLE = "&Try a sample"
    TRY_SAMPLE_HELP = "Add the sample photograph of this preset"
    ADD_MORE = "&Add more…"
    CLEAR = "&Clear"
    CLEAR_HELP = "Choose none of these pictures; the files stay where they are"
    CHOSEN_PICTURES = "Chosen pictures; arrow keys look at them"
    PICTURE_ONE = "{n} picture"
    PICTURE_MANY = "{n} pictures"
    ALL_FILES = "All files"

    GALLERY = "Preset gallery"
    NO_PRESETS = "No presets are installed"
    NO_PRESETS_HINT = "Install one with: safelight presets install FILE"
    INSTANT = "Instant"
    INSTANT_HELP = "Runs on this computer at once, without a server"
    AI = "AI"
    AI_HELP = "Runs a model on a ComfyUI server or in the cloud"
    UNAVAILABLE = "Cannot run now: {reason}"
    LICENCE = "Licence: {licence}"

    BEFORE = "Before"
    AFTER = "After"
    IN_PROGRESS = "In progress"
    EXAMPLE = "Example of {preset}"
    DIVIDER = "Before and after; arrow keys move the divider, hold O for the original"
    FIT = "Fit"
    FIT_HELP = "Show the whole picture (F)"
    ACTUAL_SIZE = "1:1"
    ACTUAL_SIZE_NAME = "Actual size"
    ACTUAL_SIZE_HELP = "One pixel of the picture for one of the screen (1)"
    ORIGINAL = "Original"
    ORIGINAL_HELP = "Hold to see the original (O)"
    NOTHING_SHOWN = "Nothing to show yet"
    NOTHING_SHOWN_HINT = "Choose a preset to see what it does, or drop a picture to begin."
    UNREADABLE = "This picture cannot be shown here"
    UNREADABLE_HINT = "Open it in another program to look at it."
    READING = "Reading the picture…"

    ADVANCED = "Advanced"
    RESET = "Reset to {value}"
    RESET_ALL = "&Reset all"
    RESET_ALL_HELP = "Give every setting of this preset its default value"
    NO_PARAMETERS = "This preset has nothing to set: it is ready as it is."
    HELP_HINT = "Point at a setting to read what it does."
    NEW_SEED = "Throw the dice for another seed"
    PICK_COLOR = "Choose a colour"
    WIDTH = "Width"
    HEIGHT = "Height"
    ADD_LORA = "Add a LoRA"
    REMOVE_LORA = "Remove this LoRA"
    LORA_FILE = "File name of the LoRA"
    STRENGTH = "Strength"
    ON = "on"
    OFF = "off"

    DESTINATION = "Save to"
    DESTINATION_CHANGE = "C&hange…"
    DESTINATION_DEFAULT = "Use the usual folder"
    DESTINATION_TITLE = "Choose where finished pictures go"
    ENGINE = "Develop &with"
    ENGINE_AUTO = "Automatic"
    ENGINE_BUILTIN = "This computer"
    ENGINE_COMFY = "ComfyUI"
    ENGINE_CLOUD = "Safelight cloud"
    ENGINE_UNREACHABLE = "{name} (no answer)"
    DEVELOP = "&Develop"
    DEVELOP_ONE = "&Develop {n} picture"
    DEVELOP_MANY = "&Develop {n} pictures"
    DEVELOPING = "Adding to the queue…"
    WHY_NO_PICTURES = "Add pictures to develop them."
    WHY_NO_PRESET = "Choose a preset first."
    WHY_WAITING = "They will wait in the queue. {reason}"
    WHY_STARTING = "One moment, the darkroom is being made ready."

    QUEUE = "&Queue"
    RESULTS = "Fini&shed"
    QUEUE_KEYS = "Delete cancels, R tries again, Enter opens the finished picture"
    QUEUE_EMPTY = "The queue is empty"
    QUEUE_EMPTY_HINT = "Pictures that you develop appear here, with their progress."
    RESULTS_EMPTY = "Nothing finished yet"
    RESULTS_EMPTY_HINT = "Developed pictures appear here, ready to compare and to open."
    RUN_ONE = "{done} of {n} picture"
    RUN_MANY = "{done} of {n} pictures"
    RUN_FAILED = "{n} failed"
    RUN_CANCELLED = "{n} cancelled"
    RUN_DONE_ONE = "{n} picture done"
    RUN_DONE_SOME = "{n} done"
    RUN_DONE_MANY = "{n} pictures done"
    RUN_UNSAVED = "{n} not saved yet"
    CANCEL = "Cancel"
    CANCEL_ALL = "Ca&ncel all"
    RETRY = "Try again"
    RETRY_FAILED = "Tr&y failed again"
    SHOW_IN_FOLDER = "Show &in folder"
    OPEN = "O&pen"
    COPY_ERROR = "Copy the message"
    DISMISS = "Dismiss"

    WAITING = "Waiting"
    WORKING = "Developing"
    SAVING = "Saving"
    DONE = "Done"
    FAILED = "Failed"
    CANCELLED = "Cancelled"
    EXPIRED = "Expired"
    PREPARING = "Preparing"
    UPLOADING = "Sending the picture"
    LOADING_MODEL = "Loading the model"

    STEP = "Step {step} of {steps}"

    ETA_SECONDS = "a few seconds left"
    ETA_MINUTE = "about a minute left"
    ETA_MINUTES = "about {n} minutes left"
    ETA_HOURS = "about {n} hours left"

    LEFT_OUT_MANY = "{n} items were left out. The first: {reason}"

    STILL_WORKING = "Pictures are still being developed"
    STILL_WORKING_HINT = "They wait in the queue and go on at the next start."
    QUIT_NOW = "&Close now"
    KEEP_OPEN = "&Keep open"
    UNEXPECTED = "Something went wrong ({kind}). Try again; if it stays so, run: safelight doctor"
    ALREADY_OPEN = "Safelight is open already but does not answer: close it, or wait a moment."


_STATES = {
    JobState.QUEUED: Text.WAITING,
    JobState.PROCESSING: Text.WORKING,
    JobState.SAVING: Text.SAVING,
    JobState.COMPLETED: Text.DONE,
    JobState.FAILED: Text.FAILED,
    JobState.CANCELLED: Text.CANCELLED,
    JobState.EXPIRED: Text.EXPIRED,
}
_STAGES = {
    StageName.PREPARING: Text.PREPARING,
    StageName.UPLOADING: Text.UPLOADING,
    StageName.LOADING_MODEL: Text.LOADING_MODEL,
    StageName.RUNNING: Text.WORKING,
}


def say(text: Text, **values: object) -> str:
    return QCoreApplication.translate(_CONTEXT, text.value).format(**values)


def plain(text: Text) -> str:
    """Without the mark of its key, for where none is shown."""
    return say(text).replace("&", "")


def counted(one: Text, many: Text, n: int, **values: object) -> str:
    return say(one if n == 1 else many, n=f"{n:,}", **values)


def sentence(text: str) -> str:
    """With a capital where it begins with a word; the name of a file stays as it is."""
    first = text.partition(" ")[0].rstrip(",;:")
    return text[:1].upper() + text[1:] if first.isalpha() else text


def linked(text: str) -> str:
    """As rich text, an address in it as a link that names no more than its site."""
    return _ADDRESS.sub(r'<a href="\g<0>">\1</a>', html.escape(text, quote=True))


def job_state(state: JobState) -> str:
    return say(_STATES[state])


def stage(name: str) -> str:
    """An engine may know a stage that this table does not: then its own word is shown."""
    return say(_STAGES[StageName(name)]) if name in _STAGES else name


def eta(seconds: float) -> str:
    if seconds < 20:
        return say(Text.ETA_SECONDS)
    if seconds < 90:
        return say(Text.ETA_MINUTE)
    if seconds < 90 * 60:
        return say(Text.ETA_MINUTES, n=round(seconds / 60))
    return say(Text.ETA_HOURS, n=round(seconds / 3600))
