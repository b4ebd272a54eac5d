"""What an SDK runs: `python -I -S …/credential_process.py --state DIR PROFILE`.

Python compiles a script anew each time, so all that is here is the way to the module that it has compiled already.
"""

import os
import sys

if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100
    from assumed.jobs.credential_process import main

    sys.exit(main(sys.argv[1:]))
