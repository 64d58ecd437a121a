"""MLT and GStreamer play originals out of a mount as out of a project drive: the frames are those of the source."""

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from tests.drive import Drive, run

pytestmark = [pytest.mark.mount, pytest.mark.interop]

CLIPS = ("car-detection.mp4", "one-by-one-person-detection.mp4")
PATIENCE_S = 180.0


@pytest.fixture(scope="module")
def footage(test_data: Path) -> Path:
    return test_data / "footage"


@pytest.fixture(scope="module")
def project(drive: Drive, footage: Path) -> Path:
    """A project drive: the originals in a commit, and a branch of an editor over it."""
    for clip in CLIPS:
        run("cp", footage / clip, drive.main / clip)
    drive.commit()
    return drive.branch("editor")


def frames_by_gstreamer(path: Path) -> str:
    """A digest of all decoded frames."""
    pipeline = ["filesrc", f"location={path}", "!", "qtdemux", "!", "avdec_h264", "!", "fdsink", "fd=1"]
    with subprocess.Popen(["gst-launch-1.0", "-q", *pipeline], stdout=subprocess.PIPE) as player:
        assert player.stdout is not None
        digest = hashlib.file_digest(player.stdout, "blake2b").hexdigest()
    assert player.returncode == 0
    return digest


def frames_by_mlt(project: Path, to: Path) -> list[str]:
    """A line for each decoded frame, its digest at the end."""
    to = to / "frames"
    render = [f"avformat:{to}", "f=framemd5", "vcodec=rawvideo", "an=1", "real_time=-1", "terminate_on_pause=1"]
    run("melt", "-silent", project, "-consumer", *render, timeout=PATIENCE_S)
    return [line for line in to.read_text().splitlines() if not line.startswith("#")]


@pytest.mark.needs("gst-launch-1.0")
def test_gstreamer_decodes_the_same_frames(project: Path, footage: Path) -> None:
    assert frames_by_gstreamer(project / CLIPS[0]) == frames_by_gstreamer(footage / CLIPS[0])


@pytest.mark.needs("melt")
def test_mlt_plays_a_cut_of_originals_frame_by_frame(project: Path, footage: Path, tmp_path: Path) -> None:
    cut = [CLIPS[0], "in=10", "out=69", CLIPS[1], "in=300", "out=359"]
    for top in (project, tmp_path):
        if top is tmp_path:
            for clip in CLIPS:
                os.symlink(footage / clip, top / clip)
        run("melt", "-silent", *cut, "-consumer", "xml:cut.mlt", cwd=top, timeout=PATIENCE_S)
    frames = frames_by_mlt(project / "cut.mlt", tmp_path)
    assert len(frames) == 120
    assert frames == frames_by_mlt(tmp_path / "cut.mlt", tmp_path)
    assert len({line.rpartition(",")[2] for line in frames}) > 60


@pytest.mark.needs("melt")
def test_mlt_renders_into_the_project(project: Path, drive: Drive, tmp_path: Path) -> None:
    source = project / CLIPS[0]
    render = [f"avformat:{project / 'out.mov'}", "vcodec=mjpeg", "an=1", "real_time=-1", "terminate_on_pause=1"]
    run("melt", "-silent", source, "in=0", "out=24", "-consumer", *render, timeout=PATIENCE_S)
    drive.commit("editor")
    assert len(frames_by_mlt(project / "out.mov", tmp_path)) == 25
    assert not (drive.main / "out.mov").exists()
