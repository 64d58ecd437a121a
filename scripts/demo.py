"""Shows filmfs at work, step by step, on real footage: run through scripts/demo.

Everything is done as a person would do it: with the `filmfs` command, each printed as it would be typed, and with
ordinary file calls on the mounted drive. Each claim is checked and gets a ✓ or a ✗.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from types import FrameType

import footage
from playing import is_movie, play
from stage import Place, Report, Source, human_size, is_mounted, read_bytes, sha256, shortest, tree

BRANCH = "color-grade-v2"
EDITED_MOVIE = "A001C001.mov"
EDITED_PICTURE = 10
MOVIES_PLAYED = 20
LISTED = 12
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """Ctrl-C, or a request to end."""

    def __init__(self, signal_number: int) -> None:
        self.exit_code = 128 + signal_number


class GaveUp(Exception):
    """A step on which all later ones stand did not work."""


def main() -> int:
    options = parse_arguments()
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    report = Report(colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print(
            "Nothing can be mounted here: /dev/fuse is missing (try 'modprobe fuse') or closed to you.", file=sys.stderr
        )
        return 1
    for number in STOP_SIGNALS:
        signal.signal(number, stop)

    place = Place(tempfile.mkdtemp(prefix="filmfs-demo-", dir=os.environ.get("TMPDIR") or os.path.expanduser("~")))
    exit_code = 0
    try:
        Demo(place, report, options.footage).run()
        if not options.once:
            offer_drive(place, report)
            wait_for_ctrl_c()
    except GaveUp as reason:
        report.line(str(reason))
    except Stopped as stopped:
        exit_code = stopped.exit_code
    except OSError as error:
        report.check(f"the drive and the disk answered every call ({error})", False)
    finally:
        clean_up(place, report, keep=not options.once)
    report.verdict(finished=exit_code == 0)
    return 1 if report.faults else exit_code


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="Shows filmfs at work.")
    parser.add_argument("footage", metavar="FOOTAGE_DIR", nargs="?", help="your camera files; they are only ever read")
    parser.add_argument("--once", action="store_true", help="unmount and clean up; non-zero if anything was wrong")
    options = parser.parse_args()
    if options.footage is not None:
        if not (os.path.isdir(options.footage) and os.access(options.footage, os.R_OK | os.X_OK)):
            parser.exit(
                2,
                f"scripts/demo: '{options.footage}' is not a directory that can be read; "
                "name the directory your footage is in.\n",
            )
        options.footage = os.path.realpath(options.footage)
    return options


def stop(number: int, _: FrameType | None) -> None:
    """Only the first request counts: a second one must not cut the clean-up short."""
    ignore_stop_signals()
    raise Stopped(number)


def ignore_stop_signals() -> None:
    # A handler that does nothing, where SIG_IGN would be inherited by the commands run from here.
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)


class Demo:
    """The steps, in order."""

    def __init__(self, place: Place, report: Report, footage_directory: str | None) -> None:
        self.place = place
        self.report = report
        yours = footage_directory and Source(footage_directory, os.path.basename(footage_directory) or "footage")
        made = "made-footage" if not yours or yours.name != "made-footage" else "made-footage-2"
        self.made = Source(os.path.join(place.work, made), made)
        self.sources = [yours, self.made] if yours else [self.made]

    def run(self) -> None:
        self.make_footage()
        self.make_archive()
        self.add_footage()
        self.mount()
        self.make_branch()
        self.change_a_picture()
        self.show_both_branches()
        self.keep_the_version()
        self.play_everything()
        self.check_archive()

    def make_footage(self) -> None:
        report = self.report
        report.heading("Shooting some footage")
        report.line(f"Everything below happens in {self.place.work}")
        os.mkdir(self.made.directory)
        for make, name in [
            (footage.make_prores, EDITED_MOVIE),
            (footage.make_h264, "A001C002.mov"),
            (footage.make_h264, "A001C003.mp4"),
        ]:
            path = self.made.on_disk(name)
            make(path)
            facts = footage.read_facts(path)
            claim = f"{name}: {facts.frames} pictures of {facts.video}, sound {facts.audio}, timecode {facts.timecode}"
            report.check(claim + (f", reel {facts.reel}" if facts.reel else ""), facts.timecode == "01:00:00:00")

    def make_archive(self) -> None:
        self.report.heading("Making an archive")
        self.report.line("An archive is a directory that keeps every version of everything.")
        self.must_run("init", self.place.archive)

    def add_footage(self) -> None:
        report = self.report
        report.heading("Putting the footage into it")
        for source in self.sources:
            before = source.state()
            report.line(f"{source.name}: {len(before)} files, {human_size(sum(size for _, size, _ in before))}")
            self.must_run("add", self.place.archive, shortest(source.directory, self.place.work))
            report.check(f"{source.name} itself was only read", source.state() == before)

    def mount(self) -> None:
        self.report.heading("Mounting it as a drive")
        os.mkdir(self.place.mountpoint)
        self.must_run("mount", self.place.archive, self.place.drive)
        mounted = is_mounted(self.place.mountpoint)
        if not self.report.check(f"{self.place.mountpoint} is a drive now", mounted):
            raise GaveUp("Without the drive there is nothing more to show.")

    def make_branch(self) -> None:
        self.report.heading("Making a branch for the colour grade")
        self.report.line("A branch is a directory with all of the footage in it, yours to change; it costs no space.")
        self.must_run("branch", "create", self.place.archive, BRANCH)
        files = [source.in_archive(file) for source in self.sources for file in source.files()]
        there = all(os.path.lexists(self.place.in_branch(BRANCH, file)) for file in files)
        self.report.check(f"the branch holds all {len(files)} files", there)

    def change_a_picture(self) -> None:
        """Puts another picture of the movie in the place of one, in the branch, with ordinary file calls."""
        report = self.report
        report.heading(f"Changing one picture of {EDITED_MOVIE} in the branch")
        source = self.made.on_disk(EDITED_MOVIE)
        file = self.made.in_archive(EDITED_MOVIE)
        original = read_bytes(source)
        taken, given = plan_swap(footage.picture_ranges(source), EDITED_PICTURE)
        new_bytes = original[given.offset : given.offset + given.length]
        with open(self.place.in_branch(BRANCH, file), "r+b") as movie:
            movie.seek(taken.offset)
            movie.write(new_bytes)
            movie.flush()
            os.fsync(movie.fileno())
        report.line(f"wrote {len(new_bytes)} bytes at {taken.offset} of {self.place.drive}/{BRANCH}/{file}")

        expected = original[: taken.offset] + new_bytes + original[taken.offset + len(new_bytes) :]
        digests = {
            "on disk": sha256(source),
            "main": sha256(self.place.in_branch("main", file)),
            BRANCH: sha256(self.place.in_branch(BRANCH, file)),
        }
        for where, digest in digests.items():
            report.line(f"{where:<15} sha256 {digest[:32]}…")
        unchanged = hashlib.sha256(original).hexdigest()
        report.check("the source on disk is as it was", digests["on disk"] == unchanged)
        report.check("main is as it was", digests["main"] == unchanged)
        report.check(
            f"{BRANCH} has the new picture and nothing else changed",
            digests[BRANCH] == hashlib.sha256(expected).hexdigest() != unchanged,
        )

        before = play(self.place.in_branch("main", file)).pictures
        after = play(self.place.in_branch(BRANCH, file)).pictures
        differing = [n for n, (old, new) in enumerate(zip(before, after, strict=False)) if old != new]
        report.check(
            f"played, the two differ in picture {EDITED_PICTURE} alone",
            len(before) == len(after) and differing == [EDITED_PICTURE],
        )

    def show_both_branches(self) -> None:
        self.report.heading("Looking at both branches")
        for branch in ("main", BRANCH):
            self.report.line(f"{self.place.drive}/{branch}/")
            entries = list(tree(self.place.in_branch(branch)))
            for entry in entries[:LISTED]:
                self.report.line(f"  {entry}")
            if len(entries) > LISTED:
                self.report.line(f"  … and {len(entries) - LISTED} more")
        self.must_run("branch", "list", self.place.archive)

    def keep_the_version(self) -> None:
        report = self.report
        report.heading("Keeping this version of the grade")
        self.must_run("commit", self.place.archive, BRANCH, "-m", f"Replace picture {EDITED_PICTURE}")
        self.must_run("log", self.place.archive, BRANCH)
        file = self.made.in_archive(EDITED_MOVIE)
        history = os.path.join(self.place.mountpoint, ".filmfs", "history", BRANCH)
        wanted = sha256(self.place.in_branch(BRANCH, file))
        versions = sorted(os.listdir(history)) if os.path.isdir(history) else []
        kept = any(
            sha256(path) == wanted
            for version in versions
            if os.path.isfile(path := os.path.join(history, version, file))
        )
        report.check(f"it can be read for ever under .filmfs/history/{BRANCH}/", kept)

    def play_everything(self) -> None:
        report = self.report
        report.heading("Playing the footage from the drive")
        files = [(source, file) for source in self.sources for file in source.files()]
        movies = [(source, file) for source, file in files if is_movie(source.on_disk(file))]
        for source, file in movies[:MOVIES_PLAYED]:
            path = source.in_archive(file)
            from_drive = play(self.place.in_branch("main", path))
            from_disk = play(source.on_disk(file))
            report.check(f"{path}: {from_drive}, each as in the source", from_drive.same_as(from_disk))
        if len(movies) > MOVIES_PLAYED:
            report.line(f"… and {len(movies) - MOVIES_PLAYED} more movies, not played here")

    def check_archive(self) -> None:
        self.report.heading("Proving the archive sound")
        self.must_run("check", self.place.archive, "--data")

    def must_run(self, *arguments: str) -> None:
        """Runs filmfs as it would be typed; later steps need each one, so a failure ends the demo."""
        self.report.command(shlex.join(["filmfs", *arguments]))
        exit_code = run_filmfs(self.place, *arguments)
        if exit_code != 0:
            self.report.check(f"filmfs {arguments[0]} worked (it exited with {exit_code})", False)
            raise GaveUp(f"What comes next needs 'filmfs {arguments[0]}', so the demo ends here.")


def run_filmfs(place: Place, *arguments: str, shielded: bool = False) -> int:
    """The filmfs of this environment; `shielded` ones do not hear the terminal's Ctrl-C."""
    program = os.path.join(os.path.dirname(sys.executable), "filmfs")
    return subprocess.run([program, *arguments], cwd=place.work, start_new_session=shielded).returncode


