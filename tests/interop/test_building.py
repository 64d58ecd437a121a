"""A C project is cloned into a mount and built there, twice over and in a branch."""

import os
from pathlib import Path

import pytest

from tests.drive import Drive, run

pytestmark = [pytest.mark.mount, pytest.mark.interop, pytest.mark.needs("git", "make", "gcc")]

GIT = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main")
PARTS = 12
MAKEFILE = """\
objects = $(patsubst %.c,build/%.o,$(wildcard *.c))
program: $(objects)
\t$(CC) -o $@ $^
build/%.o: %.c parts.h | build
\t$(CC) -O1 -MMD -c -o $@ $<
build:
\tmkdir -p $@
"""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a program of several files."""
    top = tmp_path_factory.mktemp("upstream") / "program"
    top.mkdir()
    (top / "Makefile").write_text(MAKEFILE)
    (top / "parts.h").write_text("".join(f"int part{n}(int);\n" for n in range(PARTS)))
    for n in range(PARTS):
        (top / f"part{n}.c").write_text(f'#include "parts.h"\nint part{n}(int x) {{ return x * 31 + {n}; }}\n')
    calls = "".join(f"x = part{n}(x);" for n in range(PARTS))
    (top / "main.c").write_text(f'#include <stdio.h>\n#include "parts.h"\nint main(void) {{ unsigned x = 1; {calls}'
                                'printf("%u\\n", x); return 0; }\n')  # fmt: skip
    run(*GIT, "init", "-q", top)
    run(*GIT, "add", "-A", cwd=top)
    run(*GIT, "commit", "-qm", "first", cwd=top)
    return top


def test_a_cloned_project_builds_and_builds_anew_in_a_branch(drive: Drive, upstream: Path, work: Path) -> None:
    run(*GIT, "clone", "-q", "--no-local", upstream, work / "program")
    here = work / "program"
    run("make", "-j2", cwd=here)
    run("make", "-j2", "-C", upstream)
    answer = run(upstream / "program")
    assert run(here / "program") == answer
    assert "up to date" in run("make", cwd=here)
    assert run(*GIT, "status", "--porcelain", "-uno", cwd=here) == ""
    drive.commit()

    there = drive.branch("changes") / work.name / "program"
    assert "up to date" in run("make", cwd=there)
    (there / "part3.c").write_text('#include "parts.h"\nint part3(int x) { return x + 1; }\n')
    built = run("make", cwd=there)
    assert built.count("-c -o") == 1
    assert run(there / "program") != answer
    assert run(here / "program") == answer
    run(*GIT, "commit", "-qam", "second", cwd=there)
    run(*GIT, "gc", "-q", cwd=there)
    run(*GIT, "fsck", "--strict", cwd=there)
    assert sorted(os.listdir(here)) == sorted(os.listdir(there))
