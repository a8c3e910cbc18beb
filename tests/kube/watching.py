"""A watch that is stopped while it waits."""

from __future__ import annotations

import threading
import time

from agent.kube import errors, paths
from agent.kube.api import KubeApi


def stopped_from_another_thread(api: KubeApi) -> list[BaseException]:
    raised: list[BaseException] = []
    watch = api.watch(paths.nodes(), {"resourceVersion": "100"}, 60, 60.0)

    def follow() -> None:
        try:
            list(watch)
        except errors.KubeError as error:
            raised.append(error)
        watch.close()

    thread = threading.Thread(target=follow)
    thread.start()
    time.sleep(0.2)
    watch.stop()
    thread.join(10)
    assert not thread.is_alive()
    return raised
