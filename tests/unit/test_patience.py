"""When small writes may go to the disk from the event loop."""

from filmfs.mount.patience import Patience


def test_a_disk_is_quick_once_several_writes_were() -> None:
    patience = Patience()
    assert not patience.is_disk_quick
    for _ in range(8):
        patience.note(0.0001)
    assert patience.is_disk_quick


def test_one_late_write_sends_those_that_follow_to_threads() -> None:
    patience = Patience()
    for _ in range(100):
        patience.note(0.0001)
    patience.note(0.03)
    assert not patience.is_disk_quick
    patience.note(0.0001)
    assert not patience.is_disk_quick
