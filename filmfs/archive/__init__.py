"""Composition: opens one archive, wires its parts, and offers what needs several of them."""

from filmfs.archive.opening import Archive, Mode, find_archive

__all__ = ["Archive", "Mode", "find_archive"]
