"""What is still to be sent when a recipe comes to its end."""

import atexit
import os
import sys

# Strong references: what nobody closed must still be sent.
_pending = {}
_registered = []


def send_at_exit(owner, method):
    """Calls ``owner.method()`` when the process ends, unless the recipe failed.

    A failure there makes the process fail: otherwise a run would succeed without a part of its output.
    """
    if not _registered:
        atexit.register(_send_all)
        _registered.append(True)
    _pending[id(owner)] = (owner, method, os.getpid())


def forget(owner):
    """Nothing is left to send for this owner."""
    _pending.pop(id(owner), None)


def _send_all():
    # Set by Python for an exception that nobody caught. Outputs of a failed recipe are dropped anyway.
    if getattr(sys, "last_value", None) is not None:
        return
    for owner, method, process in list(_pending.values()):
        # A forked child has a copy of this list, but the work is its parent's.
        if process != os.getpid():
            continue
        try:
            getattr(owner, method)()
        except Exception as error:
            sys.stdout.flush()
            sys.stderr.write("%s: %s\n" % (type(error).__name__, error))
            sys.stderr.flush()
            # The exit code of a process can't be changed by an exception in here.
            os._exit(1)
