"""The decorator, the catalogue, and how a folder of scenarios is loaded."""

from __future__ import annotations

import dataclasses
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import scenario as module
from harness.errors import HarnessError
from harness.scenario import (
    Catalogue,
    ScenarioError,
    load,
    load_file,
    scenario,
    scenarios_folder,
    unknown,
)

ROOT = Path(__file__).resolve().parents[2]


async def lawful(lab):
    """It holds
    over two lines.

    The rest is for who reads the source.
    """


def made(function=lawful, **given):
    """Make a scenario of `function`; its record."""
    arguments: Any = {"id": "toy.it-holds", "law": 3, "provenance": "a bug"} | given
    return scenario(**arguments)(function).__scenario__


def test_the_record_has_what_was_given_and_what_follows_from_it():
    record = made()
    assert (record.id, record.family, record.title) == ("toy.it-holds", "toy", "it holds")
    assert record.law_text == "It holds over two lines."
    assert (record.strictness, record.clock, record.needs) == ("MUST", "real", ())
    assert record.permits == {}
    assert record.provenance == "a bug"
    assert record.function is lawful
    assert record.source == f"test_scenario.py:{lawful.__code__.co_firstlineno}"


def test_the_record_has_what_does_not_follow():
    record = made(
        id="a.b.c-d",
        family="other",
        title="A title",
        strictness="SHOULD",
        needs=["unix", "scm_rights"],
        permits={"early": "some kernels are"},
        clock="fake",
    )
    assert (record.family, record.title, record.strictness) == ("other", "A title", "SHOULD")
    assert (record.needs, record.clock) == (("unix", "scm_rights"), "fake")
    assert record.permits == {"early": "some kernels are"}


def test_the_rest_of_the_id_is_the_title():
    assert made(id="a.b.c-d").title == "b.c d"


def test_one_capability_is_not_taken_for_its_letters():
    assert made(needs="unix").needs == ("unix",)


def test_the_record_cannot_be_changed():
    permits = {"early": "some kernels are"}
    record = made(permits=permits)
    permits["late"] = "and some are not"
    assert record.permits == {"early": "some kernels are"}
    with pytest.raises(TypeError):
        record.permits["late"] = "no"
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.law = 4


def test_the_function_stays_what_it_is():
    assert scenario(id="toy.x", law=1, provenance="a bug")(lawful) is lawful


async def no_docstring(lab):
    pass


async def two_arguments(lab, more):
    """It holds."""


