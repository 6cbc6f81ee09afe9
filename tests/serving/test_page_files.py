"""The scripts of the page: each is served, and they import each other without a circle."""

import re
from graphlib import TopologicalSorter
from importlib.resources import files

SCRIPTS = {each.name: each.read_text() for each in (files("embedkit.serving") / "page/scripts").iterdir()}
IMPORT = re.compile(r'^import {([^}]*)} from "\./([^"]*)";$', re.MULTILINE)


def test_every_script_is_served_and_no_other(client):
    for name, text in SCRIPTS.items():
        answer = client.get(f"/scripts/{name}")
        assert (answer.status, answer.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert answer.body.decode() == text
    assert client.get("/scripts/other.js").status == 404


def test_scripts_import_what_others_export_without_a_circle():
    imports = {name: IMPORT.findall(text) for name, text in SCRIPTS.items()}
    order = TopologicalSorter({name: {other for _, other in found} for name, found in imports.items()})
    assert set(order.static_order()) == set(SCRIPTS)
    assert [text.count("import ") for text in SCRIPTS.values()] == [len(found) for found in imports.values()]
    for name, found in imports.items():
        for names, other in found:
            for each in map(str.strip, names.split(",")):
                assert re.search(rf"^export .*\b{each}\b", SCRIPTS[other], re.MULTILINE), (name, each)
                assert len(re.findall(rf"\b{each}\b", SCRIPTS[name])) > 1, f"{name} does not use {each}"
