"""The public call for a time code range of a film as a file.

A door: it runs under asyncio and trio alike and decides nothing. The work is `archive.extracting`'s, in a thread.
"""

import os
from pathlib import Path
from typing import BinaryIO

from anyio import to_thread

from filmfs.archive import Archive
from filmfs.archive.extracting import extract, find_in_archive, finding
from filmfs.core.models import MediaFile, TimecodeRange


class TimecodeExtractor:
    """Takes time code ranges out of films, exactly, without decoding them."""

    def __init__(self, output_dir: str | os.PathLike[str] | None = None) -> None:
        """`output_dir` is where files go; None: beside a film that is a file, else into the current directory."""
        self._output_dir = output_dir

    async def extract_segment(
        self,
        archive_data: Archive | str | os.PathLike[str] | BinaryIO | None,
        media_file: MediaFile,
        tc_range: TimecodeRange,
        *,
        output_dir: str | os.PathLike[str] | None = None,
    ) -> Path:
        """Writes the range with its handles as NAME@RANGE.ext; the path of the file, which is whole and durable.

        `archive_data` holds the film: an open Archive, the path of an archive, of a ZIP or TAR with stored members or
        of the film itself, or an open binary file; None: the film is `media_file.file_path`. In an archive or a ZIP
        that is the path inside it (`main:A001/x.mov` also says the branch). The end is not in the range. A film with
        fewer frames than the handles ask for gives those it has. The same file again is returned as it is, another one
        that has the name is refused. Raises FilmFSError's kinds.
        """
        directory = output_dir if output_dir is not None else self._output_dir
        target = None if directory is None else os.fspath(directory)
        # An open archive belongs to the thread that called; what is found of it may be read by any.
        known = find_in_archive(archive_data, media_file.file_path) if isinstance(archive_data, Archive) else None

        def work() -> str:
            if known is not None:
                return extract(known, media_file, tc_range, target)
            with finding(archive_data, media_file.file_path) as found:
                return extract(found, media_file, tc_range, target)

        return Path(await to_thread.run_sync(work))
