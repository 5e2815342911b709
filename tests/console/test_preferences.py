"""What a person prefers: keys, colours, signs; each is read strictly, and shows everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.theme import BUILTIN_THEMES

from mlconsole.console.actions import REGISTRY
from mlconsole.console.actions.action import Action, written
from mlconsole.console.app import MlconsoleApp
from mlconsole.console.ascii_only import as_ascii, environment_is_ascii
from mlconsole.console.keymap import with_preferred, with_table
from mlconsole.console.themes import NAMES, OURS, chosen
from mlconsole.present import glyph
from mlconsole.project import open_project
from mlconsole.project.preferences import Preferences, read_preferences
from mlconsole.project.settings import SettingsInvalid

from .builder import STATES
from .conftest import Build, Drive

README = Path(__file__).parents[2] / "README.md"
THEMES = [*BUILTIN_THEMES, *(theme.name for theme in OURS)]


def test_preferred_keys_stand_in_the_registry_with_the_rest_as_it_is() -> None:
    registry = with_preferred({"next_stage": "f6", "help": ("?", "f2"), "refresh": ""}, "config.toml")
    assert registry["next_stage"].label == "f6"
    assert registry["help"].each_key == ("question_mark", "f2")
    assert registry["refresh"].label == ""
    assert registry["approve"] == REGISTRY["approve"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"nextstage": "x"}, "there is no action nextstage. Did you mean next_stage?"),
        ({"approve": "n"}, "approve and next_stage both want n."),
        ({"approve": "3"}, "approve can't have 3: that key moves."),
        ({"approve": "hyper+wobble"}, "approve can't have hyper+wobble: no terminal sends that."),
        ({"approve": "crtl+r"}, "Did you mean ctrl+r?"),
        ({"approve": "pgeup"}, "Did you mean pageup?"),
        ({"approve": "ctrl+A"}, "Write it as ctrl+shift+a."),
        ({"approve": "shift+b"}, "Write it as B."),
    ],
)
def test_keys_that_can_not_be_are_refused_by_name(keys: dict[str, str | tuple[str, ...]], words: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        with_preferred(keys, "config.toml")
    assert words in str(caught.value)


@pytest.mark.parametrize("key", ["x", "~", "ctrl++", "ä", "f12", "ctrl+f5", "pageup", "Del", "ctrl+@", "alt+x"])
def test_every_way_to_write_a_key_is_taken(key: str) -> None:
    assert with_preferred({"refresh": key}, "config.toml")["refresh"].keys


@pytest.mark.parametrize("action", REGISTRY.actions, ids=lambda action: action.id)
def test_every_key_of_the_console_could_be_written_in_the_file(action: Action) -> None:
    assert with_preferred({action.id: tuple(map(written, action.each_key))}, "x")[action.id].keys == action.keys


async def test_an_action_without_a_key_is_not_in_the_footer_and_said_by_its_name(build: Build, drive: Drive) -> None:
    preferences = Preferences(keys={"approve": "", "quit": ""})
    async with drive(build("waiting").project.root, preferences=preferences) as console:
        await console.press("5")
        text = await console.shows("press :approve.", "? help")
        assert "quit" not in text
        await console.press("colon", *"approve", "enter")
        await console.shows("Approve release 1?")


async def test_a_remapped_key_is_the_one_that_works_and_is_told(build: Build, drive: Drive) -> None:
    preferences = Preferences(keys={"history": "f6", "zoom": "Z"})
    async with drive(build("done").project.root, (120, 80), preferences=preferences) as console:
        await console.shows("f6 history")
        await console.press("h")
        assert console.app.screen is console.app.main
        await console.press("f6")
        await console.shows("Releases of ml-model")
        await console.press("escape", "question_mark")
        await console.shows("f6 history")


def test_the_file_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert read_preferences(path) == Preferences()
    path.write_text('theme = "light"\nmouse = false\n[keys]\nhelp = ["?", "f2"]\n', encoding="utf-8")
    assert read_preferences(path) == Preferences(theme="light", mouse=False, keys={"help": ("?", "f2")})
    path.write_text('thme = "light"\n', encoding="utf-8")
    with pytest.raises(SettingsInvalid, match=r"config.toml: there is no setting thme. Did you mean theme\?"):
        read_preferences(path)
    path.write_text("ascii = 3\n", encoding="utf-8")
    with pytest.raises(SettingsInvalid, match="ascii"):
        read_preferences(path)


def test_a_theme_that_does_not_exist_is_refused_before_the_screen_opens(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"There is no theme drak. There are: dark, light, high-contrast"):
        MlconsoleApp(open_project(tmp_path), preferences=Preferences(theme="drak"))


@pytest.mark.parametrize(
    ("system", "theme"), [("truecolor", "textual-dark"), ("256", "textual-dark"), ("standard", "ansi-dark")]
)
def test_a_terminal_of_16_colours_gets_its_own(system: str, theme: str) -> None:
    assert chosen("", system, THEMES) == theme
    assert all(chosen(name, system, THEMES) == own for name, own in NAMES.items())


@pytest.mark.parametrize("theme", [*NAMES, "nord"])
@pytest.mark.parametrize("state", ["refused", "training"])
async def test_every_theme_draws_every_panel(build: Build, drive: Drive, theme: str, state: str) -> None:
    preferences = Preferences(theme=theme)
    async with drive(build("done", state).project.root, preferences=preferences) as console:
        for key in "123456?":
            await console.press(key)
        await console.shows("not now:")


@pytest.mark.parametrize("theme", ["high-contrast", "high-contrast-light"])
async def test_high_contrast_text_stands_out(build: Build, drive: Drive, theme: str) -> None:
    async with drive(build("done").project.root, preferences=Preferences(theme=theme)) as console:
        variables = console.app.get_css_variables()
        back = variables["background"]
        for name in ("foreground", "dim", "text-success", "text-warning", "text-error", "text-accent", "text-primary"):
            style = console.app.stylesheet.parse_style(f"${name} on {back}")
            assert style.foreground is not None
            assert style.background is not None
            front = style.background + style.foreground
            assert contrast(front.rgb, style.background.rgb) >= 7, name


def contrast(first: tuple[int, int, int], second: tuple[int, int, int]) -> float:
    """The contrast ratio of WCAG 2: https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio"""

    def luminance(rgb: tuple[int, int, int]) -> float:
        parts = [part / 255 for part in rgb]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("state", STATES)
async def test_in_ascii_nothing_else_goes_to_the_terminal(build: Build, drive: Drive, state: str) -> None:
    async with drive(build("done", state).project.root, (80, 24), preferences=Preferences(ascii=True)) as console:
        for key in "123456":
            await console.press(key)
            drawn = console.drawn
            assert drawn.isascii(), sorted({letter for letter in drawn if not letter.isascii()})
        await console.press("question_mark")
        assert console.drawn.isascii()


@pytest.mark.parametrize("text", ["│ ✓ done … → é 中 ⣿⠁ █▌ ß ​ Ω", "plain", "é"])
def test_ascii_signs_are_as_wide_as_what_they_stand_for(text: str) -> None:
    assert as_ascii(text).isascii()
    assert len(as_ascii(text)) == cell_len(text)


def test_no_sign_says_in_ascii_what_it_does_not_mean() -> None:
    assert as_ascii("≠ state  1 … 2  cut…") == "! state  1 ~ 2  cut~"
    assert as_ascii("▪◆◉○") == "*#0o"


def test_states_differ_in_ascii_too() -> None:
    signs = [as_ascii(glyph(state)) for state in ("running", "done", "reused", "waiting", "paused", "failed", None)]
    assert len(set(signs)) == len(signs)


@pytest.mark.parametrize(
    ("environment", "is_ascii"),
    [
        ({}, False),
        ({"LANG": "de_DE.UTF-8"}, False),
        ({"LANG": "en_US.utf8", "LC_ALL": "C"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
    ],
)
def test_ascii_is_chosen_where_the_locale_is_not_utf_8(environment: dict[str, str], is_ascii: bool) -> None:
    assert environment_is_ascii(environment) is is_ascii


def test_the_readme_has_the_keys_that_there_are() -> None:
    text = README.read_text(encoding="utf-8")
    assert with_table(text, REGISTRY) == text, "bring it up to date: mlconsole keys --into README.md"
