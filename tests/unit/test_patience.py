"""When small writes leave the event loop."""

import time

from filmfs.mount.patience import Patience


def test_writes_stay_while_the_disk_takes_them_at_once() -> None:
    patience = Patience()
    with patience:
        pass
    assert patience.is_disk_quick


def test_a_late_write_sends_those_that_follow_to_threads() -> None:
    patience = Patience()
    with patience:
        time.sleep(0.03)
    assert not patience.is_disk_quick
