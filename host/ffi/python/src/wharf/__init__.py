"""Runs data-processing activities in containers, judged by WebAssembly components.

A *home* is a folder with execution configurations, base images and components. ``Host.embedded`` opens it in this process;
``Host.connect`` speaks to the process that has it open. Both give the same ``Host``::

    import wharf

    with wharf.Host.embedded("home") as host:
        run = host.submit({
            "kind": "python",
            "requester": {"user": "ana", "groups": ["analysts"]},
            "code": "print('hello')",
        })
        for event in run.follow():
            if event["event"] == "log":
                print(event["text"])
        print(run.wait()["sentence"])

``wharf.aio`` has the same for asyncio. Messages are plain dictionaries; ``wharf.messages`` has their types.
"""

from wharf._host import Host, Run
from wharf._native import library_version
from wharf.messages import Fault

__all__ = ["Fault", "Host", "Run", "library_version"]
