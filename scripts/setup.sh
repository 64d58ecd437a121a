#!/usr/bin/env bash
# Set-up that scripts/demo and scripts/test share: system packages, then a .venv with filmfs in it.
#
# Source it and call `set_up demo`, `set_up test` or `set_up interop` (the tests with all programs that they can drive the
# mount with); each may be called again at any time and does only what is missing.
# Afterwards $filmfs_top is the checkout and $filmfs_venv its virtual environment.

set -euo pipefail

filmfs_top="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
filmfs_venv="$filmfs_top/.venv"

# pyfuse3 comes as source and is compiled here, hence the compiler and the headers.
build_packages=(fuse3 libfuse3-dev pkg-config gcc python3-dev python3-venv)
# What the tests drive the mount with; systemd for systemd-analyze.
test_packages=(rsync sqlite3 git attr acl tar make systemd)
# And what is large (600 MB), or a server that nobody may want: only where it is asked for.
interop_packages=(fio stress-ng samba smbclient samba-vfs-modules postgresql melt
    ffmpeg mediainfo gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
    gstreamer1.0-plugins-ugly gstreamer1.0-libav)

say() { printf '%s\n' "$*" >&2; }
fail() { say "filmfs set-up: $*"; exit 1; }

set_up() {
    local purpose="$1"
    local packages=("${build_packages[@]}")
    [[ $purpose == demo ]] || packages+=("${test_packages[@]}")
    need_packages "${packages[@]}"
    if [[ $purpose == interop ]]; then
        need_interop_packages
        purpose=test
    fi
    need_python
    hint_about_fuse
    # Two runs at once take turns; the lock goes with the subshell.
    ( flock 9; need_venv "$purpose"; compile_modules ) 9<"$filmfs_top"
}

# Every command would compile them anew where PYTHONDONTWRITEBYTECODE is set: half a second each.
compile_modules() {
    "$filmfs_venv/bin/python" -m compileall -q "$filmfs_top/filmfs" >&2 || say "Some modules could not be compiled; going on."
}

need_packages() {
    local missing=() package
    for package in "$@"; do
        has_package "$package" || missing+=("$package")
    done
    (( ${#missing[@]} )) || return 0

    if ! command -v apt-get >/dev/null; then
        say "This is not Debian or Ubuntu, so please see to it that these are installed: ${missing[*]}"
        return 0
    fi
    local as_root=()
    if (( EUID != 0 )); then
        command -v sudo >/dev/null ||
            fail "installing ${missing[*]} needs root: run 'apt-get install ${missing[*]}' as root, then try again."
        as_root=(sudo)
    fi
    say "Installing system packages: ${missing[*]} (through apt${as_root[*]:+, with sudo})"
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update >&2 || say "apt could not refresh every package list; going on with what it knows."
    "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >&2 ||
        fail "apt could not install ${missing[*]}; its message above says why."
}

# Servers that come with them are stopped, and stay off at the next boot.
need_interop_packages() {
    local units=() as_root=()
    has_package samba || units+=(smbd nmbd samba-ad-dc)
    has_package postgresql || units+=(postgresql)
    need_packages "${interop_packages[@]}"
    (( EUID == 0 )) || as_root=(sudo)
    if (( ${#units[@]} )) && [[ -d /run/systemd/system ]]; then
        "${as_root[@]}" systemctl disable --quiet --now "${units[@]}" || say "Please see to it that ${units[*]} are off."
    fi
}

has_package() {
    dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

need_python() {
    filmfs_python="${PYTHON:-python3}"
    "$filmfs_python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
        fail "Python 3.11 or newer is needed and '$filmfs_python' is not one:" \
            "install one and name it, as in 'PYTHON=python3.12 $0'."
}

hint_about_fuse() {
    [[ -e /dev/fuse ]] ||
        say "Note: /dev/fuse is missing, so nothing can be mounted here (try 'modprobe fuse'; a container needs" \
            "'--device /dev/fuse --cap-add SYS_ADMIN')."
}

# The stamp says what .venv holds: "incomplete" while it is being filled, then one line of fingerprint and purpose.
need_venv() {
    local purpose="$1" stamp="$filmfs_venv/filmfs-stamp" fingerprint extras=""
    fingerprint="$(fingerprint_of_inputs)"
    if venv_works; then
        # What the tests need includes all that the demo needs.
        case "$(cat "$stamp" 2>/dev/null)" in
            "$fingerprint $purpose" | "$fingerprint test") return 0 ;;
            "$fingerprint demo" | "") ;;
            incomplete) say "An earlier set-up was interrupted: starting .venv afresh"; discard_venv ;;
            *) say "What filmfs needs has changed since .venv was filled: bringing it up to date" ;;
        esac
    elif [[ -e $filmfs_venv || -L $filmfs_venv ]]; then
        say "The .venv here does not work (interrupted, moved, or its Python is gone): starting it afresh"
        discard_venv
    fi

    if [[ ! -e $filmfs_venv ]]; then
        say "Making .venv, a private place for Python packages, with $("$filmfs_python" -V)"
        mkdir "$filmfs_venv"
        echo incomplete >"$stamp"
        quietly "$filmfs_python" -m venv "$filmfs_venv" || fail "Python could not make .venv; its message above says why."
    fi

    [[ $purpose != test ]] || extras="[test]"
    say "Installing filmfs and the Python packages it uses into .venv (a minute or two the first time)"
    echo incomplete >"$stamp"
    (
        cd -- "$filmfs_top"
        quietly "$filmfs_venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
            -c scripts/constraints.txt -e ".$extras"
    ) || fail "pip could not install what filmfs needs; its message above says why. Run '$0' again to go on."
    echo "$fingerprint $purpose" >"$stamp"
}

fingerprint_of_inputs() {
    # The place counts too: the commands in .venv/bin carry it inside.
    {
        cat -- "$filmfs_top/pyproject.toml" "$filmfs_top/scripts/constraints.txt" "$filmfs_top"/filmfs/*/native/*.[ch]
        printf '%s' "$filmfs_venv"
    } |
        sha256sum | cut -d ' ' -f 1
}

venv_works() {
    # pyvenv.cfg and bin/python tell the rest of a venv from a whole one; the pip script's first lines tell a moved one.
    "$filmfs_venv/bin/python" -c '
import os, sys
import pip
here = os.path.realpath(sys.argv[1])
sys.exit(sys.version_info < (3, 11) or os.path.realpath(sys.prefix) != here)' "$filmfs_venv" 2>/dev/null &&
        grep -qF -- "$filmfs_venv/bin/" "$filmfs_venv/bin/pip" 2>/dev/null
}

discard_venv() {
    rm -rf -- "$filmfs_venv"
}

# Shows what a command printed only when it failed.
quietly() {
    local output
    output="$("$@" 2>&1)" || { local status=$?; say "$output"; return "$status"; }
}

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
    case "${1:-}" in
        demo | test | interop) set_up "$1" ;;
        *) say "usage: $0 demo|test|interop"; exit 2 ;;
    esac
fi
