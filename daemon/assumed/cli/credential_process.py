"""What an SDK runs: `python -I -S …/credential_process.py --state DIR PROFILE`. Lines in AWS files name this path.

Python compiles a script anew each time, so all that is here is the way to modules that it has compiled already.
"""

import os
import sys


def main(arguments: list[str]) -> int:
    """Print a session. Returns 0, or 1 with one sentence on stderr."""
    from assumed.jobs.credential_process import quick

    try:
        status = quick(arguments)
        if status is not None:
            return status
        from assumed.jobs.credential_process_slow import main as slow

        return slow(arguments)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100
    sys.exit(main(sys.argv[1:]))
