"""People who ask to be erased."""

import sys

from attune.privacy.forget import forget_users, plan
from attune.run import Run, job
from attune.schemas import TABLES


@job(reads=tuple(TABLES), writes=tuple(TABLES), settings=("forget",), plan=plan)
def forget(run: Run) -> None:
    """Erase users (forget.users_file) from all tables and their history, and from files of the workspace; prove it.

    Run it alone. Users that were erased are kept out of later runs of clean. Input files, sinks outside of the workspace and
    what models have learned are not changed, but told.
    """
    forget_users(run)


if __name__ == "__main__":
    sys.exit(forget.main())
