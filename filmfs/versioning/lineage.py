"""Which layers a branch sees.

A lineage is segments, newest first: (branch, last layer of it that is visible). A row is visible when its layer belongs
to a branch of the lineage and is not past that branch's last one.
"""

from dataclasses import dataclass

from filmfs.core.ids import BranchId, LayerId

NEWEST = LayerId((1 << 63) - 1)


@dataclass(frozen=True, slots=True)
class Lineage:
    """The segments that a branch, or a commit, sees."""

    segments: tuple[tuple[BranchId, LayerId], ...]

    @classmethod
    def of_new(cls, branch: BranchId) -> "Lineage":
        """The lineage of a branch without ancestors."""
        return cls(((branch, NEWEST),))

    @property
    def branch(self) -> BranchId:
        """The branch whose lineage this is."""
        return self.segments[0][0]

    def sees(self, branch: BranchId, layer: LayerId) -> bool:
        """Whether rows that `layer` of `branch` wrote are visible."""
        return any(branch == of and layer <= last for of, last in self.segments)

    def at(self, branch: BranchId, layer: LayerId) -> "Lineage":
        """This lineage as it was when `layer` of `branch` was the newest."""
        for index, (of, last) in enumerate(self.segments):
            if of == branch and layer <= last:
                return Lineage(((branch, layer), *self.segments[index + 1 :]))
        raise ValueError(f"layer {layer} is not in this lineage")

    def child(self, branch: BranchId) -> "Lineage":
        """The lineage of a new `branch` that starts from this point."""
        return Lineage(((branch, NEWEST), *self.segments))
