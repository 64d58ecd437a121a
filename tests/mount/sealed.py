"""Files whose bytes have their place among the blobs."""

from pathlib import Path

from tests.drive import Drive, wait_until


def seal(drive: Drive) -> None:
    """Returns when all closed files are hashed, and what that left over is gone."""
    wait_until(lambda: drive.command("status")["unsealed_files"] == 0, "sealing")
    drive.command("flush")


def sealed_file(drive: Drive, name: str, data: bytes) -> Path:
    """A file whose bytes are one sealed blob."""
    path = drive.main / name
    path.write_bytes(data)
    drive.commit(message=name)
    seal(drive)
    return path
