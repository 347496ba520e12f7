import sys

import six

print("six", six.__version__, "in", sys.prefix)
