"""A versioned file system as plain Python objects: what the real one is compared with."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field

from filmfs.core.ids import FileId, LayerId
from filmfs.versioning.rows import Kind


class Refused(Exception):
    """POSIX says no."""


@dataclass(eq=False)
class Node:
    """A file, symlink or directory; a hard link is the same Node under two names."""

    kind: Kind
    file: FileId
    data: bytes = b""
    children: dict[bytes, Node] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        return self.kind is Kind.DIRECTORY

    def walk(self, path: bytes = b"") -> Iterator[tuple[bytes, Node]]:
        for name, child in self.children.items():
            below = path + b"/" + name if path else name
            yield below, child
            yield from child.walk(below)

    def directories(self) -> list[Node]:
        return [self, *(node for _, node in sorted(self.walk(), key=lambda item: item[0]) if node.is_directory)]

    def files(self) -> list[Node]:
        return [node for _, node in sorted(self.walk(), key=lambda item: item[0]) if node.kind is Kind.FILE]

    def holds(self, other: Node) -> bool:
        return self is other or any(node is other for _, node in self.walk())


def add(parent: Node, name: bytes, node: Node) -> None:
    if name in parent.children:
        raise Refused
    parent.children[name] = node


def link(parent: Node, name: bytes, node: Node) -> None:
    if node.is_directory:
        raise Refused
    add(parent, name, node)


def unlink(parent: Node, name: bytes) -> None:
    if name not in parent.children or parent.children[name].is_directory:
        raise Refused
    del parent.children[name]


def rmdir(parent: Node, name: bytes) -> None:
    node = parent.children.get(name)
    if node is None or not node.is_directory or node.children:
        raise Refused
    del parent.children[name]


def rename(parent: Node, name: bytes, to: Node, new_name: bytes, replace: bool) -> None:
    node, target = parent.children.get(name), to.children.get(new_name)
    if node is None or (target is not None and not replace):
        raise Refused
    if target is node:
        return
    if node.is_directory and node.holds(to):
        raise Refused
    if target is not None and (target.is_directory != node.is_directory or target.children):
        raise Refused
    del parent.children[name]
    to.children[new_name] = node


def exchange(parent: Node, name: bytes, other: Node, other_name: bytes) -> None:
    first, second = parent.children.get(name), other.children.get(other_name)
    if first is None or second is None:
        raise Refused
    if first is second:
        return
    if (first.is_directory and first.holds(other)) or (second.is_directory and second.holds(parent)):
        raise Refused
    parent.children[name], other.children[other_name] = second, first


Shown = dict[bytes, tuple[FileId, Kind, int, bytes]]


def shown(root: Node) -> Shown:
    """Path → file id, kind, number of names, bytes or target."""
    names: dict[int, int] = {}
    for _, node in root.walk():
        names[id(node)] = names.get(id(node), 0) + 1

    def links(node: Node) -> int:
        return 2 + sum(child.is_directory for child in node.children.values()) if node.is_directory else names[id(node)]

    return {path: (node.file, node.kind, links(node), node.data) for path, node in root.walk()}


@dataclass
class Model:
    """What every branch and every commit should show."""

    branches: dict[str, Node]
    commits: dict[LayerId, Node] = field(default_factory=dict)

    def copied(self) -> Model:
        return copy.deepcopy(self)
