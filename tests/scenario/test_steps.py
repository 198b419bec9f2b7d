"""A step of the file becomes the step that the engine sends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.scenario.files import faults, load, shop
from velro_gate.model.scenario import Body, Capture, ContainsCheck, JsonCheck, Step


def step(folder: Path, given: dict[str, Any], **top: Any) -> Step:
    """The shop's last step with these keys set."""
    data = {**shop(), **top}
    data["steps"][1] |= given
    return load(data, folder).steps[1]


def step_faults(folder: Path, given: dict[str, Any]) -> list[str]:
    """What is wrong with the shop's last step when these keys are set."""
    data = shop()
    data["steps"][1] |= given
    return faults(data, folder)


def test_a_step_that_says_nothing_else_is_a_get_that_expects_200(tmp_path: Path) -> None:
    found = step(tmp_path, {"path": "/"})
    assert found == Step(name="show", method="GET", path="/", probability=1.0)


def test_every_part_of_a_step_reaches_the_engine(tmp_path: Path) -> None:
    given = {
        "method": "POST",
        "path": "/a/${item}",
        "probability": "25 %",
        "headers": {"X-A": 1},
        "query": {"b": True, "c": "x y"},
        "json": {"z": 1, "a": ["${item}", None, 1.5]},
        "expect": [201, 202],
        "checks": [{"json": "$.a[0].b"}, {"json": "$.n", "equals": None}, {"contains": "ok"}],
        "capture": {"x": "$", "y": {"header": "X-Y"}, "z": {"cookie": "sid"}},
        "timeout": "500 ms",
    }
    assert step(tmp_path, given) == Step(
        name="show",
        method="POST",
        path="/a/${item}",
        probability=0.25,
        headers=(("X-A", "1"),),
        query=(("b", "true"), ("c", "x y")),
        body=Body(template='{"a":["${item}",null,1.5],"z":1}', content_type="application/json"),
        expect_status=frozenset({201, 202}),
        checks=(
            JsonCheck(path="$.a[0].b"),
            JsonCheck(path="$.n", equals=None, has_expected=True),
            ContainsCheck(text="ok"),
        ),
        captures=(
            Capture(name="x", source="json", path="$"),
            Capture(name="y", source="header", path="X-Y"),
            Capture(name="z", source="cookie", path="sid"),
        ),
        timeout=0.5,
    )


def test_one_expected_status_needs_no_list(tmp_path: Path) -> None:
    assert step(tmp_path, {"expect": 204}).expect_status == {204}


def test_a_raw_body_goes_as_it_is_written(tmp_path: Path) -> None:
    assert step(tmp_path, {"body": "a,b\n", "content_type": "text/csv"}).body == Body(template="a,b\n", content_type="text/csv")
    assert step(tmp_path, {"body": "hi"}).body == Body(template="hi", content_type="text/plain; charset=utf-8")


@pytest.mark.parametrize("value", [None, [], 0, False, "text", {"ü": "\N{ROCKET}"}])
def test_any_json_value_can_be_a_body(tmp_path: Path, value: object) -> None:
    body = step(tmp_path, {"json": value}).body
    assert body is not None
    assert json.loads(body.template) == value


def test_json_may_have_a_content_type_of_its_own(tmp_path: Path) -> None:
    assert step(tmp_path, {"json": 1, "content_type": "application/ld+json"}).body == Body(
        template="1", content_type="application/ld+json"
    )


def test_shared_headers_go_with_every_step_and_give_way_to_its_own_whatever_the_case(tmp_path: Path) -> None:
    found = step(tmp_path, {"headers": {"x-a": "own"}}, headers={"X-A": "shared", "X-B": "${user.id}"})
    assert found.headers == (("X-B", "${user.id}"), ("x-a", "own"))


def test_a_shared_header_cannot_use_what_a_later_step_captures(tmp_path: Path) -> None:
    (fault,) = faults({**shop(), "headers": {"X-Item": "${item}"}}, tmp_path)
    assert "${item} is used before step 'list' captures it" in fault


