"""Writes daemon/assumed/config/schema.json, the JSON Schema of the configuration for editors (`python docs/schema.py`).

It is generated from the loader's table of keys; tests/config/test_schema.py compares the two.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from assumed.config.keys import HOOK_KEYS, NOT_WITH_WEB_IDENTITY, ROLE_KEYS, SOURCE_KEYS, TOP_KEYS, Key

Schema = dict[str, Any]
SCHEMA = Path(__file__).parents[1] / "daemon" / "assumed" / "config" / "schema.json"
URL = "https://json-schema.org/draft/2020-12/schema"


def schema() -> Schema:
    """What a schema can express: names, types, limits, exclusions within a table. The loader checks more."""
    role = {key.name: _property(key) for key in ROLE_KEYS}
    defaults = {name: value for name, value in role.items() if name != "profile"}
    return {
        "$schema": URL,
        "title": "assumed: the roles to keep assumed",
        "type": "object",
        "additionalProperties": False,
        "required": ["roles"],
        "properties": {
            **{key.name: _property(key) for key in TOP_KEYS},
            "defaults": {
                "description": "What every role inherits that does not set it itself: anything but profile.",
                **_table(defaults),
            },
            "hooks": {
                "description": "Commands that are run, without a shell, when something has changed.",
                "type": "object",
                "additionalProperties": False,
                "properties": {key.name: _property(key) for key in HOOK_KEYS},
            },
            "roles": {
                "description": "One [[roles]] for each profile to keep.",
                "type": "array",
                "minItems": 1,
                "items": {**_table(role), "required": ["profile"]},
            },
        },
    }


def _table(properties: Schema) -> Schema:
    pairs = [(a, b) for i, a in enumerate(SOURCE_KEYS) for b in SOURCE_KEYS[i + 1 :]]
    pairs += [("web_identity_token_file", name) for name in NOT_WITH_WEB_IDENTITY]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "allOf": [{"not": {"required": list(pair)}} for pair in pairs],
    }


def _property(key: Key) -> Schema:
    unit = f" Unit: {key.unit}." if key.unit else ""
    described = {"description": f"{key.doc}{unit} Default: {key.default}.", "examples": [_example(key)]}
    return {**described, **_type(key)}


def _example(key: Key) -> object:
    return tomllib.loads(f"value = {key.example}")["value"]


def _type(key: Key) -> Schema:
    match key.kind:
        case "integer":
            return _given(type="integer", minimum=key.least, maximum=key.most)
        case "boolean":
            return {"type": "boolean"}
        case "strings":
            items = _given(type="string", minLength=1, pattern=f"^({key.shape})$" if key.shape else None)
            return _given(type="array", maxItems=key.most, items=items)
        case "table":
            values = {"type": "string", "maxLength": 256}
            names = {"minLength": 1, "maxLength": 128}
            return _given(type="object", maxProperties=key.most, propertyNames=names, additionalProperties=values)
        case "command":
            words = {"type": "array", "minItems": 1, "items": {"type": "string"}}
            return {"oneOf": [{"type": "string", "minLength": 1}, words]}
        case "policy":
            text = _given(type="string", minLength=key.least, maxLength=key.most)
            return {"oneOf": [text, {"type": "object", "required": ["Statement"]}]}
    if key.choices:
        return {"enum": list(key.choices)}
    pattern = f"^({key.shape or f'{key.allowed}*'})$" if key.shape or key.allowed else None
    return _given(type="string", minLength=key.least, maxLength=key.most, pattern=pattern)


def _given(**words: object) -> Schema:
    return {word: value for word, value in words.items() if value is not None}


def text() -> str:
    """The schema as it is shipped."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(text(), encoding="utf-8")
