"""What a timeline's clip says of the file that it is of, and what the timeline says of its counting."""

from typing import Any
from urllib.parse import unquote, urlsplit

from filmfs.cutlists.model import Origin

_REELS = (  # where adapters leave a reel's name
    ("cmx_3600", "reel"),
    ("ALE", "Tape"),
    ("ALE", "Reel"),
    ("ALE", "Reel Name"),
    ("ALE", "Labroll"),
    ("ALE", "Camroll"),
    ("fcp_xml", "timecode", "reel", "name"),
    ("fcp_xml", "file", "timecode", "reel", "name"),
)
_BLACK = {"BL", "BLACK"}


def source_file_of(clip: Any) -> str | None:
    """The path of its media, as the timeline says it."""
    media = clip.media_reference
    kind = type(media).__name__
    if kind == "ImageSequenceReference":
        return path_of(
            f"{media.target_url_base or ''}{media.name_prefix}%0{media.frame_zero_padding}d{media.name_suffix}"
        )
    url = getattr(media, "target_url", None)
    return path_of(str(url)) if url else None


def path_of(url: str) -> str:
    """`file://localhost/D%3a/media/a.mov` is `D:/media/a.mov`; what is no address is a path already."""
    if not url.lower().startswith(("file:", "http:", "https:")):
        return url
    try:
        path = unquote(urlsplit(url.replace("#", "%23").replace("?", "%3F")).path)
    except ValueError:
        return url
    return path[1:] if path[2:3] == ":" else path


def reel_of(clip: Any) -> str | None:
    """The reel that it says it is of."""
    for metadata in (clip.metadata, getattr(clip.media_reference, "metadata", {})):
        for keys in _REELS:
            if reel := _text(metadata, keys):
                return reel
    return None


def is_generated(clip: Any) -> bool:
    """Whether the editing system makes it: a title, a colour."""
    return type(clip.media_reference).__name__ == "GeneratorReference"


def says_drop(timeline: Any) -> bool:
    """Whether a timeline says that it is counted in drop-frame."""
    return _text(timeline.metadata, ("fcp_xml", "timecode", "displayformat")) == "DF"


def wipe_of(transition: Any, name: str) -> str | None:
    """Which wipe a transition is; None of a dissolve, which is what all others are taken for."""
    code = _text(transition.metadata, ("cmx_3600", "transition")) or ""
    if code[:1] == "W":
        return code[1:4] or "001"
    return "001" if "wipe" in f"{name} {transition.transition_type}".lower() else None


def origin_of(clip: Any, reel: str | None) -> Origin:
    """Whether there is media to look for."""
    if is_generated(clip):
        return Origin.GENERATED
    if reel is not None and reel.upper() in _BLACK:
        return Origin.BLACK
    return Origin.REEL if reel is not None else Origin.AUXILIARY


def _text(metadata: Any, keys: tuple[str, ...]) -> str | None:
    """What metadata has under keys in keys, if that is words."""
    value = metadata
    for key in keys:
        value = value.get(key) if hasattr(value, "get") else None
    return value.strip() or None if isinstance(value, str) else None
