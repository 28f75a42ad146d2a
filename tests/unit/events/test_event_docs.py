"""docs/events.md and docs/asyncapi.yaml say what the code does: every example is run."""

import json
import re
from pathlib import Path

import pytest
import yaml

from kindred.declaration import Kind, PayloadKind, Role, load, parse
from kindred.events.decode import decode
from kindred.events.lines import read_lines
from kindred.events.schema import Contract, Reason, Record

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "events.md").read_text()
ASYNCAPI = yaml.safe_load((DOCS / "asyncapi.yaml").read_text())
NOW_MS = 1_780_000_000_000
CONTRACT = Contract("interactions", "users", "items", frozenset(load().events))
EVENTS_OF = {"interactions": "interactions", "users": "profiles", "items": "descriptions"}


def fenced(language):
    """Text of each block that is fenced as this language, with the word behind it."""
    return re.findall(rf"^```{language}(?: (\w+))?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def decoded_kind(topic, text):
    decoded = decode([Record(topic, 0, 0, NOW_MS, b"key", text.encode())], CONTRACT)
    assert decoded.dead_letters == []
    return getattr(decoded, EVENTS_OF[topic])


JSON_BLOCKS = fenced("json")


@pytest.mark.parametrize(("topic", "text"), [block for block in JSON_BLOCKS if block[0] in EVENTS_OF])
def test_each_example_of_the_page_is_an_event_of_its_topic(topic, text):
    assert len(decoded_kind(topic, text)) == 1


@pytest.mark.parametrize("text", [text for name, text in JSON_BLOCKS if name == "lines"])
def test_each_line_of_the_page_is_read(tmp_path, text):
    path = tmp_path / "lines.jsonl"
    path.write_text(text)
    assert len(list(read_lines(path, CONTRACT))) == text.count("\n")


def test_every_example_is_marked_with_what_it_is():
    assert {name for name, _ in JSON_BLOCKS} == {"interactions", "users", "items", "lines"}


def asyncapi_examples():
    for topic, channel in ASYNCAPI["channels"].items():
        for name in channel["messages"]:
            for example in ASYNCAPI["components"]["messages"][name].get("examples", ()):
                yield topic, json.dumps(example["payload"])


@pytest.mark.parametrize(("topic", "text"), list(asyncapi_examples()))
def test_each_asyncapi_example_is_an_event_of_its_channel(topic, text):
    assert len(decoded_kind(topic, text)) == 1


def test_every_asyncapi_reference_leads_somewhere():
    def references(node):
        if isinstance(node, dict):
            yield from [node["$ref"]] if "$ref" in node else []
            node = list(node.values())
        for part in node if isinstance(node, list) else ():
            yield from references(part)

    for reference in references(ASYNCAPI):
        node = ASYNCAPI
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_the_page_lists_exactly_the_reasons_that_there_are():
    table = PAGE.split("| reason | when |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(Reason)


def test_the_declaration_of_the_page_is_valid_and_every_kind_is_explained():
    ((_, toml),) = fenced("toml")
    parse(toml, "docs/events.md")
    assert all(f"`{name}`" in PAGE for name in (*Kind, *PayloadKind, *Role))
