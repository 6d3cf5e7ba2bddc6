"""Reads paths of JSON files from standard input, each after its format and a tab, and says of each
whether it is JSON, and whether it keeps this project's rules beside: `1 1`, `1 0` or `0 0`."""

import json
import sys

MOST_LEVELS = 100


class Object(list):
    """An object as the list of its keys and values, in which a key may be twice."""

    def values_of(self, wanted):
        return [value for key, value in self if key == wanted]

    def has_twice(self, keys):
        return any(len(self.values_of(key)) > 1 for key in keys)


def refuse(literal):
    raise ValueError(literal)


def read(content):
    text = content.decode("utf-8")
    # Numbers stay text: Python takes no integer of more than 4300 digits.
    document = json.loads(
        text, object_pairs_hook=Object, parse_constant=refuse, parse_int=str, parse_float=str
    )
    for part in parts(document):
        if isinstance(part, str):
            part.encode("utf-8")
    return document


def parts(document):
    """All values in a document, and all keys."""
    waiting = [document]
    while waiting:
        part = waiting.pop()
        yield part
        if isinstance(part, Object):
            for key, value in part:
                waiting += [key, value]
        elif isinstance(part, list):
            waiting += part


def levels(document):
    depth, layer = 0, [document]
    while layer := [part for part in layer if isinstance(part, list)]:
        depth += 1
        layer = [
            inner
            for part in layer
            for inner in ([value for _, value in part] if isinstance(part, Object) else part)
        ]
    return depth


def is_array(value):
    return isinstance(value, list) and not isinstance(value, Object)


def all_arrays(objects, key, check=lambda value: True):
    """Whether these are objects that have the key once at most, as an array whose values pass."""
    return all(
        isinstance(one, Object)
        and not one.has_twice([key])
        and all(is_array(value) and all(map(check, value)) for value in one.values_of(key))
        for one in objects
    )


def is_playwright_suite(suite):
    return all_arrays([suite], "suites", is_playwright_suite) and all_arrays(
        [suite],
        "specs",
        lambda spec: all_arrays([spec], "tests", lambda test: all_arrays([test], "results")),
    )


def is_record(record):
    """Whether no key is twice in a record, its history, spans and their details."""
    objects = [record] if isinstance(record, Object) else []
    for inner in ["history", "children", "detail"]:
        if any(one.has_twice(key for key, _ in one) for one in objects):
            return False
        values = [value for one in objects for value in one.values_of(inner)]
        if inner == "children":
            values = [value for array in values if is_array(array) for value in array]
        objects = [value for value in values if isinstance(value, Object)]
    return not any(one.has_twice(key for key, _ in one) for one in objects)


def has(root, key, check=lambda value: True):
    return isinstance(root, Object) and root.values_of(key) and all_arrays([root], key, check)


OUTLINES = {
    "json": lambda root: is_array(root) and all(map(is_record, root)),
    "rspec-json": lambda root: has(root, "examples"),
    "jest-json": lambda root: has(
        root, "testResults", lambda file: all_arrays([file], "assertionResults")
    ),
    "playwright-json": lambda root: has(root, "suites", is_playwright_suite),
    "cucumber-json": lambda root: is_array(root) and all_arrays(root, "elements"),
}

for line in sys.stdin:
    form, path = line.rstrip("\n").split("\t")
    with open(path, "rb") as file:
        content = file.read()
    try:
        document = read(content)
    except ValueError:
        print("0 0")
        continue
    print("1", int(bool(levels(document) <= MOST_LEVELS and OUTLINES[form](document))))
