"""Tables as Markdown that is readable as plain text."""

from collections.abc import Sequence


def render(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right.

    Args:
      header: The columns' names.
      rows: The cells, as many a row as there are columns.
    """
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(c.rjust(width) for c, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])]) + "\n"


def with_spread(values: Sequence[float], form: str) -> str:
    """The mean of the values and, where they are several, the least and the largest.

    Args:
      values: Numbers, at least one.
      form: How a number is written, such as ".1%".
    """
    mean = sum(values) / len(values)
    if len(values) == 1:
        return format(mean, form)
    return f"{mean:{form}} ({min(values):{form}} to {max(values):{form}})"
