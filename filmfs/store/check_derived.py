"""Proves what is recorded of proxies: each of their files is a content that is here."""

from filmfs.core.errors import Corrupt
from filmfs.core.ids import ContentId
from filmfs.store.check import Referenced
from filmfs.store.contents import find_map
from filmfs.store.derived import DERIVED, RENDITIONS, derived_of_value
from filmfs.store.findings import DAMAGED, FaultKind, OfContent, Reading
from filmfs.store.jobs import JOBS


def check_derived(reading: Reading, referenced: Referenced) -> None:
    """Their contents are `referenced` too."""
    for key, value in reading.rows(DERIVED, lambda key: OfContent(ContentId(key[:32]))):
        if value is DAMAGED:
            continue
        original = ContentId(key[:32])
        try:
            made = derived_of_value(value)
        except Corrupt as error:
            reading.findings.add(FaultKind.CONTENT, f"content {original.hex()}: {error}", OfContent(original))
            continue
        for file in made.files:
            referenced.contents.add(file.content[:8])
            kept = find_map(reading.transaction, file.content)
            if kept is None or kept.size != file.size:
                what = f"the {made.name} of content {original.hex()} is not here ({file.kind} {file.content.hex()})"
                reading.findings.add(FaultKind.CONTENT, what, OfContent(original))
    for table in (RENDITIONS, JOBS):
        for _ in reading.rows(table):
            pass
