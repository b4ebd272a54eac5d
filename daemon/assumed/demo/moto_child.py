"""`python -m assumed.demo.moto_child`: moto's server on a free loopback port, for as long as stdin is open.

A process of its own keeps moto's hundred modules, threads and warnings out of ours; and since it ends
with its standard input, it cannot outlive whoever started it, however that one died.
"""

from __future__ import annotations

import logging
import os
import sys


def main() -> None:
    logging.disable()
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  (takes half a second: only here)

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()
    os._exit(0)  # moto keeps nothing: there is nothing to put away


if __name__ == "__main__":
    main()
