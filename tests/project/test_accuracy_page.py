"""docs/accuracy.md and the record that it is made of."""

import json

from tests.accuracy.films import load
from tests.accuracy.page import PAGE, RECORD, page


def test_the_page_is_what_the_record_makes() -> None:
    assert page(json.loads(RECORD.read_text(encoding="utf-8"))) == PAGE.read_text(encoding="utf-8")


def test_every_film_of_the_table_was_tried() -> None:
    table, cells = load(), json.loads(RECORD.read_text(encoding="utf-8"))["cells"]
    tried = {(cell["film"], cell["clip"]) for cell in cells}
    assert {(row.name, suffix) for row in table.films for suffix in row.suffixes} <= tried
    assert {(refused.row.name, refused.suffix) for refused in table.refused} <= tried
    assert {sequence.name for sequence in table.sequences} <= {film for film, _ in tried}


def test_nothing_in_the_record_went_wrong() -> None:
    cells = json.loads(RECORD.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell["outcome"].startswith("WRONG")] == []
