"""Texts in another language."""

from dataclasses import replace

from shared.presets.bundle import load_preset, preset_folders, shipped_presets_folder
from shared.presets.translation import texts_of, translated
from tests.shared.presets.samples import manifest_of

GERMAN = {
    "name": "Erstes Format",
    "parameters.softness.label": "Weichheit",
    "inputs.photo.label": "Foto",
    "value_sets.soft.label": "Weich",
    "looks.after.alt": "Nachher",
}


def test_given_texts_are_translated_and_others_stay() -> None:
    manifest = translated(manifest_of(translations={"de": GERMAN}), "de-AT")
    assert manifest.name == "Erstes Format"
    assert manifest.summary == "As the first released schema wrote it."
    assert manifest.parameters[0].label == "Weichheit"
    assert manifest.inputs[0].label == "Foto"
    assert manifest.value_sets[0].label == "Weich"
    assert (manifest.looks.before.alt, manifest.looks.after.alt) == ("Before", "Nachher")


def test_an_unknown_language_changes_nothing() -> None:
    manifest = manifest_of(translations={"de": GERMAN})
    assert translated(manifest, "fr") == manifest


def test_every_path_reaches_a_text() -> None:
    for folder in preset_folders(shipped_presets_folder()):
        manifest = load_preset(folder).manifest
        texts = {path: f"<{path}>" for path, _ in texts_of(manifest)}
        shown = repr(translated(replace(manifest, translations={"xx": texts}), "xx"))
        assert all(shown.count(f"<{path}>") == 2 for path in texts)  # here and among the translations
