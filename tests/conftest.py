"""Before numpy comes in: one BLAS thread, as the command line sets it; more of them only spin beside ours."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from hypothesis import settings  # noqa: E402 - numpy may come in only now

settings.register_profile("recompra", deadline=None)  # a busy machine is no failure
settings.load_profile("recompra")
