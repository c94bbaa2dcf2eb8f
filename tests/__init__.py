"""What is promised, tested. Workers share the machine's cores: one thread each is quicker than a library whose threads wait for one another."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported, which reads it once