def plan_swap(pictures: list[footage.ByteRange], place: int) -> tuple[footage.ByteRange, footage.ByteRange]:
    """The picture at `place`, and the longest other one that fits where it lies."""
    taken = pictures[place]
    others = [picture for picture in pictures if picture != taken and picture.length <= taken.length]
    return taken, max(others, key=lambda picture: picture.length)


def offer_drive(place: Place, report: Report) -> None:
    report.heading("Your turn")
    report.line(f"The drive stays at {place.mountpoint} until you press Ctrl-C here. In the meantime:")
    report.line()
    report.line(f"- open {place.mountpoint} in a file browser or a player, and change what you like in {BRANCH}")
    report.line("- make a branch of your own by making a directory:")
    report.command(f"mkdir {shlex.quote(os.path.join(place.mountpoint, 'my-edit'))}")
    report.line("- look into the past; every kept version is there, read-only:")
    report.command(f"ls {shlex.quote(os.path.join(place.mountpoint, '.filmfs', 'history', BRANCH))}")
    report.line("- ask the archive itself, mounted or not:")
    program = shlex.quote(os.path.join(os.path.dirname(sys.executable), "filmfs"))
    archive = shlex.quote(os.path.join(place.work, place.archive))
    report.command(f"{program} ls {archive} main:")
    report.command(f"{program} log {archive} {BRANCH}")


def wait_for_ctrl_c() -> None:
    try:
        while True:
            signal.pause()
    except Stopped:
        pass


def clean_up(place: Place, report: Report, *, keep: bool) -> None:
    """Takes the drive away, whatever happened before; nothing is removed while it is mounted."""
    ignore_stop_signals()
    if is_mounted(place.mountpoint):
        report.heading("Taking the drive away")
        report.command(f"filmfs umount --wait {place.drive}")
        run_filmfs(place, "umount", "--wait", place.drive, shielded=True)
        gone = not is_mounted(place.mountpoint)
        if not report.check("the drive is gone, and all that was written is in the archive", gone):
            report.line(f"Something still uses it: close that, then run 'filmfs umount --wait {place.mountpoint}'.")
            return
    if keep:
        report.line(f"The archive stays in {os.path.join(place.work, place.archive)}")
        report.line(f"Remove {place.work} when you are done with it.")
    else:
        shutil.rmtree(place.work)
        report.line(f"{place.work} is removed.")


if __name__ == "__main__":
    sys.exit(main())
