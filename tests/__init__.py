"""What is promised, tested. Workers share the machine's cores: one thread each is quicker than libraries that wait for one another."""

import os

# before numpy and polars are imported, which read them once
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")
