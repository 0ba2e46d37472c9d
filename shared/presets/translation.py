"""A manifest's texts in another language."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from shared.presets.manifest import Looks, Manifest, PresetInput
from shared.presets.parameter import Parameter

__all__ = ["text_paths", "translated"]

_Texts = Mapping[str, str]


def translated(manifest: Manifest, language: str) -> Manifest:
    """The manifest with its texts in `language` ("de-AT", else "de"); others stay as written."""
    texts = manifest.translations.get(language)
    if texts is None:
        texts = manifest.translations.get(language.partition("-")[0], {})
    return replace(
        manifest,
        name=texts.get("name", manifest.name),
        summary=texts.get("summary", manifest.summary),
        category=texts.get("category", manifest.category),
        looks=_looks(manifest.looks, texts),
        inputs=tuple(_input(item, texts) for item in manifest.inputs),
        outputs=tuple(
            replace(item, label=texts.get(f"outputs.{item.id}.label", item.label))
            for item in manifest.outputs
        ),
        parameters=tuple(_parameter(item, texts) for item in manifest.parameters),
        value_sets=tuple(
            replace(
                item,
                label=texts.get(f"value_sets.{item.id}.label", item.label),
                help=texts.get(f"value_sets.{item.id}.help", item.help),
            )
            for item in manifest.value_sets
        ),
    )


def text_paths(manifest: Manifest) -> Iterator[str]:
    """Every path that a translation may give a text for."""
    yield from ("name", "summary", "category")
    yield from (f"looks.{look}.alt" for look in ("cover", "before", "after"))
    yield from (f"inputs.{item.id}.{text}" for item in manifest.inputs for text in ("label", "help"))
    yield from (f"outputs.{item.id}.label" for item in manifest.outputs)
    yield from (f"value_sets.{item.id}.{text}" for item in manifest.value_sets for text in ("label", "help"))
    for item in manifest.parameters:
        yield from (f"parameters.{item.id}.{text}" for text in ("label", "help", "group"))
        yield from (f"parameters.{item.id}.choices.{choice.value}" for choice in item.choices)


def _looks(looks: Looks, texts: _Texts) -> Looks:
    return Looks(
        cover=replace(looks.cover, alt=texts.get("looks.cover.alt", looks.cover.alt)),
        before=replace(looks.before, alt=texts.get("looks.before.alt", looks.before.alt)),
        after=replace(looks.after, alt=texts.get("looks.after.alt", looks.after.alt)),
    )


def _input(item: PresetInput, texts: _Texts) -> PresetInput:
    path = f"inputs.{item.id}"
    return replace(
        item, label=texts.get(f"{path}.label", item.label), help=texts.get(f"{path}.help", item.help)
    )


def _parameter(item: Parameter, texts: _Texts) -> Parameter:
    path = f"parameters.{item.id}"
    return replace(
        item,
        label=texts.get(f"{path}.label", item.label),
        help=texts.get(f"{path}.help", item.help),
        group=texts.get(f"{path}.group", item.group),
        choices=tuple(
            replace(choice, label=texts.get(f"{path}.choices.{choice.value}", choice.label))
            for choice in item.choices
        ),
    )