@pytest.mark.parametrize(
    "text", ["${user.id}", "${user.index}", "${item}", "${env.NAME}", "a${item}b${user.id}c", "$", "$item", "{item}", "$$"]
)
def test_these_texts_are_sound_templates(tmp_path: Path, text: str) -> None:
    assert step(tmp_path, {"query": {"q": text}}).query == (("q", text),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${user.name}", "known: ${user.id}, ${user.index}"),
        ("${}", "unknown placeholder ${}"),
        ("${ item }", "unknown placeholder ${ item } (did you mean 'item'?)"),
        ("${env.}", "is not the name of an environment variable"),
        ("${env.9X}", "is not the name of an environment variable"),
        ("${env.A:-b}", "under 'target' only"),
        ("${item", "'${' is never closed"),
        ("${a${item}}", "'${' is never closed"),
        ("${item.id}", "there is no feeder 'item'"),
        ("${user}", "unknown placeholder ${user}"),
    ],
)
@pytest.mark.parametrize("place", ["path", "header", "query", "body", "json", "json key"])
def test_a_bad_placeholder_is_found_wherever_it_stands(tmp_path: Path, text: str, says: str, place: str) -> None:
    given: dict[str, dict[str, Any]] = {
        "path": {"path": f"/{text}"},
        "header": {"headers": {"X-A": text}},
        "query": {"query": {"q": text}},
        "body": {"body": text},
        "json": {"json": {"a": [{"b": text}]}},
        "json key": {"json": {text: 1}},
    }
    reported = step_faults(tmp_path, given[place])
    assert any(says in fault for fault in reported), reported


def test_a_feeder_named_without_a_column_is_refused_with_how_to_name_it(tmp_path: Path) -> None:
    data = {**shop(), "feeders": {"things": {"rows": 1, "columns": {"id": "uuid"}}}}
    data["steps"][0]["path"] = "/${things}"
    (fault,) = faults(data, tmp_path)
    assert "${things} is a feeder: name a column of it (for example ${things.id})" in fault


def test_a_later_step_may_use_what_the_same_step_captured_in_an_earlier_journey_only_if_it_stands_above(tmp_path: Path) -> None:
    (fault,) = step_faults(tmp_path, {"path": "/${own}", "capture": {"own": "$.id"}})
    assert "${own} is used before step 'show' captures it" in fault


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"path": "/ä"}, "must be percent-encoded"),
        ({"path": "/a#b"}, "must be percent-encoded"),
        ({"path": ""}, "does not start with '/'"),
        ({"headers": {"Host": "x"}}, "is set by the engine"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "is given twice"),
        ({"headers": {"X-A": [1]}}, "a text is expected, not a list"),
        ({"method": "HEAD", "json": {}}, "HEAD carries no body"),
        ({"content_type": "text/csv"}, "belongs to a 'body' or 'json'"),
        ({"json": {}, "content_type": "text/csv"}, "is not a kind of JSON"),
        ({"body": "a", "content_type": "text/csv\r\nX: y"}, "headers cannot carry"),
        ({"json": {}, "headers": {"content-type": "application/ld+json"}}, "write 'content_type:' next to the body"),
        ({"headers": {"X-Name": "Zoë"}}, "headers cannot carry"),
        ({"query": {"${item}": "a"}}, "only in the values of a query"),
        ({"expect": []}, "must not be empty"),
        ({"expect": 99}, "must be at least 100"),
        ({"expect": "200"}, "a list is expected"),
        ({"timeout": 0}, "must be more than 0"),
        ({"checks": [{"json": "$.a", "equals": [1]}]}, "equals"),
        ({"checks": [{"contains": ""}]}, "must not be empty"),
        ({"capture": {"user": "$.id"}}, "a built-in placeholder"),
        ({"capture": {"x": {"header": "A", "json": "$.a"}}}, "exactly one of json, header, cookie"),
        ({"limits": {"p59": "< 1 s"}}, "did you mean 'p99'"),
        ({"limits": {"users_held": ">= 1"}}, "a figure of a whole phase"),
    ],
)
def test_a_step_that_cannot_be_sent_or_read_is_refused(tmp_path: Path, given: dict[str, Any], says: str) -> None:
    reported = step_faults(tmp_path, given)
    assert any(says in fault for fault in reported), reported


@pytest.mark.parametrize("given", [{"checks": [{"json": ""}]}, {"capture": {"x": {"json": ""}}}])
def test_an_empty_json_path_is_no_path(given: dict[str, Any], tmp_path: Path) -> None:
    (found,) = step_faults(tmp_path, given)
    assert "'' is not a JSON path" in found
