"""How a CMX3600 list says where an event goes.

V V2        the picture, its second track       B       picture and channel 1
A A2 A12    channel 1, 2, 12                    AA/V    picture and channels 1 and 2
AA          channels 1 and 2                    NONE    none of these; `AUD 3 4` on a line below says which
"""

import re
from functools import lru_cache

from filmfs.cutlists.model import Tracks

_TRACK = re.compile(r"NONE|(V)(\d{0,2})|(AA)|(A)(\d{0,2})|(B)|[/,]", re.ASCII)


@lru_cache(256)
def read_tracks(word: str) -> Tracks | None:
    """What a word in the tracks' column means; None if nothing."""
    picture, sounds, layer, at, upper = False, set[int](), 1, 0, word.upper()
    while at < len(upper):
        found = _TRACK.match(upper, at)
        if found is None:
            return None
        if found[1] or found[6]:
            picture, layer = True, max(1, int(found[2] or 1))
        if found[3]:
            sounds |= {1, 2}
        if found[4] or found[6]:
            sounds.add(max(1, int(found[5] or 1)))
        at = found.end()
    return Tracks(upper, picture, tuple(sorted(sounds)), layer)


def tracks_of(*, picture: bool, sounds: tuple[int, ...] = (), layer: int = 1) -> Tracks:
    """Tracks as a list says them; channels that have no word are those that `AUD` has to tell."""
    video = f"V{layer if layer > 1 else ''}"
    if sounds == (1, 2):
        written = f"AA/{video}" if picture else "AA"
    elif len(sounds) == 1:
        sound = f"A{sounds[0] if sounds[0] > 1 else ''}"
        written = f"{sound}/{video}" if picture else sound
    else:
        written = video if picture else "NONE"
    return Tracks(written, picture, sounds, layer)


def untold_channels(tracks: Tracks) -> tuple[int, ...]:
    """The channels that `written` does not say."""
    told = read_tracks(tracks.written)
    return tuple(channel for channel in tracks.sounds if told is None or channel not in told.sounds)
