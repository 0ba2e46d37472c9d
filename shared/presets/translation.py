"""A manifest's texts in another language."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from shared.presets.manifest import Looks, Manifest, PresetInput
from shared.presets.parameter import Parameter

__all__ = ["texts_of", "translated"]

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


def texts_of(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Every text that a translation may replace, by its path."""
    yield from (("name", manifest.name), ("summary", manifest.summary), ("category", manifest.category))
    looks = {
        "cover": manifest.looks.cover,
        "before": manifest.looks.before,
        "after": manifest.looks.after,
    }
    yield from ((f"looks.{name}.alt", look.alt) for name, look in looks.items())
    for item in manifest.inputs:
        yield from ((f"inputs.{item.id}.label", item.label), (f"inputs.{item.id}.help", item.help))
    yield from ((f"outputs.{item.id}.label", item.label) for item in manifest.outputs)
    for value_set in manifest.value_sets:
        path = f"value_sets.{value_set.id}"
        yield from ((f"{path}.label", value_set.label), (f"{path}.help", value_set.help))
    for parameter in manifest.parameters:
        path = f"parameters.{parameter.id}"
        yield from ((f"{path}.label", parameter.label), (f"{path}.help", parameter.help))
        yield f"{path}.group", parameter.group
        yield from ((f"{path}.choices.{choice.value}", choice.label) for choice in parameter.choices)


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
