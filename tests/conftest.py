"""Before numpy comes in: one BLAS thread, as the command line sets it; more of them only spin beside ours."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
