"""Names of films and sound files that proxies are made of, and of proxies beside them.

NAME.thumbnail.mp4  NAME.preview.mp4  NAME.editorial.mov    beside NAME.mov
Proxy/NAME.mov           where DaVinci Resolve looks for an editorial proxy
Proxies/NAME_Proxy.mov   where Premiere does
"""

import os

_FILMS = {
    *(".mov", ".mp4", ".m4v", ".qt", ".3gp", ".mxf", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg"),
    *(".dv", ".vob", ".wmv", ".asf", ".flv", ".r3d", ".braw", ".ari", ".crm", ".nev"),
}
_SOUNDS = {".wav", ".bwf", ".rf64", ".aif", ".aiff", ".flac", ".mp3", ".m4a", ".aac", ".ogg"}


def is_original_name(name: str) -> bool:
    """Whether a file of that name may be a film or sound."""
    return os.path.splitext(name)[1].lower() in _FILMS | _SOUNDS
