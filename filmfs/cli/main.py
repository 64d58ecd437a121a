"""The entry point: puts the families together, and is the only place that exits."""

import logging
import os
import sys
import traceback

import typer
from typer.exceptions import TyperException

from filmfs import __version__
from filmfs.cli import branches, clips, conforming, files, mounting, proxies, soundness
from filmfs.cli.common import fail, help_if_bare, new_app
from filmfs.core.errors import FilmFSError, Usage, from_os_error

_INTERRUPTED = 130  # 128 and SIGINT, as shells say it

app = new_app("filmfs: a film production's archive that mounts as a drive.")


@app.callback(invoke_without_command=True)
def _top(ctx: typer.Context, version: bool = typer.Option(False, "--version", help="Print the version.")) -> None:
    if version:
        sys.stdout.write(f"filmfs {__version__}\n")
        raise typer.Exit
    help_if_bare(ctx)


for _family in (files, branches, clips, conforming, proxies, mounting, soundness):
    _family.add_to(app)


def main() -> None:
    """Runs the command line and exits by the one error table."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs one command; gives its exit code. Nothing gets out as a traceback unless FILMFS_DEBUG is set."""
    as_json = "--json" in arguments
    try:
        code = app(args=arguments, prog_name="filmfs", standalone_mode=False)
        if code == _INTERRUPTED:  # typer makes that of KeyboardInterrupt
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except typer.Abort:
        sys.stderr.write("filmfs: stopped; nothing was changed\n")
        return _INTERRUPTED
    except TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see: {context.command_path} --help)" if context is not None else ""
        said = error.format_message() if hasattr(error, "format_message") else str(error)
        return fail(Usage(said.rstrip(".") + hint), as_json=as_json)
    except FilmFSError as error:
        _debug()
        return fail(error, as_json=as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        sys.stderr.write("filmfs: interrupted\n")
        return _INTERRUPTED
    except OSError as error:
        _debug()
        return fail(from_os_error(error, "filmfs could not go on"), as_json=as_json)
    except Exception as error:
        logging.getLogger("filmfs").debug("unforeseen", exc_info=True)
        _debug()
        kind = f"{type(error).__name__}: {error}"
        return fail(FilmFSError(f"something unforeseen happened ({kind}); FILMFS_DEBUG=1 shows where"), as_json=as_json)


def _debug() -> None:
    if os.environ.get("FILMFS_DEBUG"):
        traceback.print_exc()
