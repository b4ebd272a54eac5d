"""What an SDK runs: `python -I -S …/credential_process.py --state DIR PROFILE`. Lines in AWS files name this path.

Python compiles a script anew each time, so all that is here is the way to modules that it has compiled already.
"""

import os
import sys


def main(arguments: list[str]) -> int:
    """Print a session. Returns 0, or 1 with one sentence on stderr."""
    from assumed.jobs.credential_process import printed

    try:
        if printed(arguments):
            return 0
        from assumed.jobs.credential_process_slow import main as slow

        return slow(arguments)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        sys.stderr.write(f"assumed: cannot write to stdout: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer would raise again at the exit
        return 1


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100
    sys.exit(main(sys.argv[1:]))
