"""A cut list of any kind that is read, by the suffix of its name."""

import os

from filmfs.core.errors import BadCutList
from filmfs.cutlists.cmx3600 import read_edl
from filmfs.cutlists.model import CutList
from filmfs.cutlists.timelines import read_timeline

EDL = ".edl"
TIMELINES = (".otio", ".fcpxml", ".xml", ".aaf", ".ale")
SUFFIXES = (EDL, *TIMELINES)
SIZE_MAX = 256 << 20


def is_list_name(name: str) -> bool:
    """Whether a file of that name may be a cut list."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def read_list(data: bytes, name: str) -> CutList:
    """The cut list that a file is. Raises BadCutList, and Unsupported where a library that reads it is not there."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix == EDL:
        return read_edl(data)
    if suffix in TIMELINES:
        return read_timeline(data, name)
    raise BadCutList(f"{name} is no kind of cut list that is read: {', '.join(SUFFIXES)}")
