"""Work that a look-up needs and another thread shall do: who looks again after it finds what it made."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Work:
    """`run` makes what `key` names: work of one key is done once, however many wait for it.

    `is_on_durable`: it sees only what is durable, so a flush must be waited for before it.
    """

    key: object
    run: Callable[[], object] = field(compare=False)
    is_on_durable: bool = False

    def __call__(self) -> None:
        self.run()
