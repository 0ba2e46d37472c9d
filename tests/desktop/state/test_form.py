import pytest
from pytestqt.qtbot import QtBot

from desktop.state.form import Form, groups
from shared.presets.parameter import Condition, Level, Parameter, ParameterType
from tests.desktop.window import GLOW, RULES

_TITLE = Parameter(id="title", type=ParameterType.TEXT, label="Title", default="", max_length=5, order=1)
_BOLD = Parameter(
    id="bold",
    type=ParameterType.BOOL,
    label="Bold",
    default=False,
    order=2,
    visible_when=Condition("title", ("big",)),
)


@pytest.fixture
def form(qtbot: QtBot) -> Form:
    form = Form()
    form.use(RULES)
    return form


def test_begins_with_defaults_and_what_was_changed_before(form: Form) -> None:
    form.show((GLOW, _TITLE), {"glow": 70, "gone": 1})

    assert form.values == {"glow": 70, "title": ""}
    assert form.own_values == {"glow": 70}


def test_drops_a_remembered_value_that_no_longer_fits(form: Form) -> None:
    form.show((GLOW,), {"glow": 400})

    assert form.values == {"glow": 50}


def test_tells_of_real_changes_only(form: Form, qtbot: QtBot) -> None:
    form.show((GLOW,), {})
    with qtbot.assertNotEmitted(form.changed):
        form.set("glow", 50)
    with qtbot.waitSignal(form.changed, check_params_cb=lambda name: name == "glow"):
        form.set("glow", 51)
    form.reset("glow")
    assert form.is_default("glow")


def test_a_problem_names_the_setting_and_only_visible_ones_count(form: Form) -> None:
    form.show((GLOW, _TITLE, _BOLD), {})
    form.set("title", "too long")
    assert "Title" in (form.problem("title") or "")
    assert form.first_problem() == form.problem("title")

    form.set("title", "fine")
    form.set("bold", "maybe")
    assert form.problem("bold") is not None
    assert form.first_problem() is None


def test_shows_a_parameter_while_its_condition_holds(form: Form) -> None:
    form.show((_TITLE, _BOLD), {})
    assert not form.is_visible("bold")
    form.set("title", "big")
    assert form.is_visible("bold")


def test_groups_basic_before_advanced_in_the_declared_order() -> None:
    def parameter(name: str, group: str, order: int, level: Level = Level.BASIC) -> Parameter:
        return Parameter(id=name, type=ParameterType.BOOL, label=name, group=group, order=order, level=level)

    parts = groups(
        [
            parameter("d", "Light", 4, Level.ADVANCED),
            parameter("c", "Colour", 3),
            parameter("b", "Light", 2),
            parameter("a", "Colour", 1),
        ]
    )

    assert [(part.level, part.name, [member.id for member in part.parameters]) for part in parts] == [
        (Level.BASIC, "Colour", ["a", "c"]),
        (Level.BASIC, "Light", ["b"]),
        (Level.ADVANCED, "Light", ["d"]),
    ]
