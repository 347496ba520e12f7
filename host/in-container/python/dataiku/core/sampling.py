"""Samples of a dataset's rows: the first ones, ones chosen at random, or those of values chosen at random."""

import hashlib
import random
import secrets

from dataiku.core.connection import DataikuException
from dataiku.core.frame_write import pandas


class Sampling:
    """The arguments ``sampling``, ``sampling_column``, ``limit`` and ``ratio`` of the functions that read."""

    def __init__(self, sampling, sampling_column, limit, ratio):
        if limit is not None and int(limit) < 0:
            raise DataikuException("limit can't be negative: %r" % limit)
        if ratio is not None and not 0 <= ratio <= 1:
            raise DataikuException("ratio must be between 0 and 1, not %r" % ratio)
        if sampling == "random":
            if (limit is None) == (ratio is None):
                raise DataikuException("the sampling 'random' needs a limit or a ratio, and not both")
        elif sampling == "random-column":
            if sampling_column is None or ratio is None or limit is not None:
                raise DataikuException("the sampling 'random-column' needs a sampling_column and a ratio, and no limit")
        elif sampling == "head":
            if ratio is not None:
                raise DataikuException("the sampling 'head' takes a limit and no ratio")
        else:
            raise DataikuException(
                "the sampling %r isn't available here: use 'head' with a limit, 'random' with a limit or a ratio, "
                "or 'random-column' with a sampling_column and a ratio" % sampling
            )
        self.limit = None if limit is None else int(limit)
        self.ratio = ratio
        #: The column whose values are chosen; None when rows are.
        self.column = sampling_column if sampling == "random-column" else None
        #: Whether rows are chosen here, and not by the host.
        self.random = sampling != "head"
        #: How many rows to ask the host for; None for all.
        self.head = None if self.random else self.limit
        self._salt = secrets.token_bytes(16)

    def rows(self, rows, place=None):
        """The chosen ones of tuples, in their order; ``place`` is where the sampling column's value is."""
        if not self.random:
            return rows
        if self.column is not None:
            return (row for row in rows if self._takes(row[place]))
        if self.ratio is not None:
            return (row for row in rows if random.random() < self.ratio)
        return self._some_rows(rows)

    def _some_rows(self, rows):
        kept = []
        for at, row in enumerate(rows):
            if len(kept) < self.limit:
                kept.append((at, row))
            else:
                place = random.randrange(at + 1)
                if place < self.limit:
                    kept[place] = (at, row)
        for _, row in sorted(kept, key=lambda pair: pair[0]):
            yield row

    def parts(self, parts, rows):
        """The chosen rows of dataframes, again as dataframes of at most that many rows each."""
        if not self.random:
            return parts
        if self.column is None and self.ratio is None:
            return self._some_parts(parts, rows)
        return (self._part(part) for part in parts)

    def frame(self, parts, nothing):
        """The chosen rows of dataframes, as one; ``nothing`` makes one without rows."""
        kept = list(self.parts(parts, None))
        return pandas().concat(kept, ignore_index=True) if kept else nothing()

    def _part(self, part):
        if self.column is None:
            chosen = [random.random() < self.ratio for _ in range(len(part))]
        else:
            chosen = [self._takes(value) for value in part[self.column]]
        return part[chosen].reset_index(drop=True)

    def _some_parts(self, parts, rows):
        # No more than the chosen rows and one part are in memory.
        module = pandas()
        kept, keys = [], []
        for part in parts:
            kept.append(part)
            keys.extend(random.random() for _ in range(len(part)))
            if len(keys) > self.limit:
                frame = module.concat(kept, ignore_index=True)
                chosen = sorted(sorted(range(len(keys)), key=keys.__getitem__)[: self.limit])
                kept, keys = [frame.iloc[chosen]], [keys[at] for at in chosen]
        if not kept:
            return
        frame = module.concat(kept, ignore_index=True)
        rows = rows or max(len(frame), 1)
        for at in range(0, len(frame), rows):
            yield frame.iloc[at : at + rows].reset_index(drop=True)

    def _takes(self, value):
        # By what the value is, so that memory doesn't grow with the number of values. Pandas gives whole numbers with
        # nulls among them as floats, which mustn't make another value of them.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        digest = hashlib.blake2b(str(value).encode("utf-8"), digest_size=8, key=self._salt).digest()
        return int.from_bytes(digest, "big") < self.ratio * 2**64
