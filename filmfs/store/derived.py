"""What was made of contents: for each original and recipe the files that came of it, and of what each such file is.

`derived`     original's ContentId, key of the recipe (16 bytes) → what was made
`renditions`  ContentId of a file that was made → ContentId of its original: it is not proxied again
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from blake3 import blake3

from filmfs.core.errors import Corrupt
from filmfs.core.ids import ContentId
from filmfs.store.database import Transaction

DERIVED = b"derived"
RENDITIONS = b"renditions"
_KEY = 16


@dataclass(frozen=True, slots=True)
class DerivedFile:
    """A file that was made: `kind` is what it is beside others of the same recipe (`film`, `poster`, `filmstrip`)."""

    kind: str
    content: ContentId
    size: int
    suffix: str


@dataclass(frozen=True, slots=True)
class Derived:
    """What a recipe made of an original; `name` is the rendition's, `facts` what else there is to tell."""

    name: str
    files: tuple[DerivedFile, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def film(self) -> DerivedFile:
        """The rendition itself."""
        return self.files[0]


def recipe_key(identity: str) -> bytes:
    """Names a recipe by all that its bytes depend on."""
    return blake3(identity.encode()).digest(_KEY)


def adopted_key(name: str) -> bytes:
    """Stands in the place of a recipe's key for a proxy that was not made here, but adopted."""
    return recipe_key(f"adopted {name}")


def put_derived(transaction: Transaction, original: ContentId, recipe: bytes, made: Derived) -> None:
    """Records what was made. Its files are contents already."""
    files = [[file.kind, file.content, file.size, file.suffix] for file in made.files]
    transaction.put(DERIVED, original + recipe, [made.name, files, dict(made.facts)])
    for file in made.files:
        transaction.put(RENDITIONS, file.content, original)


def drop_derived(transaction: Transaction, original: ContentId, recipe: bytes) -> None:
    """Forgets what a recipe made of an original. Its files stay what they were: renditions, which nobody proxies."""
    transaction.delete(DERIVED, original + recipe)


def drop_derived_named(transaction: Transaction, original: ContentId, name: str) -> None:
    """Forgets all that was made of an original under a name, by whatever recipe, or adopted."""
    for key, raw in list(transaction.scan(DERIVED, original)):
        if derived_of_value(transaction.value(DERIVED, key, raw)).name == name:
            transaction.delete(DERIVED, key)


def find_derived(transaction: Transaction, original: ContentId, recipe: bytes) -> Derived | None:
    """What a recipe made of an original, if it did. Raises Corrupt."""
    value = transaction.get(DERIVED, original + recipe)
    return None if value is None else derived_of_value(value)


def find_made_or_adopted(transaction: Transaction, original: ContentId, recipe: bytes, name: str) -> Derived | None:
    """What a recipe of a name made of an original, else what was adopted in its place."""
    made = find_derived(transaction, original, recipe)
    return made if made is not None else find_derived(transaction, original, adopted_key(name))


def all_derived(transaction: Transaction, original: ContentId | None = None) -> Iterator[tuple[ContentId, Derived]]:
    """All that was made of an original, or of any, with the original. Raises Corrupt."""
    for key, raw in transaction.scan(DERIVED, original or b""):
        yield ContentId(key[:-_KEY]), derived_of_value(transaction.value(DERIVED, key, raw))


def original_of(transaction: Transaction, content: ContentId) -> ContentId | None:
    """What a content was made of, if it was."""
    found = transaction.get(RENDITIONS, content)
    return None if found is None else ContentId(found)


def derived_of_value(value: Any) -> Derived:
    """What a record says. Raises Corrupt."""
    try:
        name, files, facts = value
        return Derived(name, tuple(DerivedFile(k, ContentId(c), s, suffix) for k, c, s, suffix in files), facts)
    except (TypeError, ValueError) as error:
        raise Corrupt(f"a record of what was made of a film cannot be understood ({error})") from error