def not_async(lab):
    """It holds."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"id": "toy"}, "id must be family.what-happens"),
        ({"id": "Toy.it-holds"}, "id must be family.what-happens"),
        ({"id": "toy.it_holds"}, "id must be family.what-happens"),
        ({"id": "toy.it-holds "}, "id must be family.what-happens"),
        ({"id": "toy.-"}, "id must be family.what-happens"),
        ({"id": 7}, "id must be family.what-happens"),
        ({"family": "A family"}, "family 'A family' must be lower case"),
        ({"law": 0}, "law must be a number from 1 to 10, not 0"),
        ({"law": 11}, "law must be a number from 1 to 10, not 11"),
        ({"law": "3"}, "law must be a number from 1 to 10, not '3'"),
        ({"law": True}, "law must be a number from 1 to 10, not True"),
        ({"function": no_docstring}, "the docstring must state the law"),
        ({"title": " "}, "title is empty"),
        ({"strictness": "must"}, "strictness must be MUST or SHOULD or INFO, not 'must'"),
        ({"clock": "wall"}, "clock must be real or fake, not 'wall'"),
        ({"patience": 0.5}, "patience must be a number from 1, not 0.5"),
        ({"patience": float("nan")}, "patience must be a number from 1, not nan"),
        ({"provenance": " "}, "provenance is empty"),
        ({"provenance": None}, "provenance is empty"),
        ({"needs": ["Unix!"]}, "needs must be names of capabilities, not ('Unix!',)"),
        ({"permits": {"early": ""}}, "permit 'early' has no reason"),
        ({"function": not_async}, "it must be an async function"),
        ({"function": two_arguments}, "it must take one argument, the lab"),
    ],
)
def test_what_is_malformed_is_named_with_its_place(given, message):
    function = given.get("function", lawful)
    with pytest.raises(ScenarioError) as caught:
        made(**given)
    said = str(caught.value)
    assert message in said
    assert said.startswith(f"test_scenario.py:{function.__code__.co_firstlineno}: scenario ")
    assert "\n" not in said
    assert isinstance(caught.value, HarnessError)


def test_all_that_is_malformed_is_said_at_once():
    with pytest.raises(ScenarioError, match=r"law must be .*; provenance is empty"):
        made(law=0, provenance="")


# -- The catalogue


def catalogue(*ids):
    return Catalogue([made(id=name) for name in ids], Path("folder"))


def test_a_catalogue_is_in_the_order_that_it_was_given():
    found = catalogue("b.two", "a.one", "b.one")
    assert [item.id for item in found] == ["b.two", "a.one", "b.one"]
    assert len(found) == 3
    assert found.families == ("b", "a")
    assert found.folder == Path("folder")
    assert "a.one" in found
    assert "a.two" not in found
    assert found.get("a.one").id == "a.one"


def test_an_id_that_stands_twice_is_named_with_both_places():
    async def other(lab):
        """It holds too."""

    here, there = other.__code__.co_firstlineno, lawful.__code__.co_firstlineno
    with pytest.raises(ScenarioError) as caught:
        Catalogue([made(), made(other)], Path())
    assert str(caught.value) == (
        f"test_scenario.py:{here}: scenario 'toy.it-holds' is there already, "
        f"in test_scenario.py:{there}"
    )


def test_an_unknown_id_is_answered_with_what_looks_like_it():
    with pytest.raises(ScenarioError) as caught:
        catalogue("toy.passes", "other.thing").get("toy.pases")
    assert str(caught.value) == "there is no scenario 'toy.pases'; is it toy.passes?"


def test_unknown_offers_few_choices_all_and_many_only_when_they_look_like_it():
    few, many = ["red", "green"], [f"number-{n}" for n in range(20)]
    assert unknown("colour", "xyz", few) == "there is no colour 'xyz'; is it red or green?"
    assert unknown("colour", "xyz", many) == "there is no colour 'xyz'"
    assert unknown("colour", "number-7", many).startswith(
        "there is no colour 'number-7'; is it number-7 or number-"
    )


# -- Loading

HEAD = "from harness.scenario import scenario\n"


def text(name, body="pass"):
    return (
        f'@scenario(id="{name}", law=1, provenance="a bug")\n'
        f"async def it(lab):\n"
        f'    """It holds."""\n'
        f"    {body}\n\n\n"
    )


def test_a_folder_is_loaded_in_the_order_of_names_and_lines(tmp_path):
    (tmp_path / "b.py").write_text(HEAD + text("b.second") + text("b.first"))
    (tmp_path / "a.py").write_text(HEAD + text("a.only"))
    (tmp_path / "_helper.py").write_text("raise RuntimeError('must not be loaded')")
    (tmp_path / "notes.txt").write_text("neither")
    found = load(str(tmp_path))
    assert [item.id for item in found] == ["a.only", "b.second", "b.first"]
    assert [item.source for item in found] == ["a.py:2", "b.py:2", "b.py:8"]
    assert found.folder == tmp_path


def test_an_id_may_not_stand_in_two_files(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.py").write_text(HEAD + text("toy.twice"))
    with pytest.raises(ScenarioError, match=r"b\.py:2: .*'toy.twice' .* in a\.py:2"):
        load(tmp_path)


def test_a_module_can_be_found_by_its_name_while_it_loads_and_afterwards(tmp_path):
    """Dataclasses look their module up while they are made, pickle later."""
    file = tmp_path / "toy.py"
    file.write_text(
        "from __future__ import annotations\nimport dataclasses\n"
        + HEAD
        + "@dataclasses.dataclass\nclass Point:\n    x: dataclasses.InitVar[int]\n    y: int = 2\n"
        + text("toy.made")
    )
    (first,) = load_file(file)
    namespace = sys.modules[first.function.__module__].__dict__
    point = pickle.loads(pickle.dumps(namespace["Point"](1)))
    assert type(point) is namespace["Point"]


def test_modules_of_the_same_name_in_two_folders_are_two(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "toy.py").write_text(f"{HEAD}WHERE = {folder!r}\n" + text("toy.x"))
    functions = [load_file(tmp_path / name / "toy.py")[0].function for name in ("one", "two")]
    assert [sys.modules[one.__module__].__dict__["WHERE"] for one in functions] == ["one", "two"]


def test_what_a_module_loads_by_itself_is_not_its_own(tmp_path):
    (tmp_path / "inner.py").write_text(HEAD + text("inner.x"))
    (tmp_path / "outer.py").write_text(
        f"from pathlib import Path\nfrom harness.scenario import load_file\n{HEAD}"
        f"load_file(Path({str(tmp_path / 'inner.py')!r}))\n" + text("outer.x")
    )
    assert [item.id for item in load_file(tmp_path / "outer.py")] == ["outer.x"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_of_that_name\n", ":1: ModuleNotFoundError: No module named"),
        ("\n\n1 / 0\n", ":3: ZeroDivisionError: division by zero"),
        ("def f():\n    1 / 0\n\nf()\n", ":2: ZeroDivisionError"),
        ("x = 1\ny = (\n", ":2: SyntaxError: "),
        ("import json\n\njson.loads('{')\n", ":3: JSONDecodeError: "),
        (HEAD + text("Toy.x"), "toy.py:2: scenario 'Toy.x': id must be"),
    ],
)
def test_a_module_that_does_not_load_is_one_line_that_says_where(tmp_path, source, message):
    file = tmp_path / "toy.py"
    file.write_text(source)
    with pytest.raises(ScenarioError) as caught:
        load(tmp_path)
    assert message in str(caught.value)
    assert "toy.py" in str(caught.value)
    assert "\n" not in str(caught.value)
    # What is made afterwards is collected by nobody.
    assert made().id == "toy.it-holds"
    file.write_text(HEAD + text("toy.mended"))
    assert [item.id for item in load(tmp_path)] == ["toy.mended"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    for missing in (tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(ScenarioError, match=f"{missing}: no such folder of scenarios"):
            load(missing)


def test_the_folder_of_a_checkout_is_beside_the_package():
    assert scenarios_folder() == ROOT / "scenarios"


def test_an_installed_catalogue_comes_before_what_stands_beside_the_package(tmp_path, monkeypatch):
    package = tmp_path / "harness"
    monkeypatch.setattr(module, "__file__", str(package / "scenario.py"))
    with pytest.raises(ScenarioError, match="no scenarios folder found; give one"):
        scenarios_folder()
    beside = tmp_path / "scenarios"
    beside.mkdir()
    assert scenarios_folder() == beside
    inside = package / "_scenarios"
    inside.mkdir(parents=True)
    assert scenarios_folder() == inside
