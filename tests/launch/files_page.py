"""docs/files.md: the columns that it promises, against those of a run."""

import csv
import pathlib
import re

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "files.md"
_COLUMN = re.compile(r"^\| `(\w+)` \| (int|float|text) \|.*\| (.*) \|$", re.MULTILINE)
_READERS = {"int": int, "float": float, "text": str}


def tables(heading):
    """The tables under a heading: each from a column's name to (type, meaning)."""
    _, _, section = _PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    section, _, _ = section.partition("\n## ")
    parts = section.split("| column | type | unit | what it is |\n")[1:]
    return [
        {name: (kind, meaning) for name, kind, meaning in _COLUMN.findall(part)}
        for part in parts
    ]


def metrics(*, cohorts=False, elects=True, waits=True):
    """The columns of metrics.csv in a run, as of `tables`."""
    always, of_cohorts, of_elections, of_waiting = tables("metrics.csv")
    names = list(always)

    def insert(before, columns):
        place = names.index(before)
        names[place:place] = columns

    if elects:
        insert("contributed_min", of_elections)
    if cohorts:
        insert("clients", list(of_cohorts)[:7])
    for wanted, columns in ((waits, of_waiting), (cohorts, list(of_cohorts)[7:])):
        if wanted:
            insert("test_accuracy", columns)
    every = always | of_cohorts | of_elections | of_waiting
    return {name: every[name] for name in names}


def keys(heading):
    """The keys of the two-column table under a heading, in its order."""
    _, _, section = _PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    section, _, _ = section.partition("\n## ")
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]


def files():
    """The names in the table of files, without the slash of a directory."""
    before, _, _ = _PAGE.read_text(encoding="utf-8").partition("\n## ")
    return {name for name in re.findall(r"^\| `([\w.]+)/?` \|", before, re.MULTILINE)}


def check(path, columns):
    """Checks the header of a CSV file and the type of every cell."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert header == list(columns)
    for row in rows:
        for cell, (name, (kind, meaning)) in zip(row, columns.items(), strict=True):
            assert cell or "empty" in meaning, name
            if cell:
                _READERS[kind](cell)
