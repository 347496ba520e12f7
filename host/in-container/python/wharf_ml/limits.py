"""What the container may use: processors and memory, from its control group, version 1 or 2."""

import os

# A version 1 group without a limit claims nearly the whole of 64 bits.
_UNLIMITED = 1 << 60


def cpus(root="/sys/fs/cgroup", environ=None):
    """How many processors this process may use at once: the group's quota rounded down, at least 1."""
    environ = os.environ if environ is None else environ
    if environ.get("WHARF_ML_CPUS"):
        return max(1, int(float(environ["WHARF_ML_CPUS"])))
    try:
        most = len(os.sched_getaffinity(0))
    except AttributeError:
        most = os.cpu_count() or 1
    quota = _quota(root)
    return max(1, min(most, int(quota) if quota is not None else most))


def memory_limit(root="/sys/fs/cgroup", environ=None):
    """Bytes of memory that the container may use; None when nothing limits it."""
    environ = os.environ if environ is None else environ
    if environ.get("WHARF_ML_MEMORY"):
        return _bytes(environ["WHARF_ML_MEMORY"])
    for name in ("memory.max", "memory/memory.limit_in_bytes", "memory.limit_in_bytes"):
        text = _read(os.path.join(root, name))
        if text is not None:
            return int(text) if text.isdigit() and int(text) < _UNLIMITED else None
    return None


def memory_left(root="/sys/fs/cgroup", environ=None):
    """Bytes that this process may still take: the limit without what it and its children hold; None without a limit."""
    limit = memory_limit(root, environ)
    return None if limit is None else max(0, limit - resident())


def resident():
    """Bytes of memory that this process holds."""
    text = _read("/proc/self/statm")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE") if text else 0


def _quota(root):
    text = _read(os.path.join(root, "cpu.max"))
    if text is not None:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period or 100000)
    for folder in ("cpu", "cpu,cpuacct", ""):
        quota = _read(os.path.join(root, folder, "cpu.cfs_quota_us"))
        period = _read(os.path.join(root, folder, "cpu.cfs_period_us"))
        if quota and period:
            return int(quota) / int(period) if int(quota) > 0 else None
    return None


def _read(path):
    try:
        with open(path, encoding="ascii") as stream:
            return stream.read().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _bytes(text):
    units = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    unit = units.get(text[-1:].lower())
    return int(float(text[:-1]) * unit) if unit else int(text)


def shown(size):
    """A number of bytes as people read it."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= factor:
            return "%.1f %s" % (size / factor, unit)
    return "%d bytes" % size
