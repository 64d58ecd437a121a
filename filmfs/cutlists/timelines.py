"""Reads timelines that are no EDL: OTIO, FCPXML, Final Cut 7's XML, AAF and ALE, through OpenTimelineIO.

OpenTimelineIO and its adapters are optional (`pip install filmfs[timelines]`) and are loaded when they are needed.
They trust what they read, so it is looked at first: XML may declare no entities and name no file, and nothing may be
nested so deeply that a parser's stack ends. What they raise ends here.
"""

import contextlib
import importlib.util
import json
import os.path
import tempfile
from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

from filmfs.core.errors import BadCutList, FilmFSError, Unsupported
from filmfs.cutlists.decoding import decoded
from filmfs.cutlists.flattening import clip_list, flatten
from filmfs.cutlists.model import CutList

SIZE_MAX = 64 << 20
_DEPTH_MAX = 400
_AAF_MAGIC = bytes.fromhex("d0cf11e0a1b11ae1")  # a compound file, as AAF is
_ADAPTERS = {
    ".otio": ("opentimelineio", "otio_json"),
    ".fcpxml": ("otio_fcpx_xml_adapter", "fcpx_xml"),
    ".xml": ("otio_fcp_adapter", "fcp_xml"),
    ".aaf": ("otio_aaf_adapter", "AAF"),
    ".ale": ("otio_ale_adapter", "ale"),
}
SUFFIXES = tuple(_ADAPTERS)


def read_timeline(data: bytes, name: str, timeline: str | None = None) -> CutList:
    """The cut list that a timeline's file is; its name says what it is. `timeline` chooses one of several.

    Raises BadCutList, and Unsupported where OpenTimelineIO or the adapter is not installed.
    """
    suffix = os.path.splitext(name)[1].lower()
    if suffix not in _ADAPTERS:
        raise BadCutList(f"{name} is no kind of timeline that filmfs reads ({', '.join(SUFFIXES)})")
    if len(data) > SIZE_MAX:
        raise BadCutList(f"{name} is larger than {SIZE_MAX >> 20} MiB")
    module, adapter = _ADAPTERS[suffix]
    for needed in ("opentimelineio", module):
        if importlib.util.find_spec(needed) is None:
            raise Unsupported(f"{name} needs {needed}, which is not installed: pip install filmfs[timelines]")
    with _refusing(name):
        root = _read_aaf(data) if suffix == ".aaf" else _read_text(_checked(decoded(data), suffix), adapter)
        stem = os.path.splitext(os.path.basename(name))[0]
        chosen = _chosen(root, timeline)
        return clip_list(_members(chosen), stem) if _is_collection(chosen) else flatten(chosen, stem)


@contextlib.contextmanager
def _refusing(name: str) -> Iterator[None]:
    """Whatever an adapter raises becomes a refusal of the file: adapters raise anything."""
    try:
        yield
    except FilmFSError:
        raise
    except Exception as error:
        raise BadCutList(f"{name} cannot be read: {type(error).__name__}: {str(error)[:300]}") from error


def _read_text(text: str, adapter: str) -> Any:
    import opentimelineio

    return opentimelineio.adapters.read_from_string(text, adapter)


def _read_aaf(data: bytes) -> Any:
    import opentimelineio

    if not data.startswith(_AAF_MAGIC):
        raise BadCutList("it is no AAF file")
    with tempfile.NamedTemporaryFile(suffix=".aaf") as file:  # its library reads files only
        file.write(data)
        file.flush()
        return opentimelineio.adapters.read_from_file(file.name, "AAF")


def _checked(text: str, suffix: str) -> str:
    """The text, if a parser can be trusted with it."""
    if suffix == ".otio":
        return _without_markers(text)
    if suffix in (".xml", ".fcpxml"):
        check_xml(text)
    return text


def _without_markers(text: str) -> str:
    """OTIO's JSON without marks: nothing here asks for them, and newer ones than the library knows stop it."""
    try:
        tree = json.loads(text)
    except RecursionError:
        raise BadCutList("it is nested too deeply") from None
    level = [tree]
    for _ in range(_DEPTH_MAX):
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                if "markers" in node:
                    node["markers"] = []
                below += node.values()
            elif isinstance(node, list):
                below += node
        level = below
        if not level:
            return json.dumps(tree)
    raise BadCutList("it is nested too deeply")


def check_xml(text: str) -> None:
    """Refuses XML that declares entities, names files to be read, is nested too deeply or is none."""
    depth = 0

    def begin(_name: str, _attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEPTH_MAX:
            raise BadCutList("it is nested too deeply")

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1

    def doctype(_name: str, system: str | None, public: str | None, internal: int) -> None:
        if internal:
            raise BadCutList("its DOCTYPE has declarations, which no timeline needs")
        if public or (system and not system.lower().endswith(".dtd")):
            raise BadCutList("its DOCTYPE names a file to be read")

    def entity(*_declared: object) -> None:
        raise BadCutList("it declares entities, which no timeline needs")

    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = entity
    try:
        parser.Parse(text.encode("utf-8", errors="surrogatepass"), True)
    except expat.ExpatError as error:
        raise BadCutList(f"it is no XML: {error}") from None


def _chosen(root: Any, wanted: str | None) -> Any:
    """The timeline that is meant: there is one, or it is named."""
    found = _timelines(root)
    if wanted is not None:
        found = [one for one in found if one.name == wanted]
        if not found:
            raise BadCutList(f"it has no timeline {wanted!r}")
    if len(found) > 1:
        names = ", ".join(repr(str(one.name)) for one in found[:20])
        raise BadCutList(f"it has {len(found)} timelines; choose one of {names}")
    return found[0] if found else root


def _timelines(root: Any) -> list[Any]:
    if type(root).__name__ == "Timeline":
        return [root]
    return [one for member in root for one in _timelines(member)] if _is_collection(root) else []


def _members(collection: Any) -> list[Any]:
    """What is in a collection and in those that it holds."""
    return [
        one
        for member in collection
        for one in (_members(member) if _is_collection(member) else [member])
        if one is not None
    ]


def _is_collection(root: Any) -> bool:
    return type(root).__name__ == "SerializableCollection"
