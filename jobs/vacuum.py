"""What need not be kept any longer."""

import sys

from attune.retention.vacuum import plan, vacuum_workspace
from attune.run import Run, job


@job(reads=("tables", "runs", "models", "checkpoints"), writes=("tables",), settings=("retention",), plan=plan)
def vacuum(run: Run) -> None:
    """Remove old versions of tables, old rows, runs, models and left-overs, as group retention in the settings says.

    With --dry-run it tells what it would remove, with sizes. Readers of the latest versions see no change. Starts no JVM.
    """
    vacuum_workspace(run)


if __name__ == "__main__":
    sys.exit(vacuum.main())
